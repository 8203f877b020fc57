"""Deaths and askings anew at the worst moments, on a real Kubernetes: nothing runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podmap.backends.connect import Target, connect
from podmap.backends.kubernetes.pod.build import build_pod
from podmap.engine.launch import Launcher
from podmap.engine.planned import PlannedRun
from podmap.ledger.encode import dump_manifest
from podmap.ledger.ledger import Ledger
from podmap.names import content_digest
from podmap.records import Category, TrialState

from .conftest import Cluster
from .proxy import ApiProxy
from .runs import Marks, Processes, free_lease, prepare, wait_until

pytestmark = pytest.mark.cluster

POD = r".*/pods/[^/]+"
PODS = r".*/pods"
LOG = r".*/pods/[^/]+/log"


@pytest.fixture
def marks(cluster: Cluster, tmp_path: Path) -> Marks:
    if not cluster.is_local:
        pytest.skip("only the pods of dev/cluster write to this machine's files")
    return Marks.make(tmp_path / "marks")


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


@pytest.fixture
def proxy(account: Cluster) -> Iterator[ApiProxy]:
    with ApiProxy(account.kubeconfig) as proxy:
        yield proxy


class Scene:
    """A run of two trials at once, and who works on it."""

    def __init__(
        self, cluster: Cluster, account: Cluster, namespace: str, folder: Path, marks: Marks
    ) -> None:
        self.cluster, self.account, self.namespace = cluster, account, namespace
        self.folder, self.marks = folder, marks

    def prepare(self, image: str, script: str, **more: Any) -> Ledger:
        spec = self.marks.spec(image, script, **{"trials": 2, "parallelism": 2, **more})
        return prepare(spec, self.folder)

    def pods(self) -> dict[str, Any]:
        """The run's pods by name."""
        items = self.cluster.get("pods", f"--namespace={self.namespace}")["items"]
        return {item["metadata"]["name"]: item for item in items}

    def check(self, ledger: Ledger, epoch: str, attempts: list[int]) -> None:
        """Both trials are COMPLETE in this epoch, after these attempts, and nothing is left."""
        records = list(ledger.records())
        assert [(TrialState.COMPLETE, epoch)] * 2 == [(r.state, r.epoch) for r in records]
        assert [attempts] * 2 == [[a.number for a in record.attempts] for record in records]
        assert {} == self.pods()


@pytest.fixture
def scene(
    cluster: Cluster, account: Cluster, namespace: str, tmp_path: Path, marks: Marks
) -> Scene:
    return Scene(cluster, account, namespace, tmp_path, marks)


@pytest.mark.parametrize(
    ("method", "path", "states"),
    [
        ("GET", LOG, [TrialState.RUNNING] * 2),
        ("DELETE", POD, [TrialState.COMPLETE] * 2),
    ],
    ids=["before the record", "between record and event"],
)
def test_an_end_counts_once_whenever_its_process_is_killed(
    scene: Scene,
    proxy: ApiProxy,
    processes: Processes,
    image: str,
    method: str,
    path: str,
    states: list[TrialState],
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end", logs="tail")
    held = [proxy.hold(method, path, forwards=False) for _ in range(2)]
    process = processes.start(ledger, proxy.kubeconfig(scene.folder / "proxied"))
    for each in held:
        each.wait()
    process.kill()
    process.wait()
    assert states == [record.state for record in ledger.records()]
    assert 2 == len(scene.pods())

    assert 0 == processes.start(ledger, scene.account.kubeconfig).wait(90)
    assert [(0, 1), (1, 1)] == sorted(scene.marks.of("start"))
    scene.check(ledger, "e1", [1])


def test_a_pod_whose_creators_death_came_before_the_answer_is_adopted(
    scene: Scene, proxy: ApiProxy, processes: Processes, image: str
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end")
    held = [proxy.hold("POST", PODS, forwards=True) for _ in range(2)]
    process = processes.start(ledger, proxy.kubeconfig(scene.folder / "proxied"))
    for each in held:
        each.wait()
    process.kill()
    process.wait()
    uids = {item["metadata"]["uid"] for item in scene.pods().values()}
    assert 2 == len(uids)
    free_lease(scene.cluster, scene.namespace, ledger)

    assert 0 == processes.start(ledger, scene.account.kubeconfig).wait(90)
    assert [(0, 1), (1, 1)] == sorted(scene.marks.of("start"))
    scene.check(ledger, "e1", [1])


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PODS), ("PATCH", POD), ("DELETE", POD)],
    ids=["create", "gate", "delete"],
)  # fmt: skip
def test_a_lost_answer_starts_nothing_twice(
    scene: Scene, proxy: ApiProxy, processes: Processes, image: str, method: str, path: str
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end")
    lost = proxy.lose_answers(method, path, times=2)
    process = processes.start(ledger, proxy.kubeconfig(scene.folder / "proxied"))
    assert 0 == process.wait(90)
    assert 0 == lost.times
    assert [(0, 1), (1, 1)] == sorted(scene.marks.of("start"))
    scene.check(ledger, "e1", [1])


@pytest.mark.parametrize("killed", [True, False], ids=["its process was killed", "it is alive"])
def test_asked_for_anew_while_it_runs_the_old_pod_gives_way_and_only_the_new_one_counts(
    scene: Scene, processes: Processes, image: str, killed: bool
) -> None:
    ledger = scene.prepare(image, "mark start; hold; result; mark end")
    old = processes.start(ledger, scene.account.kubeconfig, "e1")
    wait_until(lambda: len(scene.marks.of("start")) == 2, "both trials to run")
    if killed:
        old.kill()
        old.wait()
        free_lease(scene.cluster, scene.namespace, ledger)
    new = processes.start(ledger, scene.account.kubeconfig, "e2")
    wait_until(lambda: len(scene.marks.of("start")) == 4, "both trials to run anew")
    scene.marks.release()
    assert 0 == new.wait(90)
    assert killed or 0 == old.wait(90)
    assert [(0, 1), (0, 2), (1, 1), (1, 2)] == sorted(scene.marks.of("start"))
    assert [(0, 2), (1, 2)] == sorted(scene.marks.of("end"))
    scene.check(ledger, "e2", [2])
    given_way = [ledger.attempts(number)[0].diagnosis for number in range(2)]
    assert [Category.CANCELLED] * 2 == [each.category for each in given_way if each]


def test_a_pod_of_that_name_made_by_another_asking_is_not_adopted(
    scene: Scene, proxy: ApiProxy, processes: Processes, image: str
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end", trials=1, parallelism=1)
    held = proxy.hold("POST", PODS, forwards=False)
    process = processes.start(ledger, proxy.kubeconfig(scene.folder / "proxied"), "e1")
    held.wait()
    scene.cluster.create(named_pod(ledger, scene.namespace, epoch="e0", gated=True))
    held.release()
    assert 0 == process.wait(90)
    assert [(0, 2)] == scene.marks.of("start")
    [record] = ledger.records()
    assert (TrialState.COMPLETE, [2]) == (record.state, [a.number for a in record.attempts])
    assert {} == scene.pods()


def test_a_pod_of_that_name_that_is_being_deleted_is_not_adopted(
    scene: Scene, proxy: ApiProxy, processes: Processes, image: str
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end", trials=1, parallelism=1)
    held = proxy.hold("POST", PODS, forwards=False)
    process = processes.start(ledger, proxy.kubeconfig(scene.folder / "proxied"), "e1")
    held.wait()
    name = deleted_by_hand(scene, ledger)
    held.release()
    assert 0 == process.wait(90)
    assert [(0, 1)] == scene.marks.of("start")
    [record] = ledger.records()
    assert (TrialState.COMPLETE, [name]) == (record.state, [a.pod for a in record.attempts])
    assert {} == scene.pods()


def test_a_pod_that_is_being_deleted_is_waited_for_and_followed_by_another(
    scene: Scene, processes: Processes, image: str
) -> None:
    ledger = scene.prepare(image, "mark start; result; mark end", trials=1, parallelism=1)
    deleted_by_hand(scene, ledger)
    assert 0 == processes.start(ledger, scene.account.kubeconfig, "e1").wait(90)
    assert [(0, 2)] == scene.marks.of("start")
    [record] = ledger.records()
    lost, done = record.attempts
    assert (TrialState.COMPLETE, None) == (record.state, done.diagnosis)
    assert lost.diagnosis is not None
    assert Category.EVICTED is lost.diagnosis.category
    assert {} == scene.pods()


# A loop that ends at once may leave a connection to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <(function _SelectorTransport|socket.socket)"
    ":pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.airflow
def test_a_late_triggerer_that_is_told_to_kill_ends_nothing(
    scene: Scene, processes: Processes, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from podmap.airflow import triggerer
    from podmap.airflow.pods.trigger import TrialTrigger

    ledger = scene.prepare(image, "mark start; hold; result; mark end")
    old = processes.start(ledger, scene.account.kubeconfig, "e1")
    wait_until(lambda: len(scene.marks.of("start")) == 2, "both trials to run")
    old.kill()
    old.wait()
    free_lease(scene.cluster, scene.namespace, ledger)
    process = processes.start(ledger, scene.account.kubeconfig, "e2")
    wait_until(lambda: len(scene.marks.of("start")) == 4, "both trials to run anew")
    before = {name: item["metadata"]["uid"] for name, item in scene.pods().items()}
    monkeypatch.setenv("KUBECONFIG", str(scene.account.kubeconfig))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE_ROOTS", ledger.run_uri)
    manifest = ledger.read_manifest()
    digest = content_digest(dump_manifest(manifest))
    run = {"uri": ledger.run_uri, "digest": digest, "backend": "kubernetes"}

    def told_to_kill(state: str, epoch: str) -> None:
        async def task_state(ti: Any) -> str:
            return state

        monkeypatch.setattr(triggerer, "task_state", task_state)
        trigger = TrialTrigger(run=run, map_index=0, epoch=epoch)
        monkeypatch.setattr("podmap.airflow.pods.trigger.owner_of", lambda _: manifest.owner)
        ti = SimpleNamespace(task_id="sweep.trials", map_index=0)
        trigger.task_instance = ti  # type: ignore[assignment]  # what of it is asked for
        asyncio.run(asyncio.wait_for(trigger.on_kill(), 90))

    told_to_kill("deferred", "e2")  # its triggers went to another triggerer
    told_to_kill("failed", "e1")  # it was asked for anew since
    after = scene.pods()
    assert before == {name: item["metadata"]["uid"] for name, item in after.items()}
    assert not any("deletionTimestamp" in item["metadata"] for item in after.values())
    assert [("e2", TrialState.RUNNING)] * 2 == [(r.epoch, r.state) for r in ledger.records()]

    told_to_kill("failed", "e2")  # by a user, now
    scene.marks.release()
    assert 0 == process.wait(90)
    assert [TrialState.CANCELLED, TrialState.COMPLETE] == [r.state for r in ledger.records()]
    assert [(1, 2)] == scene.marks.of("end")
    assert {} == scene.pods()


def named_pod(ledger: Ledger, namespace: str, *, epoch: str, gated: bool) -> dict[str, Any]:
    """The pod of the first attempt of trial 0, as another process would have made it."""
    backend = connect(Target("kubernetes"))
    planned = PlannedRun.open(ledger)
    launcher = Launcher.of(planned, backend.result_path)
    launch = launcher.make_launch(planned.plan.trial(0), epoch=epoch)
    return build_pod(launch, gated=gated, namespace=namespace)


def deleted_by_hand(scene: Scene, ledger: Ledger) -> str:
    """A pod of trial 0 that goes on for some seconds though it was deleted; its name."""
    made = named_pod(ledger, scene.namespace, epoch="e1", gated=False)
    made["spec"]["terminationGracePeriodSeconds"] = 5
    made["spec"]["containers"][0]["command"] = ["sh", "-c", "trap '' TERM; sleep 1000 & wait; wait"]
    scene.cluster.create(made)
    name = str(made["metadata"]["name"])
    within = f"--namespace={scene.namespace}"
    scene.cluster.wait_for(f"pod/{name}", "condition=Ready", within)
    scene.cluster.kubectl("delete", f"pod/{name}", "--wait=false", within)
    return name
