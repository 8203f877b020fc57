"""`budget.gpu_hours`: what runs is counted while it runs, and the run ends in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.base import Observation, Phase
from podmap.clock import iso, time_from
from podmap.engine.gpu_tally import HOUR_S, GpuTally
from podmap.records import Attempt, Record, TrialState
from podmap.testing import SweepTest

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def tally(limit_h: float = 10) -> GpuTally:
    """Of trials with two GPUs each, when it is twelve o'clock."""
    with time_from(lambda: NOW):
        return GpuTally(limit_h, gpus_of=lambda number: 2)


def seen(phase: Phase = Phase.RUNNING, *, since_h: float = 0, attempt: int = 1) -> Observation:
    started = None if phase is Phase.PENDING else iso(NOW - timedelta(hours=since_h))
    return Observation(f"p-{attempt}", "run", 0, attempt, "e", phase, started=started)


def record(held_h: float, *, epoch: str = "e", attempts: int = 1) -> Record:
    ended = tuple(Attempt(number, f"p-{number}") for number in range(1, attempts + 1))
    kind = TrialState.WAITING
    return Record(0, "k", epoch, kind, attempts=ended, gpu_seconds=held_h * HOUR_S)


def test_what_is_adopted_counts_from_its_start_and_then_by_the_loop() -> None:
    gpus = tally()
    gpus.count_running([seen(since_h=1)], now_s=100)
    assert 2 == pytest.approx(gpus.held_h)
    # Its node's clock was set meanwhile.
    gpus.count_running([seen(since_h=50)], now_s=100 + HOUR_S)
    assert 4 == pytest.approx(gpus.held_h)


def test_what_was_seen_to_wait_cannot_have_run_before() -> None:
    gpus = tally()
    gpus.count_running([seen(Phase.PENDING)], now_s=100)
    gpus.count_running([seen(since_h=9)], now_s=100 + HOUR_S / 2)
    assert 1 == pytest.approx(gpus.held_h)


def test_an_attempt_counts_once_when_its_record_tells_of_it() -> None:
    gpus = tally()
    gpus.count_running([seen(since_h=1)], now_s=0)
    gpus.count_record(record(2))
    assert 2 == pytest.approx(gpus.held_h)
    gpus.count_running([seen(since_h=1), seen(since_h=2, attempt=2)], now_s=0)
    assert 6 == pytest.approx(gpus.held_h)


def test_what_a_trial_held_before_it_was_asked_for_anew_counts() -> None:
    gpus = tally(5)
    gpus.count_record(record(3))
    gpus.count_record(record(0, epoch="later", attempts=0))
    gpus.count_record(record(1.5, epoch="later", attempts=2))
    assert (4.5, "") == (gpus.held_h, gpus.reason)
    gpus.count_record(record(2, epoch="later", attempts=3))
    assert (5, iso(NOW)) == (gpus.held_h, gpus.spent_at)


def test_without_a_limit_nothing_is_counted() -> None:
    gpus = GpuTally()
    gpus.count_record(record(1000))
    assert (0, "", False) == (gpus.held_h, gpus.reason, gpus.given)


def sweep(trials: int, **budget: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": x} for x in range(trials)]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "i", "command": ["train"], "resources": {"gpu": 2}},
        "parallelism": 2,
        "budget": budget,
    }


def train(params: Mapping[str, Any]) -> dict[str, float]:
    return {"y": params["x"]}


@pytest.mark.parametrize(
    ("on_exceed", "complete", "hours"), [("finish", 4, 8.0), ("cancel", 2, 6.0)]
)
def test_a_run_ends_once_its_attempts_have_held_their_gpus_for_long_enough(
    tmp_path: Path, on_exceed: str, complete: int, hours: float
) -> None:
    spec = sweep(8, gpu_hours=6, on_exceed=on_exceed)
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    states = [record.state.value for record in done.records]
    assert [*["COMPLETE"] * complete, *["CANCELLED"] * (8 - complete)] == states
    held_h = sum(record.gpu_seconds for record in done.records) / HOUR_S
    assert hours == pytest.approx(held_h, abs=0.01)
    reason = "the run's GPU-hours are spent (budget.gpu_hours: 6)"
    assert {reason} == {record.reason for record in done.records[complete:]}


def test_gpu_hours_that_are_not_spent_end_nothing(tmp_path: Path) -> None:
    done = SweepTest(sweep(3, gpu_hours=6.1)).run(tmp_path, train=train, takes_s=HOUR_S)
    assert {"COMPLETE"} == {record.state.value for record in done.records}


def test_trials_without_gpus_spend_none(tmp_path: Path) -> None:
    spec = sweep(3, gpu_hours=0.1)
    spec["trial"].pop("resources")
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    assert {"COMPLETE"} == {record.state.value for record in done.records}
