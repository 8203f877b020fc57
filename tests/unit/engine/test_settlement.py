from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from podmap.backends.base import Observation, Phase
from podmap.clock import iso
from podmap.engine.result import Outcome
from podmap.engine.settlement import (
    OUTGROWN,
    Rules,
    Settlement,
    ended_attempt,
    settle_attempt,
    time_left_s,
)
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.spec.model import OomRetries, Retries

WAITING = Record(3, "key", "e1", TrialState.WAITING, params={"x": 1}, queued_s=0.5)


def at(second: float) -> str:
    return f"2026-11-01T09:00:{second:06.3f}Z"


def attempt(
    category: Category | None = None, *, number: int = 1, start: float | None = 0, end: float = 10
) -> Attempt:
    return Attempt(
        number,
        f"s-0123abcd-3-a{number}",
        started=None if start is None else at(start),
        finished=at(end),
        exit_code=0 if category is None else 1,
        diagnosis=None if category is None else Diagnosis(category, "it failed"),
    )


def after(
    *attempts: Attempt, interrupted: bool = False, tail: bytes = b"", **rules: Any
) -> Settlement:
    retries = Retries(
        user=rules.pop("user", 0), infra=rules.pop("infra", 0), oom=rules.pop("oom", OomRetries())
    )
    record = WAITING
    for one in attempts:
        outcome = Outcome(
            TrialState.FAILED if one.diagnosis else TrialState.COMPLETE,
            metrics={} if one.diagnosis else {"y": 2.0},
            objective=None if one.diagnosis else 2.0,
            diagnosis=one.diagnosis,
        )
        got = settle_attempt(
            record,
            one,
            outcome,
            tail=tail,
            rules=Rules(retries, {2: "fail"}, **rules),
            interrupted=interrupted,
        )
        record = got.record
    return got


def test_a_good_end_completes_the_record() -> None:
    got = after(
        attempt(Category.NODE_LOST, end=5), attempt(number=2, start=6, end=20), infra=1, gpus=2
    )
    record = got.record
    assert (TrialState.COMPLETE, False, "") == (record.state, got.again, record.reason)
    assert ({"y": 2.0}, 2.0) == (record.metrics, record.objective)
    assert [1, 2] == [kept.number for kept in record.attempts]
    assert (at(0), at(20), 20.0) == (record.started, record.finished, record.duration_s)
    assert (2 * (5 + 14), 0.5) == (record.gpu_seconds, record.queued_s)


def test_a_failure_within_the_budget_is_followed_by_another_attempt() -> None:
    got = after(attempt(Category.USER_EXIT), user=1)
    assert (TrialState.WAITING, True) == (got.record.state, got.again)
    assert "user_exit: it failed" == got.record.reason
    assert got.record.finished is None


def test_a_failure_beyond_it_ends_the_trial() -> None:
    got = after(attempt(Category.USER_EXIT), attempt(Category.USER_EXIT, number=2), user=1)
    assert (TrialState.FAILED, False, False) == (got.record.state, got.again, got.stops_run)
    assert at(10) == got.record.finished


def test_at_the_end_of_the_memory_ladder_the_reason_says_what_to_raise() -> None:
    oom = OomRetries(times=2, factor=2, limit=2**31)
    first, second = (
        replace(attempt(Category.OOM, number=number), memory_bytes=memory)
        for number, memory in ((1, 2**30), (2, 2**31))
    )
    assert "oom: it failed" == after(first, oom=oom).record.reason
    got = after(first, second, oom=oom)
    assert TrialState.FAILED is got.record.state
    assert got.record.reason.startswith("oom: it failed; retries.oom.limit is 2Gi")


def test_what_no_trial_could_do_better_stops_the_run() -> None:
    got = after(attempt(Category.CREATE_ERROR, start=None), user=9, infra=9)
    assert (TrialState.FAILED, True) == (got.record.state, got.stops_run)
    assert (None, None, 0.0) == (got.record.started, got.record.duration_s, got.record.gpu_seconds)


@pytest.mark.parametrize(
    ("interrupted", "state"),
    [(False, TrialState.CANCELLED), (True, TrialState.WAITING)],
    ids=["killed", "interrupted"],
)
def test_a_cancelled_attempt(interrupted: bool, state: TrialState) -> None:
    got = after(attempt(Category.CANCELLED), interrupted=interrupted, user=9)
    assert (state, False, "it failed") == (got.record.state, got.again, got.record.reason)


def test_a_trial_that_ended_by_itself_counts_in_spite_of_an_interrupt() -> None:
    assert TrialState.COMPLETE is after(attempt(), interrupted=True).record.state
    assert TrialState.FAILED is after(attempt(Category.USER_EXIT), interrupted=True).record.state


@pytest.mark.parametrize(
    ("ends", "timeout_s", "state"),
    [
        ((4, 9.9), 5.5, TrialState.WAITING),
        ((4, 9.9), None, TrialState.FAILED),  # else nothing could have ended the second
        ((4, 10), 5.5, TrialState.FAILED),
    ],
)
def test_the_deadline_is_over_all_attempts(
    ends: tuple[float, float], timeout_s: float | None, state: TrialState
) -> None:
    first, second = ends
    got = after(
        attempt(Category.USER_EXIT, end=first),
        attempt(Category.USER_TIMEOUT, number=2, start=20, end=20 + second - first),
        user=9,
        deadline_s=10,
        timeout_s=timeout_s,
    )
    assert state is got.record.state
    assert ("the deadline of 10 s" in got.record.reason) == (state is TrialState.FAILED)


def test_time_between_attempts_does_not_count_towards_the_deadline() -> None:
    record = after(
        attempt(Category.NODE_LOST, end=3),
        attempt(Category.NODE_LOST, number=2, start=30, end=34),
        infra=9,
    )
    assert 13.0 == time_left_s(record.record, 20)
    assert None is time_left_s(record.record, None)


def test_the_record_keeps_the_end_of_the_last_log() -> None:
    got = after(attempt(), tail="é".encode() * 5000)
    assert got.record.log_tail.endswith("éé")
    assert len(got.record.log_tail) <= 4096


def test_an_attempt_that_was_outgrown_is_followed_by_another_and_pays_nothing() -> None:
    outgrown = replace(
        attempt(start=None), diagnosis=Diagnosis(Category.CANCELLED, OUTGROWN), exit_code=None
    )
    got = after(outgrown)
    assert (TrialState.WAITING, True) == (got.record.state, got.again)
    assert not after(outgrown, interrupted=True).again
    assert after(outgrown, replace(attempt(Category.NODE_LOST), number=2), infra=1).again


@pytest.mark.parametrize(
    ("finished", "most_s", "took_s"),
    [(60.0, 61.0, 60.0), (3660.0, 60.0, 60.0), (-3540.0, 60.0, 60.0), (-5.0, math.inf, 0.0)],
    ids=["steady", "set forward", "set back", "adopted, set back"],
)
def test_a_wall_clock_that_jumps_does_not_change_how_long_an_attempt_took(
    finished: float, most_s: float, took_s: float
) -> None:
    began = datetime(2026, 1, 1, tzinfo=timezone.utc)
    seen = Observation(
        "a",
        "r",
        0,
        1,
        "e",
        Phase.ENDED,
        started=iso(began),
        finished=iso(began + timedelta(seconds=finished)),
    )
    ended = ended_attempt(seen, None, log_uri="", most_s=most_s)
    assert iso(began + timedelta(seconds=took_s)) == ended.finished
