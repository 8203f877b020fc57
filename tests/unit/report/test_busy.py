"""The time in which a run was at work."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from podmap.clock import iso
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.report.busy import BusyTime, interrupted_attempts

INTERRUPTED = Diagnosis(Category.CANCELLED, "interrupted by Ctrl-C")


def at(seconds: float) -> str:
    return iso(datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds))


def record(*spans: tuple[float, float, Diagnosis | None]) -> Record:
    attempts = tuple(
        Attempt(number, "pod", started=at(start), finished=at(end), diagnosis=why)
        for number, (start, end, why) in enumerate(spans, 1)
    )
    return Record(
        0,
        "k",
        "e",
        TrialState.COMPLETE,
        attempts=attempts,
        started=at(spans[0][0]),
        finished=at(spans[-1][1]),
    )


@pytest.mark.parametrize(
    ("records", "seconds"),
    [
        ([], None),
        ([record((0, 10, None)), record((5, 12, None)), record((20, 21, None))], 21.0),
        ([record((0, 10, INTERRUPTED), (1000, 1005, None))], 15.0),
        ([record((0, 9, None)), record((5, 12, INTERRUPTED)), record((20, 21, None))], 13.0),
        ([record((0, 10, Diagnosis(Category.OOM, "")), (40, 50, None))], 50.0),
        ([Record(0, "k", "e", TrialState.COMPLETE, finished=at(9), reason="reused")], None),
        ([record((0, 10, None)), record((9, 3, None))], 10.0),
    ],
    ids=[
        "none",
        "waited",
        "interrupted",
        "interrupted beside another",
        "retried",
        "reused",
        "clock set back",
    ],
)
def test_time_is_counted_once_and_idle_time_is_not(
    records: list[Record], seconds: float | None
) -> None:
    busy = BusyTime()
    for one in records:
        busy.add(one)
    assert seconds == busy.seconds()


def test_an_attempt_that_was_interrupted_is_told_from_a_retry() -> None:
    assert 1 == interrupted_attempts(record((0, 10, INTERRUPTED), (1000, 1005, None)))
