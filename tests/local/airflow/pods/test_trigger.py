"""A kill is carried through: longer than Airflow waits for it, and where Airflow knows nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetXCom,
    TaskStatesResult,
    XComResult,
)
from tests.local.airflow.planned import plan_one

from podmap.airflow import triggerer
from podmap.airflow.pods.trigger import TrialTrigger

pytestmark = pytest.mark.airflow

OWNER = {"deployment": "airflow", "dag_id": "mine", "run_id": "r1", "group_id": "sweep"}
TI = SimpleNamespace(
    dag_id="mine", run_id="r1", task_id="sweep.trials", map_index=0, id="e", max_tries=0
)
SLOW_TO_END = (
    "trap 'while [ ! -e go ]; do sleep 0.01; done; exit 1' TERM; touch started; sleep 60 & wait"
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))


def test_a_kill_outlives_the_call_by_which_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, run = plan_one(tmp_path, SLOW_TO_END, OWNER)

    async def yes(*_: Any) -> bool:
        return True

    async def scenario() -> str:
        trigger = TrialTrigger(run=run)
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for

        async def first() -> None:
            async for _ in trigger.run():
                return

        running = asyncio.ensure_future(first())
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.01)
        running.cancel()
        killing = asyncio.ensure_future(trigger.on_kill())
        await asyncio.sleep(0.2)
        killing.cancel()  # as Airflow does when its time is over
        await asyncio.gather(running, killing, return_exceptions=True)
        record = planned.ledger.read_record(0)
        assert record is not None
        assert record.state.value == "RUNNING"
        (tmp_path / "go").touch()
        while not record.state.terminal:
            await asyncio.sleep(0.01)
            record = planned.ledger.read_record(0)
            assert record is not None
        return f"{record.state.value}: {record.reason}"

    monkeypatch.setattr(triggerer, "ended_by_user", yes)
    said = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert said == f"CANCELLED: {triggerer.ENDED_BY_USER}"


def test_trials_of_a_dag_that_was_deleted_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, run = plan_one(tmp_path, "touch started; exec sleep 60", OWNER)

    class Airflow:
        deleted = False

        async def asend(self, message: Any) -> Any:
            if not isinstance(message, GetXCom):
                return TaskStatesResult(task_states={})
            if self.deleted:
                return ErrorResponse(error=ErrorType.XCOM_NOT_FOUND, detail={})
            return XComResult(key="run", value=run)

    async def scenario() -> None:
        trigger = TrialTrigger()
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for

        async def first() -> None:
            async for _ in trigger.run():
                return

        running = asyncio.ensure_future(first())
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.01)
        Airflow.deleted = True
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await trigger.on_kill()

    monkeypatch.setattr(triggerer, "_asked", {})
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Airflow(), raising=False)
    asyncio.run(asyncio.wait_for(scenario(), 60))
    record = planned.ledger.read_record(0)
    assert record is not None
    assert ("CANCELLED", triggerer.ENDED_BY_USER) == (record.state.value, record.reason)


def test_the_triggerers_run_obeys_who_steers_it(tmp_path: Path) -> None:
    planned, run = plan_one(tmp_path, "touch started; exec sleep 60", OWNER)
    planned.ledger.update_state(paused=True)

    async def scenario() -> str:
        trigger = TrialTrigger(run=run)
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for
        events = trigger.run()
        first = asyncio.ensure_future(anext(events))
        while trigger._entered is None:
            await asyncio.sleep(0.01)
        assert not (tmp_path / "started").exists()
        planned.ledger.update_state(paused=False)
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.01)
        planned.ledger.update_state(stopped="enough", cancel=True)
        event = await first
        await events.aclose()
        return type(event).__name__

    assert "TaskSkippedEvent" == asyncio.run(asyncio.wait_for(scenario(), 60))
    record = planned.ledger.read_record(0)
    assert record is not None
    assert ("CANCELLED", "enough") == (record.state.value, record.reason)
