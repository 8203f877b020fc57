"""What is left of a sweep when its DAG run was marked failed, or Airflow has lost its database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.triggers.base import TaskSuccessEvent
from tests.local.airflow.planned import plan_one

import podmap
from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.collect import clean_run, collect_run
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.airflow.runtimes import LEFT
from podmap.engine.planned import PlannedRun
from podmap.records import Record

pytestmark = pytest.mark.airflow

OWNER = {"deployment": "airflow", "dag_id": "mine", "run_id": "r1", "group_id": "sweep"}
LOG = logging.getLogger("cleanup")
HOLDS = "echo $$ >>started; while [ ! -e go ]; do sleep 0.01; done; "
ENDS = HOLDS + 'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"'


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))


def instance(ti_id: str = "e", index: int = 0) -> Any:
    return SimpleNamespace(
        dag_id="mine", run_id="r1", task_id="sweep.trials", map_index=index, id=ti_id, max_tries=0
    )


def trigger_of(run: dict[str, str], ti_id: str = "e", *, index: int = 0) -> TrialTrigger:
    trigger = TrialTrigger(run=run)
    trigger.task_instance = instance(ti_id, index)
    return trigger


def begin_and_lose(folder: Path, run: dict[str, str], *, index: int = 0) -> None:
    """Runs the trial until its attempt has started, and leaves it as a dead triggerer does."""

    async def scenario() -> None:
        running = asyncio.ensure_future(anext(trigger_of(run, index=index).run()))
        while not (folder / "started").exists():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def context(run: dict[str, str], **states: str) -> dict[str, Any]:
    asked = {f"sweep.{name}": state for name, state in states.items()}

    def task_states(*, task_ids: Any = None, **_: Any) -> Mapping[str, Any]:
        found = {n: s for n, s in asked.items() if task_ids is None or n.split("_")[0] in task_ids}
        return {"r1": found}

    ti = SimpleNamespace(
        **vars(instance()),
        xcom_pull=lambda **_: run,
        xcom_push=lambda **_: None,
        get_task_states=task_states,
    )
    plan = SimpleNamespace(get_flat_relative_ids=lambda **_: set())
    dag = SimpleNamespace(get_task=lambda _: plan)
    return {"ti": ti, "task": SimpleNamespace(dag=dag)}


def record_of(planned: PlannedRun) -> Record:
    record = planned.ledger.read_record(0)
    assert record is not None
    return record


def test_a_dag_run_marked_failed_leaves_no_open_record(tmp_path: Path) -> None:
    planned, run = plan_one(tmp_path, ENDS, OWNER)
    begin_and_lose(tmp_path, run)
    assert "RUNNING" == record_of(planned).state.value
    with pytest.raises(AirflowFailException, match="marked failed"):
        clean_run(
            context(run, plan="success", trials_0="failed", collect="skipped"),
            "sweep.plan",
            log=LOG,
        )
    record = record_of(planned)
    assert ("CANCELLED", LEFT) == (record.state.value, record.reason)
    assert [1] == [each.number for each in record.attempts]
    assert not list((tmp_path / "state").glob("*/*-a*"))
    (tmp_path / "go").touch()
    event = asyncio.run(asyncio.wait_for(anext(trigger_of(run, "cleared").run()), 60))
    assert isinstance(event, TaskSuccessEvent)
    assert "COMPLETE" == record_of(planned).state.value


def test_trials_that_were_cleared_meanwhile_are_left_alone(tmp_path: Path) -> None:
    planned, run = plan_one(tmp_path, ENDS, OWNER)
    begin_and_lose(tmp_path, run)
    states = {"plan": "success", "trials_0": "deferred", "collect": "failed"}
    clean_run(context(run, **states), "sweep.plan", log=LOG)
    assert "RUNNING" == record_of(planned).state.value


def test_a_new_database_of_airflow_goes_on_from_the_ledger(tmp_path: Path) -> None:
    """Planned again by the same DAG run, the run keeps its results and ends what was left."""
    command = f'[ "$PODMAP_TRIAL" = 0 ] || {{ {HOLDS}:; }}; echo "{{\\"y\\": 1}}" >"$PODMAP_RESULT"'
    planned, run = plan_one(tmp_path, command, OWNER, count=2)
    asyncio.run(asyncio.wait_for(anext(trigger_of(run, index=0).run()), 60))
    begin_and_lose(tmp_path, run, index=1)

    left = podmap.load(planned.ledger.run_uri)
    assert ["COMPLETE", "RUNNING"] == [record.state.value for record in left.records]
    assert left.best is not None
    assert 0 == left.best.number

    again, new_run = plan_one(tmp_path, command, OWNER, count=2)
    (tmp_path / "go").touch()
    for index in (0, 1):
        ending = anext(trigger_of(new_run, "new", index=index).run())
        assert isinstance(asyncio.run(asyncio.wait_for(ending, 60)), TaskSuccessEvent)
    first, second = again.ledger.records()
    assert left.records[0] == first
    assert ("COMPLETE", [2]) == (second.state.value, [each.number for each in second.attempts])
    states = {"plan": "success", "trials_0": "success", "trials_1": "success"}
    summary = collect_run(
        context(new_run, **states), "sweep.plan", callbacks=TrialCallbacks(), outlets=(), log=LOG
    )
    assert {"COMPLETE": 2} == summary["counts"]
    assert planned.ledger.run_uri == summary["run_uri"]
