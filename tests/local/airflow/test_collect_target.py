"""A target that is reached ends a run in Airflow well: its tasks, waiting trials and collect."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskSkippedEvent, TaskSuccessEvent

from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.collect import collect_run
from podmap.airflow.executor.worker import WorkerTrial
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.ledger.claim import RunClaim
from podmap.ledger.encode import dump_manifest
from podmap.names import content_digest, run_id_for
from podmap.records import Record, TrialState
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

OWNER = {"deployment": "airflow", "dag_id": "mine", "run_id": "r1", "group_id": "sweep"}
COMMAND = '[ "$1" != 9 ] || exec sleep 600; echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))


def plan(folder: Path, **search: Any) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "grid", "params": {"x": [1, 2, 9, 3]}, **search},
        "objective": {"metric": "y", "direction": "maximize", "target": 2},
        "trial": {"command": ["sh", "-c", COMMAND, "sh"], "args": ["{params.x}"], "timeout": "5m"},
        "parallelism": 1,
    }
    return prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=run_id_for(*OWNER.values()),
        owner={"kind": "airflow", **OWNER},
        folder=str(folder),
        target=Target("process"),
    )


def instance(index: int = -1) -> Any:
    return SimpleNamespace(
        dag_id="mine", run_id="r1", task_id="sweep.trials", map_index=index, id="e", max_tries=0
    )


def test_the_tasks_end_green_and_collect_says_why(tmp_path: Path, caplog: Any) -> None:
    planned = plan(tmp_path, repeats=2)
    run = {
        "uri": planned.ledger.run_uri,
        "digest": content_digest(dump_manifest(planned.manifest)),
        "backend": "process",
        "namespace": "",
        "connection": "",
    }

    async def end(index: int) -> Any:
        trigger = TrialTrigger(run=run, map_index=index)
        trigger.task_instance = instance(index)
        async for event in trigger.run():
            return event

    async def end_all() -> list[Any]:
        return list(await asyncio.gather(*map(end, range(planned.plan.count))))

    events = asyncio.run(asyncio.wait_for(end_all(), 60))
    assert Counter(map(type, events)) == {TaskSuccessEvent: 4, TaskSkippedEvent: 4}
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        **vars(instance()),
        xcom_pull=lambda **_: run,
        xcom_push=lambda key, value: pushed.update({key: value}),
        get_task_states=lambda **_: {},
    )
    caplog.set_level(logging.INFO)
    collected = logging.getLogger("collect")
    summary = collect_run(
        {"ti": ti}, "sweep.plan", callbacks=TrialCallbacks(), outlets=(), log=collected
    )
    reached = "trials 2 to 3 have reached the target: their mean y 2 is at least 2"
    assert summary["reached"].startswith(reached)
    assert reached in caplog.text
    assert pushed["best"]["repeats"]["complete"] == 2
    assert pushed["best"]["metrics"] == {"y": 2}
    assert pushed["counts"] == {"COMPLETE": 4, "CANCELLED": 4}


def test_a_worker_ends_its_trial_once_another_ones_has_reached_it(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    planned.ledger.update_state(parallelism=2)

    def settle(number: int) -> Record:
        return WorkerTrial(
            RunClaim(planned.ledger.run_uri),
            number,
            "e1",
            spec_folder=tmp_path,
            function=None,
            log=logging.getLogger("worker"),
        ).run_to_end()

    ended: list[Record] = []
    hangs = threading.Thread(target=lambda: ended.append(settle(2)))
    hangs.start()
    assert settle(1).state is TrialState.COMPLETE
    hangs.join(60)
    (record,) = ended
    assert record.state is TrialState.CANCELLED
    assert record.reason.startswith("trial 1 has reached the target")
    assert settle(3).state is TrialState.CANCELLED
