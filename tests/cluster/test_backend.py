"""The backend against a real Kubernetes, as the account of deploy/rbac.yaml."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from podmap.backends.base import Backend, LaunchError, Phase
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import from_kubeconfig, pods_path
from podmap.backends.kubernetes.lease import Lease
from podmap.backends.launch import Launch
from podmap.errors import BackendError, ConflictError
from podmap.names import attempt_name
from podmap.records import Category, Diagnosis
from podmap.spec.model import PodOverlay, TrialTemplate
from podmap.testing.contracts import BackendContract, Program

from .conftest import Cluster

pytestmark = pytest.mark.cluster

RELEASE = "/tmp/release"
RUN = "0123abcd"
PATIENCE_S = 90
REASON = Diagnosis(Category.CANCELLED, "the user stopped it")


class TestKubernetesBackend(BackendContract):
    """The contract of all backends."""

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Cluster, account: Cluster, namespace: str, image: str) -> None:
        self.cluster, self.account = cluster, account
        self.namespace, self.image = namespace, image

    def new_backend(self) -> KubernetesBackend:
        return KubernetesBackend.connect(from_kubeconfig(self.account.kubeconfig))

    def launch(self, backend: Backend, program: Program, **more: Any) -> Launch:
        launch = super().launch(backend, program, **more)
        # The pod's own grace is the most that one that ignores SIGTERM can take.
        overlay = PodOverlay(spec={"terminationGracePeriodSeconds": 1})
        return replace(
            launch,
            command=launch.argv,
            env={**launch.env, "RELEASE": RELEASE},
            template=TrialTemplate(image=self.image, pod=overlay),
        )

    def release(self, launch: Launch) -> None:
        within = f"--namespace={self.namespace}"
        self.cluster.wait_for(f"pod/{launch.name}", "condition=Ready", within)
        try:
            self.cluster.kubectl("exec", within, launch.name, "--", "touch", RELEASE)
        except AssertionError as error:
            # The program that is let go may end, and all in its container, before `touch` has.
            if "exit code 137" not in str(error):
                raise


Scenario = Callable[..., Awaitable[None]]


@pytest.fixture
def sweep(cluster: Cluster, account: Cluster, namespace: str, image: str) -> Sweep:
    return Sweep(cluster, account, namespace, image)


@dataclass(frozen=True)
class Sweep:
    """Trials in a namespace of their own."""

    cluster: Cluster
    account: Cluster
    namespace: str
    image: str

    def launch(self, script: str, number: int = 0, *, grace_s: int = 1, **spec: Any) -> Launch:
        overlay = PodOverlay(spec={"terminationGracePeriodSeconds": grace_s, **spec})
        argv = ("sh", "-c", script)
        return Launch(
            name=attempt_name("real", RUN, number, 1),
            sweep="real",
            run_id=RUN,
            number=number,
            attempt=1,
            epoch="e1",
            argv=argv,
            command=argv,
            template=TrialTemplate(image=self.image, pod=overlay),
        )

    def play(self, scenario: Scenario, *, backends: int = 1) -> None:
        """Runs a scenario with backends of its own, as the account."""

        async def run() -> None:
            load = from_kubeconfig(self.account.kubeconfig)
            made = [KubernetesBackend.connect(load) for _ in range(backends)]
            try:
                await scenario(*made)
            finally:
                for backend in made:
                    await backend.close()

        asyncio.run(asyncio.wait_for(run(), PATIENCE_S))

    def kubectl(self, *words: str, text: str | None = None) -> str:
        return self.cluster.kubectl(*words, f"--namespace={self.namespace}", text=text)


def test_a_trial_costs_four_requests(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        async def trial(number: int) -> None:
            launch = sweep.launch("echo hello", number)
            await backend.create(launch, gated=True)
            [pod] = await backend.pods(RUN, number=number)
            await backend.gates(RUN).open(pod, limit_s=10)
            assert 0 == (await backend.wait(launch.name)).exit_code
            assert b"hello\n" == await backend.tail(launch.name, max_bytes=100)
            await backend.delete(launch.name)

        await backend.list(RUN)
        await asyncio.gather(*(trial(number) for number in range(5)))
        assert backend.fresh
        each = ("create pods", "patch pods", "get pods/log", "delete pods")
        once = ("list pods", "watch pods")
        assert {**dict.fromkeys(each, 5), **dict.fromkeys(once, 1)} == backend.requests
        assert [] == list(await backend.list(RUN))

    sweep.play(scenario)
    assert "" == sweep.kubectl("get", "pods", "--output=name")


def test_a_gate_holds_a_pod_and_comes_off_only_as_it_was_seen(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        launch = sweep.launch("true", schedulingGates=[{"name": "example.com/other"}])
        await backend.create(launch, gated=True)
        [pod] = await backend.pods(RUN)
        assert (True, True, False) == (pod.gated, pod.held_by_others, pod.placed)
        sweep.kubectl("label", "pod", pod.name, "changed=yes")
        watch = backend._namespace.watch
        assert watch is not None
        await backend._namespace.wait_until(
            pod.name, lambda now: now.resource_version != pod.resource_version
        )
        watch.pods._by_name[pod.name] = pod  # as if the watch were behind
        with pytest.raises(ConflictError):
            await backend.gates(RUN).open(pod, limit_s=10)
        await backend._namespace.fetch_pod(pod.name)
        [pod] = await backend.pods(RUN)
        await backend.gates(RUN).open(pod, limit_s=10)
        [pod] = await backend.pods(RUN)
        assert ("example.com/other",) == pod.gates
        await backend.kill(pod.name, reason=REASON, grace_s=5)
        assert REASON == (await backend.wait(pod.name)).diagnosis
        await backend.delete(pod.name)

    sweep.play(scenario)


def test_a_kill_that_cuts_the_grace_short_is_told_to_all_who_watch(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend, other: KubernetesBackend) -> None:
        launch = sweep.launch("trap '' TERM; echo ready; while :; do sleep 0.1; done", grace_s=60)
        await backend.create(launch)
        elsewhere = asyncio.ensure_future(other.wait(launch.name))
        await anext(backend.output(launch.name))
        await backend.kill(launch.name, reason=REASON, grace_s=0.5)
        for seen in (await backend.wait(launch.name), await elsewhere):
            assert (Phase.ENDED, REASON) == (seen.phase, seen.diagnosis)

    sweep.play(scenario, backends=2)


def test_output_goes_on_exactly_where_it_was_left(sweep: Sweep) -> None:
    lines = 300
    script = f"i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
    whole = b"".join(b"line %d\n" % number for number in range(lines))

    async def scenario(backend: KubernetesBackend) -> None:
        launch = sweep.launch(script)
        await backend.create(launch)
        heard, left = b"", 0
        while len(heard) < len(whole):
            async with aclosing(backend.output(launch.name, offset=len(heard))) as output:
                async for chunk in output:
                    heard += chunk
                    if len(heard) > 400 * (left + 1):
                        left += 1
                        break
        assert whole == heard
        assert left > 3
        assert whole[-1000:] == await backend.tail(launch.name, max_bytes=1000)
        assert whole == b"".join([chunk async for chunk in backend.output(launch.name)])
        await backend.delete(launch.name)

    sweep.play(scenario)


def test_a_quota_makes_trials_wait_and_all_of_them_run(sweep: Sweep) -> None:
    sweep.kubectl("create", "quota", "two", "--hard=pods=2")
    # The controller counts what there is before the quota holds.
    sweep.cluster.wait_for(
        "quota/two", "jsonpath={.status.hard.pods}=2", f"--namespace={sweep.namespace}"
    )

    async def scenario(backend: KubernetesBackend) -> None:
        async def trial(number: int) -> None:
            launch = sweep.launch("true", number)
            await backend.create(launch)
            assert 0 == (await backend.wait(launch.name)).exit_code
            await backend.delete(launch.name)

        await asyncio.gather(*(trial(number) for number in range(6)))
        assert backend.requests["create pods"] > 6

    sweep.play(scenario)


@pytest.mark.parametrize(
    ("spec", "summary"),
    [
        ({"nodeSelektor": {"a": "b"}}, "nodeSelektor"),
        ({"priorityClassName": "none-such"}, "there is no PriorityClass none-such"),
        ({"serviceAccountName": "none-such"}, "there is no service account none-such"),
        ({"containers": [{"name": "Other", "image": "x"}]}, "spec.containers[1].name"),
    ],
    ids=["wrong field", "priority class", "service account", "container name"],
)
def test_a_dry_run_tells_what_is_wrong(sweep: Sweep, spec: dict[str, Any], summary: str) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        for ask in (backend.dry_run, backend.create):
            with pytest.raises(LaunchError) as caught:
                await ask(sweep.launch("true", **spec))
            assert Category.CREATE_ERROR is caught.value.diagnosis.category
            assert summary in caught.value.diagnosis.summary

    sweep.play(scenario)


def test_a_dry_run_shows_the_pod_and_creates_none(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        shown = await backend.dry_run(sweep.launch("true"), gated=True)
        assert shown is not None
        assert "default-scheduler" == shown["spec"]["schedulerName"]
        assert [] == list(await backend.list(RUN))

    sweep.play(scenario)


def test_without_the_right_to_watch_trials_still_end(
    sweep: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "delete"]}
    ]
    sweep.kubectl(
        "patch", "role", "podmap", "--type=merge", f"--patch={json.dumps({'rules': rules})}"
    )

    async def scenario(backend: KubernetesBackend) -> None:
        launch = sweep.launch("true")
        await backend.create(launch)
        assert 0 == (await backend.wait(launch.name)).exit_code
        await backend.delete(launch.name)
        assert backend.requests["watch pods"]  # and again from time to time: the right may come

    sweep.play(scenario)
    assert 1 == caplog.text.count("not allowed to watch pods")


def test_a_namespace_that_goes_in_mid_run_is_told(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        launch = sweep.launch("sleep 1000")
        await backend.create(launch)
        await backend._namespace.wait_until(launch.name, lambda pod: pod.placed)
        sweep.cluster.kubectl("delete", "namespace", sweep.namespace, "--wait=false")
        seen = await backend.wait(launch.name)
        assert seen.diagnosis is not None
        assert Category.EVICTED is seen.diagnosis.category
        with pytest.raises(LaunchError, match=r"was deleted|no right"):
            await backend.create(sweep.launch("true", 1))

    sweep.play(scenario)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["users"][0]["user"].update(token="expired"), "may have expired"),
        (
            lambda config: config["clusters"][0]["cluster"].pop("certificate-authority-data"),
            "certificate is not trusted",
        ),
        (
            lambda config: config["clusters"][0]["cluster"].update({"tls-server-name": "other"}),
            "certificate is not trusted",
        ),
    ],
    ids=["token", "authority", "name"],
)
def test_a_connection_that_is_wrong_is_told(
    sweep: Sweep, change: Callable[[Any], Any], message: str
) -> None:
    config = json.loads(sweep.account.kubeconfig.read_text())
    change(config)
    sweep.account.kubeconfig.write_text(json.dumps(config))

    async def scenario(backend: KubernetesBackend) -> None:
        backend.client._limit_s = 0.1
        with pytest.raises(BackendError) as caught:
            await backend.client.get(pods_path(sweep.namespace))
        for part in (message, config["clusters"][0]["cluster"]["server"], "kubeconfig"):
            assert part in str(caught.value)

    sweep.play(scenario)


def test_a_lease_is_held_by_one_and_handed_over(sweep: Sweep) -> None:
    async def scenario(backend: KubernetesBackend, other: KubernetesBackend) -> None:
        async def until(test: Callable[[], bool]) -> None:
            while not test():
                await asyncio.sleep(0.05)

        a, b, c = (
            Lease(each.client, sweep.namespace, "podmap-run", name, duration_s=3, renew_every_s=0.5)
            for each, name in ((backend, "a"), (other, "b"), (other, "c"))
        )
        a.start()
        await until(lambda: a.held)
        b.start()
        await until(lambda: b.holder == "a")
        await a.close()
        await until(lambda: b.held)
        c.start()
        await b._task.close()  # type: ignore[union-attr]  # as a process that was killed
        await until(lambda: c.held)
        assert not b.held
        lease = json.loads(sweep.kubectl("get", "lease", "podmap-run", "--output=json"))
        assert ("c", 1) == (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"])
        await c.close()

    sweep.play(scenario, backends=2)
    assert "" == sweep.kubectl("get", "leases", "--output=name")
