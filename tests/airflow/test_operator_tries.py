"""Tries of `TrialPodOperator` against a fake cluster: what the ledger and Airflow are told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    TaskDeferred,
)

from podmap.airflow import exceptions
from podmap.airflow.exceptions import TrialRetryPolicy
from podmap.airflow.operator.attempt import PodAttempt, cancel_left_trials
from podmap.airflow.operator.operator import TrialPodOperator
from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.launch import Launcher
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.ledger.encode import dump_manifest
from podmap.ledger.ledger import Ledger
from podmap.names import attempt_name, content_digest, new_epoch
from podmap.records import Category, Record, TrialState
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script

pytestmark = pytest.mark.airflow

RUN_ID = "0a1b2c3d"
NAME = "by-operator"
GOOD = Script(run_s=0.1, result='{"n": 7}', output="training\n")
made: list[TrialPodOperator] = []


@dataclass
class Tried:
    """A task instance that Airflow tries again and again, without Airflow."""

    run: dict[str, str]
    number: int = 0
    retries: int = 10
    deferrable: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=itertools.count)
    tried: int = 0
    cleared_at: int = 0
    delays: list[float | None] = field(default_factory=list)

    def operator(self) -> TrialPodOperator:
        operator = TrialPodOperator(
            task_id="trials",
            run=self.run,
            numbers=self.number,
            retries=self.retries,
            deferrable=self.deferrable,
            startup_check_interval_seconds=0,
            base_container_status_polling_interval=0.05,
            **self.options,
        )
        made.append(operator)
        return operator

    def context(self) -> Any:
        ti = SimpleNamespace(
            id=f"try-{self.number}{next(self.ids)}",
            dag_id="dag",
            task_id="trials",
            run_id="run",
            map_index=0,
            try_number=self.tried,
            max_tries=self.cleared_at + self.retries,
            xcom_push=lambda **_: None,
        )
        return {"ti": ti, "run_id": "run", "dag": SimpleNamespace(), "task_state_store": None}

    def once(self, operator: TrialPodOperator | None = None) -> None:
        """One try; a deferral is carried through."""
        self.tried += 1
        operator, context = operator or self.operator(), self.context()
        try:
            operator.execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(first_event(deferred.trigger))
            resumed = self.operator()
            resumed.trigger_reentry(context, event)

    def clear(self) -> None:
        """As a user does in Airflow."""
        self.cleared_at = self.tried

    def to_the_end(self) -> BaseException | None:
        """Tries until Airflow would not; how the last try failed."""
        while True:
            try:
                self.once()
            except exceptions.TrialFailed as error:
                decision = TrialRetryPolicy().evaluate(error, self.tried, self.retries)
                if decision.action.value == "fail" or self.tried > self.cleared_at + self.retries:
                    return error
                delay = decision.retry_delay
                self.delays.append(None if delay is None else delay.total_seconds())
            else:
                return None

    @property
    def record(self) -> Record:
        record = Ledger.open(self.run["uri"]).read_record(self.number)
        assert record is not None
        return record


async def first_event(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError("the trigger gave no event")


def planned(store: Path, **changes: Any) -> dict[str, str]:
    spec = {
        "apiVersion": "podmap/v1",
        "name": NAME,
        "search": {"kind": "list", "items": [{"x": 1}]},
        "objective": {"metric": "n", "direction": "maximize"},
        "trial": {"image": "example.com/train:1", "command": ["train"]},
        **changes,
    }
    planned = prepare_run(
        load(spec),
        store=str(store),
        run_id=RUN_ID,
        owner={"kind": "airflow", "dag_id": "dag", "run_id": "run", "group_id": ""},
        folder="",
        target=Target("kubernetes", namespace="default"),
    )
    return {
        "uri": planned.ledger.run_uri,
        "digest": content_digest(dump_manifest(planned.manifest)),
        "backend": "kubernetes",
        "namespace": "default",
        "connection": "",
    }


@pytest.fixture
def tell() -> dict[int, Script]:
    """Attempt number to what happens to its pod."""
    return {}


@pytest.fixture
def cluster(
    tell: dict[int, Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeCluster]:
    def script(pod: Any) -> Script:
        return tell.get(int(pod["metadata"]["labels"]["podmap.io/attempt"]), GOOD)

    def close() -> None:
        """Closes what the provider leaves open, as the end of a worker does."""
        while made:
            operator = made.pop()
            if "client" in operator.__dict__:
                pools = operator.client.api_client.rest_client.pool_manager.pools
                for pool in [pools[key] for key in list(pools.keys())]:
                    pool.close()

    with FakeCluster(script=script) as cluster, contextlib.ExitStack() as stack:
        stack.callback(close)
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        monkeypatch.setenv("KUBECONFIG", kubeconfig)
        monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path))
        # The client of the provider reads the variable when it is imported.
        monkeypatch.setattr(
            "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig
        )
        yield cluster


@pytest.fixture(params=[False, True], ids=["sync", "deferrable"])
def tried(request: pytest.FixtureRequest, cluster: FakeCluster, tmp_path: Path) -> Tried:
    return Tried(planned(tmp_path), deferrable=request.param)


def test_a_result_comes_through_the_pods_status(cluster: FakeCluster, tried: Tried) -> None:
    assert tried.to_the_end() is None
    record = tried.record
    assert (TrialState.COMPLETE, 7, {"n": 7}) == (record.state, record.objective, record.metrics)
    assert "training\n" == record.log_tail
    assert [] == cluster.pod_names()


def test_the_pod_is_podmaps_with_the_operators_own_on_top(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    bodies: list[Any] = []

    class Callback:
        @staticmethod
        def on_pod_manifest_created(*, pod_request: Any, client: Any, **_: Any) -> None:
            bodies.append(client.api_client.sanitize_for_serialization(pod_request))

        def __getattr__(self, name: str) -> Any:
            return lambda **_: None

    options = {
        "callbacks": [Callback()],
        "labels": {"team": "a"},
        "env_vars": {"EXTRA": "1"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
    }
    overlay = {"spec": {"containers": [{"name": "helper", "image": "example.com/helper"}]}}
    trial = {"image": "example.com/train:1", "command": ["train"], "pod": overlay}
    tried = Tried(planned(tmp_path, trial=trial), options=options)
    assert tried.to_the_end() is None
    (pod,) = bodies
    assert attempt_name(NAME, RUN_ID, 0, 1) == pod["metadata"]["name"]
    labels = pod["metadata"]["labels"]
    assert ("a", "podmap", "op-try-00") == (
        labels["team"],
        labels["app.kubernetes.io/managed-by"],
        labels["podmap.io/epoch"],
    )
    main, helper = pod["spec"]["containers"]
    assert ("trial", "/podmap/result", "FallbackToLogsOnError") == (
        main["name"],
        main["terminationMessagePath"],
        main["terminationMessagePolicy"],
    )
    assert {"EXTRA", "PODMAP_RESULT"} <= {each["name"] for each in main["env"]}
    assert ("helper", [{"key": "gpu", "operator": "Exists"}]) == (
        helper["name"],
        pod["spec"]["tolerations"],
    )
    assert "schedulingGates" not in pod["spec"]
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_an_exit_code_fails_with_its_class_and_spends_no_infra(
    tell: dict[int, Script], tried: Tried
) -> None:
    tell[1] = Script(run_s=0.1, exit_code=3, result="", last_output="boom\n")
    error = tried.to_the_end()
    assert type(error) is exceptions.UserExit
    assert "user_exit: the training command ended with exit code 3: boom" in str(error)
    assert (TrialState.FAILED, 1) == (tried.record.state, len(tried.record.attempts))


def test_user_retries_are_spent_by_the_user_alone(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    broken = Script(run_s=0.1, exit_code=3, result="")
    tell.update({1: broken, 2: broken})
    tried = Tried(planned(tmp_path, retries={"user": 2}))
    assert tried.to_the_end() is None
    assert [None, None] == tried.delays
    attempts = tried.record.attempts
    assert ["user_exit", "user_exit", None] == [
        each.diagnosis and each.diagnosis.category.value for each in attempts
    ]
    assert [1, 2, 3] == [each.number for each in attempts]


def test_a_pod_deleted_by_hand_is_tried_again_at_once(
    cluster: FakeCluster, tell: dict[int, Script], tried: Tried
) -> None:
    tell[1] = Script(holds=True)
    first = attempt_name(NAME, RUN_ID, 0, 1)

    def delete() -> None:
        while cluster.pod(first) is None or not cluster.pod(first)["status"].get("startTime"):
            pass
        cluster.delete_pod(first)

    hand = threading.Thread(target=delete)
    hand.start()
    assert tried.to_the_end() is None
    hand.join()
    lost, good = tried.record.attempts
    assert lost.diagnosis is not None
    assert (
        exceptions.InfrastructureError
        in type(exceptions.failure_class(lost.diagnosis.category)(0, 1, lost.diagnosis)).__mro__
    )
    assert (None, [0.0]) == (good.diagnosis, tried.delays)


def gone_pods_event(tried: Tried, cluster: FakeCluster) -> tuple[Any, Any]:
    """A deferred try whose pod is gone before anybody waits for it; the context and the event."""
    tried.tried += 1
    context = tried.context()
    with pytest.raises(TaskDeferred) as deferred:
        tried.operator().execute(context)
    cluster.delete_pod(attempt_name(NAME, RUN_ID, 0, 1))
    return context, asyncio.run(first_event(deferred.value.trigger))


def ends(tried: Tried) -> list[tuple[int, str]]:
    """Number and category of each attempt in the record."""
    return [
        (each.number, each.diagnosis.category.value if each.diagnosis else "")
        for each in tried.record.attempts
    ]


def test_a_worker_stopped_after_its_attempt_has_ended_cancels_nothing(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True)
    tried = Tried(planned(tmp_path), deferrable=True)
    context, event = gone_pods_event(tried, cluster)
    resumed = tried.operator()
    with pytest.raises(exceptions.NodeLost):
        resumed.trigger_reentry(context, event)
    # A word of the try before comes late: Airflow tries again, and stops this worker.
    resumed.on_kill()
    assert TrialState.WAITING is tried.record.state
    assert tried.to_the_end() is None
    assert [(1, "node_lost"), (2, "")] == ends(tried)


def test_a_worker_stopped_late_leaves_the_attempt_of_the_next_try(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = tell[2] = Script(holds=True, result='{"n": 7}')
    tried = Tried(planned(tmp_path), deferrable=True)
    context, event = gone_pods_event(tried, cluster)
    resumed = tried.operator()
    with pytest.raises(exceptions.NodeLost):
        resumed.trigger_reentry(context, event)
    tried.tried += 1
    following = tried.context()
    with pytest.raises(TaskDeferred) as deferred:
        tried.operator().execute(following)
    resumed.on_kill()
    second = attempt_name(NAME, RUN_ID, 0, 2)
    assert [second] == cluster.pod_names()
    cluster.release(second)
    tried.operator().trigger_reentry(following, asyncio.run(first_event(deferred.value.trigger)))
    assert [(1, "node_lost"), (2, "")] == ends(tried)


def test_a_stopped_workers_attempt_stays_in_the_record_when_airflow_tries_again(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = tell[2] = Script(holds=True)
    tried = Tried(planned(tmp_path, retries={"infra": 1}), deferrable=True)
    context, event = gone_pods_event(tried, cluster)
    with pytest.raises(exceptions.NodeLost):
        tried.operator().trigger_reentry(context, event)
    tried.tried += 1
    stopped = tried.operator()
    with pytest.raises(TaskDeferred):
        stopped.execute(tried.context())
    stopped.on_kill()
    assert TrialState.CANCELLED is tried.record.state
    tell[3] = Script(run_s=0.1, exit_code=3, result="")
    assert type(tried.to_the_end()) is exceptions.UserExit
    assert [(1, "node_lost"), (2, "cancelled"), (3, "user_exit")] == ends(tried)


def test_an_attempt_whose_pod_goes_while_it_is_taken_over_is_written(
    cluster: FakeCluster, tell: dict[int, Script], tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell[1] = Script(holds=True)
    first = attempt_name(NAME, RUN_ID, 0, 1)
    left = Tried(tried.run, deferrable=True)
    left.tried = 1
    with pytest.raises(TaskDeferred):
        left.operator().execute(left.context())
    found = PodAttempt.find_or_prepare

    async def find_and_lose(self: PodAttempt) -> bool:
        again = await found(self)
        if self.name == first:
            cluster.delete_pod(first)
        return again

    monkeypatch.setattr(PodAttempt, "find_or_prepare", find_and_lose)
    assert tried.to_the_end() is None
    # The watch may have told of the deletion, or not.
    assert ends(tried) in ([(1, "node_lost"), (2, "")], [(1, "evicted"), (2, "")])


@pytest.mark.parametrize("made_already", [False, True], ids=["before", "meanwhile"])
def test_a_pod_that_is_being_made_when_its_task_is_killed_is_not_left(
    cluster: FakeCluster,
    tell: dict[int, Script],
    tried: Tried,
    monkeypatch: pytest.MonkeyPatch,
    made_already: bool,
) -> None:
    tell[1] = Script(holds=True)
    tried.tried = 1
    operator = tried.operator()
    create = PodAttempt.create

    async def create_meanwhile(self: PodAttempt, body: Any) -> None:
        if made_already:
            await create(self, body)
            self.name, name = None, self.name
        await asyncio.to_thread(operator.on_kill)
        if made_already:
            self.name = name
        else:
            await create(self, body)

    monkeypatch.setattr(PodAttempt, "create", create_meanwhile)
    with contextlib.suppress(TaskDeferred, AirflowSkipException):
        operator.execute(tried.context())
    assert TrialState.CANCELLED is tried.record.state
    assert [] == cluster.pod_names()


def test_a_stop_of_the_run_is_not_lifted_by_airflows_own_next_try(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    run = planned(tmp_path, search={"kind": "list", "items": [{"x": 1}, {"x": 2}]})
    cluster.fail("create", status=422, reason="Invalid", message="spec: Invalid value")
    assert type(Tried(run).to_the_end()) is exceptions.CreateError
    second = Tried(run, number=1)
    for _ in range(2):
        with pytest.raises(AirflowSkipException, match="trial 0 cannot run"):
            second.once()


def test_a_pod_gone_before_the_task_goes_on_leaves_its_result(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    tried = Tried(planned(tmp_path), deferrable=True)
    tried.tried = 1
    context = tried.context()
    with pytest.raises(TaskDeferred) as deferred:
        tried.operator().execute(context)
    event = asyncio.run(first_event(deferred.value.trigger))
    cluster.delete_pod(attempt_name(NAME, RUN_ID, 0, 1))
    tried.operator().trigger_reentry(context, event)
    assert (TrialState.COMPLETE, 7) == (tried.record.state, tried.record.objective)


def test_a_pod_that_runs_is_taken_over_by_the_next_try(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True, result='{"n": 7}')
    tried = Tried(planned(tmp_path), deferrable=True)
    tried.tried = 1
    with pytest.raises(TaskDeferred):
        tried.operator().execute(tried.context())
    cluster.release(attempt_name(NAME, RUN_ID, 0, 1))
    assert tried.to_the_end() is None
    assert [1] == [each.number for each in tried.record.attempts]
    assert 1 == cluster.requests["create pods"]


def test_a_gated_pod_of_another_runtime_makes_room(
    cluster: FakeCluster, tried: Tried, tmp_path: Path
) -> None:
    ledger = Ledger.open(tried.run["uri"])
    backend = KubernetesBackend.connect(cluster.connection())
    planned = PlannedRun.open(ledger)
    launcher = Launcher.of(planned, backend.result_path)
    launch = launcher.make_launch(planned.plan.trial(0), epoch=new_epoch())

    async def create() -> None:
        await backend.create(launch, gated=True)
        await backend.close()

    asyncio.run(create())
    waiting = Record(0, "key", launch.epoch, TrialState.WAITING)
    assert ledger.write_record(waiting)
    assert tried.to_the_end() is None
    assert ([2], []) == ([each.number for each in tried.record.attempts], cluster.pod_names())


def test_a_complete_trial_is_kept_when_its_task_is_cleared(
    cluster: FakeCluster, tried: Tried
) -> None:
    assert tried.to_the_end() is None
    first = tried.record
    tried.clear()
    assert tried.to_the_end() is None
    assert first == tried.record
    assert 1 == cluster.requests["create pods"]


def test_the_last_try_of_airflow_closes_the_record(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(run_s=0.1, exit_code=3, result="")
    tried = Tried(planned(tmp_path, retries={"user": 5}), retries=0)
    assert type(tried.to_the_end()) is exceptions.UserExit
    assert TrialState.FAILED is tried.record.state
    assert "no retries left in Airflow" in tried.record.reason


def test_a_killed_task_leaves_no_pod_and_says_so(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True)
    tried = Tried(planned(tmp_path), deferrable=True)
    tried.tried = 1
    operator, context = tried.operator(), tried.context()
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    operator.on_kill()
    assert (TrialState.CANCELLED, "ended by a user, in Airflow") == (
        tried.record.state,
        tried.record.reason,
    )
    assert [] == cluster.pod_names()
    tried.clear()
    assert tried.to_the_end() is None
    assert [2] == [each.number for each in tried.record.attempts]


def test_a_full_quota_is_waited_for_without_a_try(cluster: FakeCluster, tried: Tried) -> None:
    cluster.set_quota(0)
    with pytest.raises(AirflowRescheduleException):
        tried.once()
    cluster.set_quota(None)
    tried.tried = 0
    assert tried.to_the_end() is None
    assert [1] == [each.number for each in tried.record.attempts]


def test_a_cluster_that_cannot_be_asked_is_asked_again_without_a_try(
    cluster: FakeCluster, tried: Tried
) -> None:
    cluster.fail("list", status=500, times=None)
    with pytest.raises(AirflowRescheduleException):
        tried.once()
    cluster.heal()
    tried.tried = 0
    assert tried.to_the_end() is None


def test_a_pod_that_is_refused_is_not_tried_again(cluster: FakeCluster, tried: Tried) -> None:
    cluster.fail("create", status=422, reason="Invalid", message="spec: Invalid value", times=None)
    error = tried.to_the_end()
    assert type(error) is exceptions.CreateError
    assert (1, TrialState.FAILED) == (tried.tried, tried.record.state)


def test_a_failed_pod_is_kept_where_the_spec_asks_for_it(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(run_s=0.1, exit_code=3, result="")
    tried = Tried(planned(tmp_path, kubernetes={"keep_pods": "failed"}, retries={"user": 1}))
    assert tried.to_the_end() is None
    assert [attempt_name(NAME, RUN_ID, 0, 1)] == cluster.pod_names()


def test_a_pod_that_takes_too_long_is_ended(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True)
    trial = {"image": "example.com/train:1", "command": ["train"], "timeout": "1s"}
    for deferrable in (False, True):
        tried = Tried(planned(tmp_path / str(deferrable), trial=trial), deferrable=deferrable)
        error = tried.to_the_end()
        assert type(error) is exceptions.UserTimeout
        (attempt,) = tried.record.attempts
        assert attempt.diagnosis is not None
        assert Category.USER_TIMEOUT is attempt.diagnosis.category


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_a_pod_that_does_not_start_in_time_is_given_up(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path, deferrable: bool
) -> None:
    more = {"pending": 0.3, "retries": {"unschedulable": 1}}
    tried = Tried(planned(tmp_path, **more), deferrable=deferrable, retries=4)
    tell[1] = tell[2] = Script(waiting="ContainerCreating")
    error = tried.to_the_end()
    assert type(error) is exceptions.Unschedulable
    assert "had not started after 0.3 s (pending)" in str(error)
    found = [attempt.diagnosis and attempt.diagnosis.category for attempt in tried.record.attempts]
    assert [Category.UNSCHEDULABLE] * 2 == found
    assert [] == cluster.pod_names()


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_a_pod_that_has_not_started_when_the_time_is_over_is_taken_back(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path, deferrable: bool
) -> None:
    tried = Tried(planned(tmp_path, budget={"wall": 3}), deferrable=deferrable)
    tell[1] = Script(waiting="ContainerCreating")
    with pytest.raises(AirflowSkipException, match=r"budget\.wall"):
        tried.once()
    assert TrialState.CANCELLED is tried.record.state
    assert [] == cluster.pod_names()


def test_a_stopped_run_begins_nothing_and_a_paused_one_waits(
    cluster: FakeCluster, tried: Tried
) -> None:
    ledger = Ledger.open(tried.run["uri"])
    ledger.update_state(paused=True)
    with pytest.raises(AirflowRescheduleException):
        tried.once()
    ledger.update_state(paused=False, stopped="enough")
    with pytest.raises(AirflowSkipException, match="enough"):
        tried.once()
    assert TrialState.CANCELLED is tried.record.state
    assert 0 == cluster.requests["create pods"]


def test_a_parallelism_that_was_lowered_is_kept_to(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True, result='{"n": 7}')
    run = planned(tmp_path, search={"kind": "list", "items": [{"x": 1}, {"x": 2}]})
    first, second = Tried(run, deferrable=True), Tried(run, number=1)
    first.tried = 1
    with pytest.raises(TaskDeferred):
        first.operator().execute(first.context())
    ledger = Ledger.open(run["uri"])
    ledger.update_state(parallelism=1)
    with pytest.raises(AirflowRescheduleException):
        second.once()
    assert 1 == cluster.requests["create pods"]
    ledger.update_state(parallelism=2)
    tell.clear()
    second.tried = 0
    assert second.to_the_end() is None
    assert [1] == [each.number for each in second.record.attempts]


def test_a_trial_that_no_image_can_start_stops_the_others(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    items = [{"x": 1}, {"x": 2}]
    run = planned(tmp_path, search={"kind": "list", "items": items})
    cluster.fail("create", status=422, reason="Invalid", message="spec: Invalid value")
    first, second = Tried(run), Tried(run, number=1)
    assert type(first.to_the_end()) is exceptions.CreateError
    with pytest.raises(AirflowSkipException, match="trial 0 cannot run"):
        second.once()
    second.clear()
    assert second.to_the_end() is None
    assert TrialState.COMPLETE is second.record.state


def test_too_many_failures_stop_the_others(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    items = [{"x": 1}, {"x": 2}]
    search = {"kind": "list", "items": items}
    run = planned(tmp_path, search=search, failures={"allow": 0})
    tell[1] = Script(run_s=0.1, exit_code=3, result="")
    assert type(Tried(run).to_the_end()) is exceptions.UserExit
    with pytest.raises(AirflowSkipException, match=r"failures\.allow"):
        Tried(run, number=1).once()


def test_first_failures_of_one_kind_stop_the_others(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    search = {"kind": "list", "items": [{"x": 1}, {"x": 2}, {"x": 3}]}
    run = planned(tmp_path, search=search, failures={"same": 2})
    tell[1] = Script(run_s=0.1, exit_code=2, result="")
    for number in (0, 1):
        assert type(Tried(run, number=number).to_the_end()) is exceptions.UserExit
    third = Tried(run, number=2)
    with pytest.raises(AirflowSkipException, match="the first 2 trials failed in the same way"):
        third.once()
    third.clear()
    tell[1] = Script(run_s=0.1, result='{"n": 7}')
    assert third.to_the_end() is None


def test_a_pod_that_its_task_has_left_is_ended_by_collect(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True)
    tried = Tried(planned(tmp_path), deferrable=True)
    tried.tried = 1
    with pytest.raises(TaskDeferred):
        tried.operator().execute(tried.context())
    assert TrialState.RUNNING is tried.record.state
    asyncio.run(
        cancel_left_trials(PlannedRun.open(tried.run["uri"]), [tried.record], Target("kubernetes"))
    )
    assert (TrialState.CANCELLED, "its task was ended in Airflow") == (
        tried.record.state,
        tried.record.reason,
    )
    assert ([1], []) == ([each.number for each in tried.record.attempts], cluster.pod_names())


def test_a_failed_trial_runs_again_when_cleared_and_not_when_airflow_tries_by_itself(
    cluster: FakeCluster, tell: dict[int, Script], tried: Tried
) -> None:
    tell[1] = Script(run_s=0.1, exit_code=3, result="")
    assert type(tried.to_the_end()) is exceptions.UserExit
    assert type(tried.to_the_end()) is exceptions.UserExit
    assert (2, 1) == (tried.tried, cluster.requests["create pods"])
    tried.clear()
    assert tried.to_the_end() is None
    assert [2] == [each.number for each in tried.record.attempts]


def test_a_cancelled_trial_skips_its_task(
    cluster: FakeCluster, tell: dict[int, Script], tmp_path: Path
) -> None:
    tell[1] = Script(holds=True)
    tried = Tried(planned(tmp_path), deferrable=True)
    tried.tried = 1
    operator, context = tried.operator(), tried.context()
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    operator.on_kill()
    event = {"name": attempt_name(NAME, RUN_ID, 0, 1), "namespace": "default", "status": "ended"}
    with pytest.raises(AirflowSkipException, match="ended by a user"):
        tried.operator().trigger_reentry(context, event)
