from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.airflow.planned import plan_one

from podmap.airflow.plugin.clear import clear, instances_to_clear
from podmap.airflow.plugin.sweeps import FoundSweep
from podmap.engine.steering import SteeredRun
from podmap.errors import UsageError
from podmap.records import Record, TrialState
from podmap.server.answer import RequestError

NAMES = {"dag_id": "d/e", "run_id": "r", "group_id": "s"}
SWEEP = FoundSweep(**NAMES, left=None)


def steered(folder: Path, *states: str, trials_per_task: int = 1) -> SteeredRun:
    """A run whose trials are in these states; "" is one without a record."""
    owner = {"deployment": "airflow", **NAMES}
    planned, _ = plan_one(folder, "true", owner, count=len(states))
    for number, state in enumerate(states):
        if state:
            planned.ledger.write_record(Record(number, "k", "e", TrialState(state)))
    manifest = replace(planned.manifest, trials_per_task=trials_per_task)
    return SteeredRun.find(planned.ledger, manifest)


def test_all_that_failed_or_was_cancelled_is_chosen(tmp_path: Path) -> None:
    run = steered(tmp_path, "COMPLETE", "FAILED", "RUNNING", "CANCELLED", "PRUNED", "")
    assert [("s.trials", 1), ("s.trials", 3)] == instances_to_clear(SWEEP, run, None)
    assert [("s.trials", 3)] == instances_to_clear(SWEEP, run, [3])


def test_what_has_not_failed_is_refused_all_at_once(tmp_path: Path) -> None:
    run = steered(tmp_path, "COMPLETE", "FAILED", "RUNNING", "")
    with pytest.raises(UsageError) as refused:
        instances_to_clear(SWEEP, run, [0, 1, 2, 3])
    assert 3 == len(str(refused.value).splitlines())
    with pytest.raises(UsageError, match="has no trial 4"):
        instances_to_clear(SWEEP, run, [4])


def test_an_instance_is_not_cleared_while_another_of_its_trials_runs(tmp_path: Path) -> None:
    run = steered(tmp_path, "FAILED", "COMPLETE", "FAILED", "RUNNING", trials_per_task=2)
    with pytest.raises(UsageError, match="trial 3 has not ended, and shares its task"):
        instances_to_clear(SWEEP, run, None)
    assert [("s.trials", 0)] == instances_to_clear(SWEEP, run, [0])


class Airflow:
    """An ASGI app that notes what it is asked, and answers one thing."""

    def __init__(self, status: int, answer: Any) -> None:
        self.status, self.answer = status, answer
        self.asked: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.path = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.path = scope["raw_path"]
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked = json.loads((await receive())["body"])
        body = json.dumps(self.answer).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def test_airflow_is_asked_as_the_user_and_for_no_more_than_was_chosen() -> None:
    airflow = Airflow(200, {"total_entries": 5})
    headers = {"authorization": "Bearer x", "cookie": "_token=y", "host": "h", "x-other": "z"}
    count = asyncio.run(clear(airflow, SWEEP, [("s.trials", 1)], headers=headers))
    assert (5, b"/api/v2/dags/d%2Fe/clearTaskInstances") == (count, airflow.path)
    assert {
        "dry_run": False,
        "dag_run_id": "r",
        "task_ids": [["s.trials", 1]],
        "only_failed": False,
        "include_downstream": True,
        "reset_dag_runs": True,
    } == airflow.asked
    assert ("Bearer x", "_token=y") == (airflow.headers["authorization"], airflow.headers["cookie"])
    assert "x-other" not in airflow.headers


def test_what_airflow_refuses_is_told_in_its_words() -> None:
    airflow = Airflow(403, {"detail": "Forbidden"})
    with pytest.raises(RequestError, match="does not clear the tasks: Forbidden") as refused:
        asyncio.run(clear(airflow, SWEEP, [("s.trials", 1)], headers={}))
    assert 403 == refused.value.status
