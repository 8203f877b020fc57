"""Runs that are not the task's own, or not as they were planned: nothing of them is started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent

from podmap.airflow import triggerer
from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.claims import claim_of, own_run_id, owner_of
from podmap.airflow.collect import clean_run, collect_run
from podmap.airflow.executor.operators import TrialWorkerOperator
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import OwnerError
from podmap.ledger.encode import dump_manifest
from podmap.names import content_digest, run_id_for
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

TI = SimpleNamespace(
    dag_id="mine", run_id="r1", task_id="sweep.trials", map_index=0, id="e", max_tries=0
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))


class Planned:
    """A run that `plan` has left, and what its XCom says."""

    def __init__(self, folder: Path, *, dag_id: str = "mine", run_id: str = "") -> None:
        self.marks = folder / "marks"
        self.planned = self._plan(folder, dag_id, run_id)
        self.run = {
            "uri": self.planned.ledger.run_uri,
            "digest": content_digest(dump_manifest(self.planned.manifest)),
            "backend": "process",
            "namespace": "",
            "connection": "",
        }

    def _plan(self, folder: Path, dag_id: str, run_id: str) -> PlannedRun:
        command = f"echo x >>{self.marks}; echo '{{\"y\": 1}}' >$PODMAP_RESULT"
        spec = {
            "apiVersion": "podmap/v1",
            "name": "x",
            "search": {"kind": "list", "items": [{"n": 0}]},
            "objective": {"metric": "y", "direction": "maximize"},
            "trial": {"command": ["sh", "-c", command], "timeout": "1m"},
        }
        owner = {"deployment": "airflow", "dag_id": dag_id, "run_id": "r1", "group_id": "sweep"}
        return prepare_run(
            load(spec),
            store=str(folder / "store"),
            run_id=run_id or run_id_for(*owner.values()),
            owner={"kind": "airflow", **owner},
            folder=str(folder),
            target=Target("process"),
        )

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """What somebody does who can write the store."""
        path = Path(self.run["uri"]) / "manifest.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))


def end_event(run: dict[str, str] | None) -> tuple[Any, str]:
    """How a real trigger ends its instance, and what it logs."""
    lines: list[str] = []

    class Log:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda text, *args, **more: lines.append(text % args if args else text)

    class Told(TrialTrigger):
        @property
        def log(self) -> Any:
            return Log()

    async def first() -> Any:
        trigger = Told(run=run)
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for
        async for event in trigger.run():
            return event

    return asyncio.run(asyncio.wait_for(first(), 60)), "\n".join(lines)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["spec"]["trial"].update(command=["sh", "-c", "touch evil"]),
        lambda data: data.update(folder="/"),
        lambda data: data.update(backend="kubernetes"),
        lambda data: data["plan"].update(seed=1),
    ],
    ids=["command", "folder", "backend", "plan"],
)
def test_a_trigger_refuses_a_changed_manifest(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    made = Planned(tmp_path)
    made.change(change)
    event, log = end_event(made.run)
    assert isinstance(event, TaskFailedEvent)
    assert "not the one that was planned" in log
    assert not made.marks.exists()


def test_a_trigger_refuses_another_dags_run(tmp_path: Path) -> None:
    other = Planned(tmp_path, dag_id="other")
    event, log = end_event(other.run)
    assert isinstance(event, TaskFailedEvent)
    assert "dag_id=other" in log
    assert "dag_id=mine" in log
    assert not other.marks.exists()


def test_a_trigger_refuses_another_backend_than_planned(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    event, log = end_event({**made.run, "namespace": "kube-system"})
    assert isinstance(event, TaskFailedEvent)
    assert "namespace='kube-system'" in log
    assert not made.marks.exists()


@pytest.mark.parametrize("name", ["backend", "namespace", "connection", "runtime"])
def test_what_an_xcom_leaves_out_or_changes_is_compared_all_the_same(
    tmp_path: Path, name: str
) -> None:
    made = Planned(tmp_path)
    made.change(lambda data: data.update({name: "other"}))
    raw = (Path(made.run["uri"]) / "manifest.json").read_bytes()
    left = {**made.run, "digest": content_digest(raw)}
    for run in ({k: v for k, v in left.items() if k != name}, {**left, name: "third"}):
        with pytest.raises(OwnerError, match=f"planned with {name}='other'|not what plan leaves"):
            PlannedRun.open(claim_of(run, owner_of(TI)))
    PlannedRun.open(claim_of({**left, name: "other"}, owner_of(TI)))


def test_collect_knows_the_runtime_from_the_manifest(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    with pytest.raises(AirflowFailException, match="was planned with runtime='pods'"):
        collect_run(
            {"ti": SimpleNamespace(**vars(TI), xcom_pull=lambda **_: made.run | {"runtime": "x"})},
            "sweep.plan",
            callbacks=TrialCallbacks(),
            outlets=(),
            log=None,
        )


def test_a_trigger_asks_again_if_the_run_was_planned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Planned(tmp_path).run
    new = Planned(tmp_path)
    assert old["digest"] != new.run["digest"]
    answers = iter([old, new.run])
    asked: list[bool] = []

    async def planned_run(ti: Any, *, fresh: bool) -> dict[str, str]:
        asked.append(fresh)
        return next(answers)

    monkeypatch.setattr(triggerer, "planned_run", planned_run)
    event, _ = end_event(None)
    assert isinstance(event, TaskSuccessEvent)
    assert [False, True] == asked
    assert "x\n" == new.marks.read_text()


def test_a_run_without_a_digest_is_refused(tmp_path: Path) -> None:
    run = {**Planned(tmp_path).run, "digest": ""}
    with pytest.raises(OwnerError, match="clear plan"):
        claim_of(run, owner_of(TI))


def test_a_worker_refuses_what_the_trigger_does(tmp_path: Path) -> None:
    made = Planned(tmp_path, dag_id="other")
    with DAG("mine", schedule=None):
        operator = TrialWorkerOperator(
            task_id="trials", run=made.run, number=0, plan_task_id="sweep.plan"
        )
    plan = SimpleNamespace(spec={}, parsed=SimpleNamespace(function=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("podmap.airflow.executor.operators._plan_of", lambda task: plan)
        with pytest.raises(AirflowFailException, match="Nothing was started"):
            operator.execute({"ti": TI})
    assert not made.marks.exists()


def test_collect_and_cleanup_touch_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Planned(tmp_path, dag_id="other")
    monkeypatch.setattr("podmap.airflow.collect.planned_target", pytest.fail)
    context = {"ti": SimpleNamespace(**vars(TI), xcom_pull=lambda **_: other.run)}
    with pytest.raises(AirflowFailException, match="dag_id=other"):
        collect_run(context, "sweep.plan", callbacks=TrialCallbacks(), outlets=(), log=None)
    with pytest.raises(AirflowFailException, match="not that of this task"):
        clean_run(context, "sweep.plan", log=None)


def test_cleanup_ends_its_own_attempts_whatever_the_manifest_says(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    made.change(lambda data: data.update(run_id="00000000"))
    assert own_run_id(made.run, owner_of(TI)) == made.planned.manifest.run_id


@pytest.mark.parametrize(
    "left",
    ["x", 5, [1], {}, {"uri": 5}, {"uri": {"a": 1}}, {"connection": 5}, {"backend": ""}],
    ids=repr,
)
def test_an_xcom_that_is_none_of_plans_is_told_as_such(tmp_path: Path, left: Any) -> None:
    made = Planned(tmp_path)
    run = {**made.run, **left} if isinstance(left, dict) and left else left
    for enter in (claim_of, own_run_id):
        with pytest.raises(OwnerError, match="XCom 'run' is not what plan leaves"):
            enter(run, owner_of(TI))
    event, log = end_event(run)
    assert isinstance(event, TaskFailedEvent)
    assert "is not what plan leaves" in log
    assert not made.marks.exists()
