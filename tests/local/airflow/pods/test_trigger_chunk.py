"""The trigger of an instance with several trials: what goes wrong with one is that one's alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent

from podmap.airflow import triggerer
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.errors import RecordError, StoreError
from podmap.ledger.encode import dump_manifest
from podmap.names import content_digest, run_id_for
from podmap.records import TrialState
from podmap.report.publish import publish
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

TI = SimpleNamespace(
    dag_id="d", run_id="r", task_id="g.trials", map_index=0, id="e1", max_tries=0, try_number=1
)
OWNER = {"deployment": "airflow", "dag_id": "d", "run_id": "r", "group_id": "g"}
BROKEN = b'{"schema": 1, "number": "one"}'


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))


@pytest.fixture
def planned(tmp_path: Path) -> PlannedRun:
    """Four trials, all in one instance."""
    return plan_four(tmp_path, "echo '{\"y\": 1}' >$PODMAP_RESULT")


def plan_four(tmp_path: Path, script: str, **more: Any) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "list", "items": [{"n": n} for n in range(4)]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["sh", "-c", script]},
        **more,
    }
    planned = prepare_run(
        load(spec),
        store=str(tmp_path / "store"),
        run_id=run_id_for(*OWNER.values()),
        owner={"kind": "airflow", **OWNER},
        folder=str(tmp_path),
        target=Target("process"),
    )
    manifest = replace(planned.manifest, trials_per_task=4)
    return replace(planned, manifest=planned.ledger.replace_manifest(manifest))


def end_event(planned: PlannedRun) -> tuple[Any, list[str]]:
    """How a real trigger ends the instance, and what it logs."""
    lines: list[str] = []

    class Log:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda text, *args, **more: lines.append(text % args if args else text)

    class Told(TrialTrigger):
        @property
        def log(self) -> Any:
            return Log()

    async def only() -> Any:
        trigger = Told(
            run={
                "uri": planned.ledger.run_uri,
                "digest": content_digest(dump_manifest(planned.manifest)),
                "backend": "process",
                "namespace": "",
                "connection": "",
            }
        )
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for
        [event] = [event async for event in trigger.run()]
        return event

    return asyncio.run(asyncio.wait_for(only(), 60)), lines


def test_a_record_that_cannot_be_read_costs_its_own_trial_alone(planned: PlannedRun) -> None:
    path = Path(planned.ledger.record_uri(1))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BROKEN)
    event, lines = end_event(planned)
    assert isinstance(event, TaskFailedEvent)
    assert any("trial 1 is given up" in line for line in lines)
    assert any(str(path) in line for line in lines)
    assert BROKEN == path.read_bytes()
    records = list(planned.ledger.records(on_broken=lambda error: None))
    assert [0, 2, 3] == [record.number for record in records]
    assert {TrialState.COMPLETE} == {record.state for record in records}

    summary = publish(planned.ledger, planned.manifest)
    assert {"COMPLETE": 3, "UNKNOWN": 1} == summary["counts"]
    assert str(path) in summary["left_out"][0]
    assert json.loads(planned.ledger.read_file("summary.json") or b"")["best"]


def test_an_error_of_one_trial_ends_no_other(
    planned: PlannedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: here a fault of podmap's own, as the first trial begins."""
    from podmap.engine.trial import TrialRunner

    run = TrialRunner.run

    async def fail(self: TrialRunner) -> Any:
        if self._number == 0:
            raise ZeroDivisionError("a bug")
        return await run(self)

    monkeypatch.setattr(TrialRunner, "run", fail)
    event, lines = end_event(planned)
    assert isinstance(event, TaskFailedEvent)
    assert any("a bug" in line for line in lines)
    records = list(planned.ledger.records())
    assert [(n, TrialState.COMPLETE) for n in (1, 2, 3)] == [(r.number, r.state) for r in records]


def test_a_kill_that_could_not_ask_is_tried_again_for_all(
    planned: PlannedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from podmap.engine import trial_end as module

    asked: list[int] = []

    async def kill(session: Any, number: int, epoch: str, *, reason: str) -> None:
        asked.append(number)
        if asked.count(number) == 1 and number == 1:
            raise StoreError("the store is down")
        if number == 2:
            raise RecordError("broken")

    async def ended(ti: Any, log: Any) -> bool:
        return True

    async def no_pause(self: Any, *, tell: Any = None) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(module, "kill_trial", kill)
    monkeypatch.setattr(triggerer, "ended_by_user", ended)
    monkeypatch.setattr(triggerer.Backoff, "pause", no_pause)

    async def on_kill() -> None:
        trigger = TrialTrigger(
            run={
                "uri": planned.ledger.run_uri,
                "digest": content_digest(dump_manifest(planned.manifest)),
                "backend": "process",
                "namespace": "",
                "connection": "",
            }
        )
        trigger.task_instance = TI  # type: ignore[assignment]  # what of it is asked for
        await trigger.on_kill()

    asyncio.run(asyncio.wait_for(on_kill(), 60))
    assert [0, 1, 2, 3] * 2 == asked


def test_hopeless_trials_are_ended_and_fail_no_instance(tmp_path: Path) -> None:
    """All but the best are, however they come: each is below the bound, and never ends."""
    report = 'podmap: {"step": 1, "y": 0.%s}'
    script = f"""[ $PODMAP_TRIAL = 3 ] && {{ echo '{{"y": 1}}' >$PODMAP_RESULT; exit; }}
        printf '{report}\\n' $PODMAP_TRIAL; exec sleep 1000"""
    planned = plan_four(tmp_path, script, prune={"kind": "threshold", "lower": 0.5})
    event, lines = end_event(planned)
    assert isinstance(event, TaskSuccessEvent)
    states = [record.state.value for record in planned.ledger.records()]
    assert ["PRUNED"] * 3 + ["COMPLETE"] == states
    assert any(
        "trial 2: pruned: {'y': 0.2} threshold: at step 1 its y was" in line for line in lines
    )
    summary = publish(planned.ledger, planned.manifest)
    assert {"COMPLETE": 1, "PRUNED": 3} == summary["counts"]
