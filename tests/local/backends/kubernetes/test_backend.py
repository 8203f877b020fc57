from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from podmap import names
from podmap.backends.base import FullError, GatedAttempt, LaunchError, Phase
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import ApiError
from podmap.backends.kubernetes.client.requests import Client
from podmap.backends.kubernetes.create import QuotaError
from podmap.backends.kubernetes.diagnosis.observe import KILLED_ANNOTATION
from podmap.backends.kubernetes.pauses import Pauses
from podmap.backends.kubernetes.pod.build import RESULT_PATH, SLOT_GATE
from podmap.backends.launch import Launch
from podmap.clock import time_from
from podmap.errors import BackendError, ConflictError, OutputError, SpecError, UsageError
from podmap.records import Category, Diagnosis
from podmap.spec.model import Kubernetes, PodOverlay, TrialTemplate
from podmap.testing.fake_cluster import FakeCluster, Script

RUN = "0123abcd"
REASON = Diagnosis(Category.CANCELLED, "the user stopped it")
HOLD = Script(output="ready\n", last_output="done\n", holds=True)
QUICK = Pauses(request_pauses_s=(0.01, 8.0), quota_pauses_s=(0.02, 0.05), log_pauses_s=(0.01, 10.0))
STUBBORN = replace(HOLD, ignores_term=True)

Scenario = Callable[[KubernetesBackend], Awaitable[None]]


def launch(number: int = 0, *, epoch: str = "e1", **more: Any) -> Launch:
    template = TrialTemplate(image="fake", pod=PodOverlay(spec=more.pop("pod", {})))
    return Launch(
        name=names.attempt_name("digits", RUN, number, 1),
        sweep="digits",
        run_id=RUN,
        number=number,
        attempt=1,
        epoch=epoch,
        argv=("train",),
        template=template,
        **more,
    )


def play(
    cluster: FakeCluster, scenario: Scenario, *, backends: int = 1, pauses: Pauses = QUICK
) -> None:
    async def run() -> None:
        clients = [
            Client(cluster.connection(), limit_s=5.0, pauses=pauses) for _ in range(backends)
        ]
        made = [KubernetesBackend(client, pauses=pauses) for client in clients]
        try:
            await scenario(*made)
        finally:
            for backend in made:
                await backend.close()

    asyncio.run(asyncio.wait_for(run(), 30))


async def open_gate(backend: KubernetesBackend, pod: GatedAttempt, *, limit_s: float = 5) -> None:
    await backend.gates(RUN).open(pod, limit_s=limit_s)


class TestCreating:
    def test_a_trial_costs_three_requests(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            for number in range(20):
                await backend.list(RUN, number=number)
                await backend.create(launch(number))
                await backend.wait(launch(number).name)
                await backend.tail(launch(number).name, max_bytes=1000)
                await backend.delete(launch(number).name)
            assert [] == list(await backend.list(RUN))
            once = {"list pods": 1, "watch pods": 1}
            each = {"create pods": 20, "get pods/log": 20, "delete pods": 20}
            assert {**once, **each} == backend.requests == cluster.requests

        play(cluster, scenario)

    def test_a_lost_answer_creates_one_pod_that_is_ours(self, cluster: FakeCluster) -> None:
        cluster.fail("create", times=2, acts=True)

        async def scenario(backend: KubernetesBackend) -> None:
            seen = await backend.create(launch(epoch="mine"))
            assert "mine" == seen.epoch
            assert [launch().name] == cluster.pod_names()

        play(cluster, scenario)

    def test_what_is_there_is_returned_whatever_its_epoch(self, cluster: FakeCluster) -> None:
        async def scenario(mine: KubernetesBackend, other: KubernetesBackend) -> None:
            await mine.list(RUN)
            await other.create(launch(epoch="first"))
            assert "first" == (await mine.create(launch(epoch="second"))).epoch

        play(cluster, scenario, backends=2)

    def test_a_pod_that_is_being_deleted_is_waited_for_to_go(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(epoch="first", pod={"terminationGracePeriodSeconds": 1}))
            async for _ in backend.output(launch().name):
                break
            cluster.delete_pod(launch().name, grace_s=1)
            assert "second" == (await backend.create(launch(epoch="second"))).epoch

        with FakeCluster(script=STUBBORN, speed=5) as cluster:
            play(cluster, scenario)

    def test_the_limit_counts_what_runs_and_what_is_being_created(self) -> None:
        async def scenario(backend: KubernetesBackend, other: KubernetesBackend) -> None:
            await other.create(launch(0))
            made = await asyncio.gather(
                *(backend.create(launch(number), limit=3) for number in range(1, 10)),
                return_exceptions=True,
            )
            full = [error for error in made if isinstance(error, FullError)]
            assert (2, 7) == (9 - len(full), len(full))
            assert 3 == cluster.most_alive(RUN)
            assert set(full[0].alive) == set(cluster.pod_names())
            await backend.create(launch(20), limit=3, gated=True)
            assert "fake" == (await backend.create(launch(0), limit=3)).image_id or True
            cluster.release(launch(0).name)
            await backend.wait(launch(0).name)
            await backend.create(launch(21), limit=3)
            assert 3 == cluster.most_alive(RUN)

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario, backends=2)

    @pytest.mark.parametrize(
        ("fault", "summary"),
        [
            ({"status": 422, "reason": "Invalid", "message": "no"}, "refuses the pod"),
            ({"status": 404, "message": 'namespaces "ml" not found'}, "no namespace ml"),
            (
                {
                    "status": 403,
                    "message": 'pods is forbidden: User "a" cannot create resource "pods" in API '
                    'group "" in the namespace "ml"',
                },
                "a has no right to create pods",
            ),
        ],
        ids=["invalid", "namespace", "right"],
    )
    def test_what_can_never_be_created_is_told(
        self, cluster: FakeCluster, fault: dict[str, Any], summary: str
    ) -> None:
        cluster.fail("create", **fault)

        async def scenario(backend: KubernetesBackend) -> None:
            with pytest.raises(LaunchError) as caught:
                await backend.create(launch())
            assert Category.CREATE_ERROR is caught.value.diagnosis.category
            assert summary in caught.value.diagnosis.summary

        play(cluster, scenario)

    def test_a_right_that_was_there_before_is_asked_for_again(self, cluster: FakeCluster) -> None:
        no_right = {"status": 403, "message": 'pods is forbidden: User "a" cannot create resource'}

        async def scenario(backend: KubernetesBackend, other: KubernetesBackend) -> None:
            await backend.create(launch(0))
            cluster.fail("create", **no_right)
            with pytest.raises(ApiError):
                await backend.create(launch(1))
            assert 1 == (await backend.create(launch(1))).number
            # One that takes over sees that the run's pods could be created.
            cluster.fail("create", **no_right)
            with pytest.raises(ApiError):
                await other.create(launch(2))
            cluster.fail("create", status=403, message='pods "x" is forbidden: no such thing')
            with pytest.raises(LaunchError):
                await backend.create(launch(2))

        play(cluster, scenario, backends=2)

    def test_a_403_from_before_the_api_server_says_nothing_of_the_pod(
        self, cluster: FakeCluster
    ) -> None:
        cluster.fail("create", status=403, message="blocked by the firewall")

        async def scenario(backend: KubernetesBackend) -> None:
            with pytest.raises(ApiError):
                await backend.create(launch())
            assert launch().name == (await backend.create(launch())).name

        play(cluster, scenario)

    def test_a_pod_without_an_image_is_told(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            with pytest.raises(LaunchError, match=r"trial\.image"):
                await backend.create(replace(launch(), template=None))
            with pytest.raises(SpecError):
                await backend.dry_run(replace(launch(), template=None))

        play(cluster, scenario)

    def test_another_namespace_is_refused(self, cluster: FakeCluster) -> None:
        elsewhere = replace(launch(), placement=Kubernetes(namespace="ml"))

        async def scenario(backend: KubernetesBackend) -> None:
            with pytest.raises(UsageError, match="is for namespace ml, but"):
                await backend.create(elsewhere)
            assert "default" == await backend.namespace()

        play(cluster, scenario)

    def test_a_dry_run_creates_nothing(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            shown = await backend.dry_run(launch(), gated=True)
            assert shown is not None
            assert [{"name": SLOT_GATE}] == shown["spec"]["schedulingGates"]
            assert [] == cluster.pod_names()
            cluster.set_quota(0)
            with pytest.raises(QuotaError, match="used up"):
                await backend.dry_run(launch())
            webhook = {"status": 400, "message": "webhook x does not support dry run"}
            cluster.fail("create", **webhook)
            assert await backend.dry_run(launch()) is None

        play(cluster, scenario)


class TestQuota:
    def test_trials_wait_for_room_and_ask_one_at_a_time(self) -> None:
        async def trial(backend: KubernetesBackend, number: int) -> None:
            await backend.create(launch(number))
            await backend.wait(launch(number).name)
            await backend.delete(launch(number).name)

        async def scenario(backend: KubernetesBackend) -> None:
            trials = [asyncio.ensure_future(trial(backend, n)) for n in range(30)]
            await asyncio.gather(*trials)
            assert not backend.short_of_quota
            assert backend.requests["create pods"] < 4 * 30

        with FakeCluster(script=Script(run_s=0.01), speed=1, quota=3) as cluster:
            play(cluster, scenario)
            assert 3 == cluster.most_alive(RUN)

    def test_after_a_while_it_is_told(self, cluster: FakeCluster) -> None:
        cluster.set_quota(0)

        async def scenario(backend: KubernetesBackend) -> None:
            waiting = [backend.create(launch(number)) for number in range(5)]
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert [QuotaError] * 5 == [type(error) for error in found]
            assert "ResourceQuota fake is used up" in str(found[0])
            assert backend.short_of_quota
            cluster.set_quota(None)
            await backend.create(launch())
            assert not backend.short_of_quota

        play(cluster, scenario, pauses=replace(QUICK, quota_patience_s=0.1))


class TestSlots:
    def test_a_gated_pod_waits_until_it_is_ungated(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            [pod] = await backend.pods(RUN)
            assert (True, False, 0) == (pod.gated, pod.held_by_others, cluster.most_alive(RUN))
            await open_gate(backend, pod)
            assert Phase.ENDED is (await backend.wait(pod.name)).phase
            assert 1 == backend.requests["patch pods"]

        play(cluster, scenario)

    def test_other_gates_stay(self, cluster: FakeCluster) -> None:
        gates = [{"name": "queue.io/wait"}, {"name": SLOT_GATE}]

        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            cluster.change_pod(launch().name, {"spec": {"schedulingGates": gates}})
            await backend.gates(RUN).relist()
            [pod] = await backend.pods(RUN)
            assert (True, True) == (pod.gated, pod.held_by_others)
            await open_gate(backend, pod)
            [pod] = await backend.pods(RUN)
            assert ("queue.io/wait",) == pod.gates

        play(cluster, scenario)

    def test_a_pod_that_has_changed_is_not_ungated(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            [pod] = await backend.pods(RUN)
            with pytest.raises(ConflictError):
                await open_gate(backend, replace(pod, resource_version="1"))
            assert 0 == backend.requests["patch pods"]
            backend._namespace.watch._on_change = lambda pod: None  # type: ignore[union-attr]
            cluster.end_watches()
            cluster.fail("watch", times=None, status=500)
            cluster.change_pod(pod.name, {"metadata": {"annotations": {"a": "b"}}})
            with pytest.raises(ConflictError):
                await open_gate(backend, pod)
            cluster.delete_pod(pod.name)
            with pytest.raises(ConflictError):
                await open_gate(backend, pod)

        play(cluster, scenario)

    @pytest.mark.parametrize(
        "fault", [{}, {"acts": True}, {"delay_s": 30}], ids=["cut", "lost", "slow"]
    )
    def test_what_is_not_known_is_told_and_not_sent_twice(
        self, cluster: FakeCluster, fault: dict[str, Any]
    ) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            [pod] = await backend.pods(RUN)
            cluster.fail("patch", times=None, **fault)
            with pytest.raises(BackendError):
                await open_gate(backend, pod, limit_s=0.3)
            assert 1 == cluster.requests["patch pods"]

        play(cluster, scenario)

    def test_the_lease_of_a_run_is_not_taken_while_the_watch_is_behind(
        self, cluster: FakeCluster
    ) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            async def until(fresh: bool) -> None:
                while backend.fresh is not fresh:
                    await asyncio.sleep(0.005)

            lease = await backend.gates(RUN).lease(lambda: None)
            await until(True)
            cluster.fail("watch", times=None)
            cluster.fail("list", times=None)
            cluster.end_watches()
            await until(False)
            await lease.acquire_or_renew()
            assert (False, None) == (lease.held, cluster.lease(f"podmap-{RUN}"))
            cluster.heal()
            await until(True)
            await lease.acquire_or_renew()
            assert lease.held

        play(cluster, scenario)

    def test_changes_are_told(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            told: list[tuple[Phase, bool]] = []
            end = backend._namespace.subscribe(lambda pod: told.append((pod.seen.phase, pod.there)))
            await backend.create(launch())
            await backend.wait(launch().name)
            await backend.delete(launch().name)
            assert (Phase.PENDING, True) == told[0]
            assert [(Phase.ENDED, True), (Phase.ENDED, False)] == told[-2:]
            end()
            await backend.create(launch(1))
            await backend.wait(launch(1).name)
            assert (Phase.ENDED, False) == told[-1]

        play(cluster, scenario)

    def test_a_list_asked_for_knows_what_the_watch_does_not(self, cluster: FakeCluster) -> None:
        async def scenario(mine: KubernetesBackend, other: KubernetesBackend) -> None:
            await mine.list(RUN)
            cluster.fail("watch", times=None, delay_s=30)
            cluster.end_watches()
            await other.create(launch())
            await mine.gates(RUN).relist()
            assert 1 == len(await mine.pods(RUN))
            assert not mine.fresh

        play(cluster, scenario, backends=2)


class TestEnding:
    def test_a_pod_that_waits_is_killed_and_keeps_the_reason(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            await backend.kill(launch().name, reason=REASON, grace_s=30)
            seen = await backend.wait(launch().name)
            assert (Phase.GONE, REASON) == (seen.phase, seen.diagnosis)
            assert [] == cluster.pod_names()

        play(cluster, scenario)

    def test_a_grace_shorter_than_the_pods_own_is_kept(self) -> None:
        async def scenario(backend: KubernetesBackend, other: KubernetesBackend) -> None:
            await backend.create(launch(pod={"terminationGracePeriodSeconds": 3600}))
            elsewhere = asyncio.ensure_future(other.wait(launch().name))
            await anext(backend.output(launch().name))
            await backend.kill(launch().name, reason=REASON, grace_s=0.1)
            for seen in (await backend.wait(launch().name), await elsewhere):
                assert (Phase.ENDED, REASON, 137) == (seen.phase, seen.diagnosis, seen.exit_code)

        with FakeCluster(script=STUBBORN, speed=1) as cluster:
            play(cluster, scenario, backends=2)

    def test_an_end_that_came_first_is_kept(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await anext(backend.output(launch().name))
            cluster.fail("watch", times=None, delay_s=30)
            cluster.end_watches()
            cluster.release(launch().name)
            await backend.kill(launch().name, reason=REASON, grace_s=30)
            seen = await backend.wait(launch().name)
            assert (Phase.ENDED, 0, None) == (seen.phase, seen.exit_code, seen.diagnosis)
            pod = cluster.pod(launch().name)
            assert pod is not None
            assert KILLED_ANNOTATION not in pod["metadata"]["annotations"]

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_a_kill_goes_on_when_its_call_is_cancelled(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await anext(backend.output(launch().name))
            cluster.fail("patch", delay_s=0.1, status=500)
            call = asyncio.ensure_future(backend.kill(launch().name, reason=REASON, grace_s=30))
            await asyncio.sleep(0.01)
            call.cancel()
            assert REASON == (await backend.wait(launch().name)).diagnosis

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_the_first_of_two_reasons_counts(self) -> None:
        async def scenario(one: KubernetesBackend, two: KubernetesBackend) -> None:
            await one.create(launch(pod={"terminationGracePeriodSeconds": 1}))
            await anext(two.output(launch().name))
            first = asyncio.ensure_future(one.kill(launch().name, reason=REASON, grace_s=1))
            while not (await two.pods(RUN))[0].killing:
                await asyncio.sleep(0.001)
            second = replace(REASON, summary="another")
            await two.kill(launch().name, reason=second, grace_s=1)
            await first
            assert REASON == (await two.wait(launch().name)).diagnosis

        with FakeCluster(script=STUBBORN, speed=5) as cluster:
            play(cluster, scenario, backends=2)

    def test_deleting_by_hand_is_seen(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await anext(backend.output(launch().name))
            waiter = asyncio.ensure_future(backend.wait(launch().name))
            cluster.delete_pod(launch().name)
            seen = await waiter
            assert Phase.GONE is seen.phase
            assert seen.diagnosis is not None
            assert seen == await backend.wait(launch().name)

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_what_ended_and_was_removed_by_others_has_still_ended(
        self, cluster: FakeCluster
    ) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            ended = await backend.wait(launch().name)
            cluster.delete_pod(launch().name)
            while await backend.list(RUN):
                await asyncio.sleep(0.001)
            assert ended == await backend.wait(launch().name)
            await backend.delete(launch().name)
            assert Phase.GONE is (await backend.wait(launch().name)).phase

        play(cluster, scenario)

    def test_deleting_means_the_pod_that_was_seen(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await backend.wait(launch().name)
            cluster.fail("watch", times=None, delay_s=30)
            cluster.end_watches()
            cluster.delete_pod(launch().name)
            await backend.client.create("/api/v1/namespaces/default/pods", _stranger())
            await backend.delete(launch().name)
            assert [] == cluster.pod_names()
            assert 2 == backend.requests["delete pods"]

        play(cluster, scenario, pauses=replace(QUICK, end_check_every_s=0.05))

    def test_a_timeout_counts_from_the_containers_start(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(0, timeout_s=0.05), gated=True)
            await backend.create(launch(1, timeout_s=0.05))
            waiting = asyncio.ensure_future(backend.wait(launch(0).name))
            seen = await backend.wait(launch(1).name)
            assert seen.diagnosis is not None
            assert Category.USER_TIMEOUT is seen.diagnosis.category
            assert not waiting.done()
            waiting.cancel()

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_a_clock_that_is_wrong_does_not_end_what_has_just_started(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(timeout_s=3600), gated=True)
            waiter = asyncio.ensure_future(backend.wait(launch().name))
            await asyncio.sleep(0.01)
            [pod] = await backend.pods(RUN)
            await open_gate(backend, pod)
            await anext(backend.output(launch().name))
            cluster.release(launch().name)
            seen = await waiter
            assert (0, None) == (seen.exit_code, seen.diagnosis)
            assert 1 == backend.requests["patch pods"]  # no kill

        with FakeCluster(script=HOLD, clock_behind_s=86_400) as cluster:
            play(cluster, scenario)

    def test_a_clock_of_ours_that_is_wrong_does_not_end_what_is_adopted(self) -> None:
        async def begin(backend: KubernetesBackend) -> None:
            await backend.create(launch(timeout_s=3600))
            await anext(backend.output(launch().name))

        async def adopt(backend: KubernetesBackend) -> None:
            waiter = asyncio.ensure_future(backend.wait(launch().name))
            while not backend.requests["watch pods"]:
                await asyncio.sleep(0.001)
            for _ in range(5):
                await backend.tail(launch().name, max_bytes=100)
            cluster.release(launch().name)
            assert (0, None) == ((seen := await waiter).exit_code, seen.diagnosis)
            assert 0 == backend.requests["patch pods"]  # no kill

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, begin)
            with time_from(lambda: datetime.now(timezone.utc) + timedelta(days=1)):
                play(cluster, adopt)

    def test_an_image_that_cannot_be_pulled_ends_the_attempt(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            seen = await backend.wait(launch().name)
            assert Phase.ENDED is seen.phase
            assert seen.diagnosis is not None
            assert Category.IMAGE_PULL is seen.diagnosis.category
            await backend.delete(launch().name)
            while cluster.pod_names():
                await asyncio.sleep(0.001)

        never = Script(waiting="ImagePullBackOff", message="manifest unknown")
        with FakeCluster(script=never) as cluster:
            play(cluster, scenario)

    def test_the_namespace_going_away_is_told(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            for number in range(3):
                await backend.create(launch(number))
            waiters = [asyncio.ensure_future(backend.wait(launch(n).name)) for n in range(3)]
            cluster.delete_namespace()
            seen = await asyncio.gather(*waiters)
            assert [Phase.GONE] * 3 == [each.phase for each in seen]
            with pytest.raises(LaunchError, match="the namespace default was deleted"):
                await backend.create(launch(7))

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_waiting_survives_an_outage(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            waiter = asyncio.ensure_future(backend.wait(launch().name))
            await anext(backend.output(launch().name))
            for verb in ("watch", "list"):
                cluster.fail(verb, times=3)
            cluster.expire_watches()
            cluster.release(launch().name)
            assert 0 == (await waiter).exit_code

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario)

    def test_those_who_wait_are_told_of_a_long_outage(self) -> None:
        pauses = replace(QUICK, recheck_every_s=0.01, outage_patience_s=0.05, list_limit_s=0.05)

        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            waiter = asyncio.ensure_future(backend.wait(launch().name))
            cluster.fail("watch", times=None, status=500)
            cluster.end_watches()
            with pytest.raises(BackendError, match="watch pods in namespace default"):
                await waiter
            with pytest.raises(BackendError):
                await backend.list(RUN)

        with FakeCluster(script=HOLD) as cluster:
            play(cluster, scenario, pauses=pauses)


class TestNotices:
    def test_what_a_pod_waits_for_is_told_once_and_again_when_it_changes(
        self, cluster: FakeCluster
    ) -> None:
        def no_node_takes_it(why: str) -> dict[str, Any]:
            told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            return {"status": {"phase": "Pending", "conditions": [{**told, "message": why}]}}

        async def scenario(backend: KubernetesBackend) -> None:
            name = (await backend.create(launch(), gated=True)).name
            notices = backend.notices(name)
            first = asyncio.ensure_future(anext(notices))
            cluster.change_pod(name, no_node_takes_it("Insufficient memory."))
            await backend._namespace.wait_until(name, lambda pod: pod.raw is not None)
            assert not first.done()  # it waits for its slot
            cluster.change_pod(name, {"spec": {"schedulingGates": None}})
            assert "no node takes it: Insufficient memory." in await first
            cluster.change_pod(name, no_node_takes_it("untolerated taint."))
            assert "Tolerate the taint" in await anext(notices)
            cluster.delete_pod(name)
            with pytest.raises(StopAsyncIteration):
                await anext(notices)

        play(cluster, scenario, pauses=replace(QUICK, notice_every_s=0.01))


class TestLogs:
    def lines(self, count: int) -> str:
        return "".join(f"line {number} {'x' * (number % 90)}\n" for number in range(count))

    @pytest.mark.parametrize("count", [0, 1, 40, 5000], ids=str)
    @pytest.mark.parametrize("max_bytes", [1, 100, 10_000])
    def test_the_tail_is_exact(self, count: int, max_bytes: int) -> None:
        text = self.lines(count).encode()

        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await backend.wait(launch().name)
            assert text[-max_bytes:] == await backend.tail(launch().name, max_bytes=max_bytes)

        with FakeCluster(script=Script(output=self.lines(count))) as cluster:
            play(cluster, scenario)

    def test_short_lines_are_asked_for_again(self) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await backend.wait(launch().name)
            assert b"\n" * 5000 == await backend.tail(launch().name, max_bytes=5000)

        with FakeCluster(script=Script(output="\n" * 6000)) as cluster:
            play(cluster, scenario)

    def test_a_stream_that_breaks_goes_on_exactly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = self.lines(3000).encode()

        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            heard = b""
            cluster.cut_logs(20_000)
            async for chunk in backend.output(launch().name):
                heard += chunk
                cluster.cut_logs(20_000 + 2 * len(heard))
                if heard == text:
                    cluster.release(launch().name)
            assert text + b"done\n" == heard
            assert backend.requests["get pods/log"] > 2

        monkeypatch.setattr("podmap.testing.fake_cluster.server.LOG_CHUNK", 5000)
        with FakeCluster(script=replace(HOLD, output=text.decode())) as cluster:
            play(cluster, scenario)

    def test_a_log_that_is_kept_back_is_told_and_read_later(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await backend.wait(launch().name)
            cluster.fail("get", "pods/log", times=None, status=500, message="dial tcp: refused")
            with pytest.raises(OutputError, match=r"log of digits-.* cannot be read"):
                await backend.tail(launch().name, max_bytes=100)
            with pytest.raises(OutputError, match="dial tcp: refused"):
                [chunk async for chunk in backend.output(launch().name)]
            cluster.heal()
            assert b"" == await backend.tail(launch().name, max_bytes=100)

        play(cluster, scenario)

    def test_a_cluster_that_does_not_answer_is_told(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch())
            await backend.wait(launch().name)
            cluster.fail("get", "pods/log", times=None)
            with pytest.raises(BackendError, match="cannot reach"):
                await backend.tail(launch().name, max_bytes=100)
            with pytest.raises(BackendError, match="cannot reach"):
                [chunk async for chunk in backend.output(launch().name)]
            cluster.heal()
            assert b"" == b"".join([chunk async for chunk in backend.output(launch().name)])

        play(cluster, scenario)

    def test_what_never_started_has_no_log(self, cluster: FakeCluster) -> None:
        async def scenario(backend: KubernetesBackend) -> None:
            await backend.create(launch(), gated=True)
            assert b"" == await backend.tail(launch().name, max_bytes=100)
            heard = asyncio.ensure_future(_all(backend, launch().name))
            await asyncio.sleep(0)
            await backend.delete(launch().name)
            assert b"" == await heard
            assert 0 == backend.requests["get pods/log"]

        play(cluster, scenario)


def test_results_are_where_the_kubelet_reads_them(cluster: FakeCluster) -> None:
    backend = KubernetesBackend.connect(cluster.connection())
    assert RESULT_PATH == backend.result_path(launch().name)


def test_without_the_extra_it_is_told_what_to_install(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "podmap.backends.kubernetes.client.requests")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(UsageError, match=r"pip install 'podmap\[kubernetes\]'"):
        KubernetesBackend.connect(cluster.connection())


def test_a_name_that_is_none_is_refused(cluster: FakeCluster) -> None:
    async def scenario(backend: KubernetesBackend) -> None:
        with pytest.raises(UsageError, match="not the name of an attempt"):
            await backend.wait("stranger")

    play(cluster, scenario)


async def _all(backend: KubernetesBackend, name: str) -> bytes:
    return b"".join([chunk async for chunk in backend.output(name)])


def _stranger() -> dict[str, Any]:
    from podmap.backends.kubernetes.pod.build import build_pod

    return build_pod(launch(epoch="other"), gated=True, namespace="default")
