"""What is read of the records when a session begins to count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.gcs_server import Bucket, gcs_server

from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.tally import Tally
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.spec.load import load

COUNT = 60
LATER = "2999-01-01T00:00:00.000Z"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with gcs_server() as (address, bucket):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield bucket


def planned_in(store: str, **more: Any) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "counted",
        "search": {"kind": "random", "trials": COUNT, "params": {"x": {"low": 0, "high": 1.0}}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["train"], "resources": {"gpu": 1}},
        **more,
    }
    return prepare_run(
        load(spec),
        store=store,
        run_id="0" * 8,
        owner={"kind": "test"},
        folder="/",
        target=Target("process"),
    )


def ended(number: int, state: TrialState) -> Record:
    record = Record(number, "k", "e1", state, finished=LATER, gpu_seconds=60.0)
    if state is not TrialState.FAILED:
        return record
    why = Diagnosis(Category.USER_EXIT, "exit code 1")
    return replace(record, attempts=(Attempt(1, "p", exit_code=1, diagnosis=why),))


def tally_of(planned: PlannedRun, records: list[Record], *, anew: bool = False) -> Tally:
    for record in records:
        planned.ledger.write_record(record)
    planned.ledger.board().write()
    return Tally.of_run(planned, planned.ledger.read_state(), asked_anew=anew)


def test_failures_and_gpu_hours_are_counted_by_the_snapshot(bucket: Bucket) -> None:
    planned = planned_in(
        "gs://podmap/counted",
        failures={"allow": 1, "same": 5},
        budget={"gpu_hours": 100},
    )
    states = [TrialState.FAILED if n < 2 else TrialState.COMPLETE for n in range(COUNT)]
    records = [ended(number, state) for number, state in enumerate(states)]
    tally_of(planned, records)
    bucket.asked.clear()
    tally = Tally.of_run(planned, planned.ledger.read_state())
    assert [] == [name for method, name in bucket.asked if method == "GET" and "/trials/" in name]
    assert tally.failed == {0, 1}
    assert tally.gpus._tallies[0].held_h == pytest.approx(COUNT / 60)
    assert tally.stop is not None
    again = Record(0, "k", "e2", TrialState.RUNNING, gpu_seconds=0.0)
    tally.count_record(again)
    assert tally.gpus._tallies[0].held_h == pytest.approx(COUNT / 60)


def test_where_all_failed_it_is_seen_how(tmp_path: Path) -> None:
    records = [ended(number, TrialState.FAILED) for number in range(COUNT)]
    stop = tally_of(planned_in(str(tmp_path)), records).stop
    assert stop is not None
    assert "user_exit: exit code 1" in stop.reason
    assert tally_of(planned_in(str(tmp_path)), [], anew=True).stop is None


@pytest.mark.parametrize("target", [None, 0.5])
def test_a_trial_that_went_well_counts_before_those_that_failed(
    tmp_path: Path, target: float | None
) -> None:
    goal = {"metric": "y", "direction": "maximize", **({"target": target} if target else {})}
    records = [ended(number, TrialState.FAILED) for number in range(8)]
    good = ended(8, TrialState.COMPLETE)
    assert tally_of(planned_in(str(tmp_path), objective=goal), [*records, good]).stop is None
