from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from podmap.engine.first_failures import FirstFailures
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

COMPLETE, PRUNED, FAILED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED
CANCELLED, WAITING = TrialState.CANCELLED, TrialState.WAITING
NO_METRIC = "the result has no metric 'auc', the objective; it has loss"


def failed(
    number: int,
    category: Category = Category.USER_EXIT,
    code: int | None = None,
    *,
    metrics: Mapping[str, float | None] | None = None,
    state: TrialState = FAILED,
    own: bool = False,
    summary: str = "it failed",
) -> Record:
    diagnosis = Diagnosis(category, summary, resolution="Do this.", own=own)
    attempt = Attempt(1, "p", exit_code=code, diagnosis=diagnosis)
    at = f"2026-01-01T00:00:{number:02}.000Z"
    return Record(number, "k", "e", state, attempts=(attempt,), metrics=metrics or {}, finished=at)


def exits(*codes: int) -> list[Record]:
    return [failed(number, code=code) for number, code in enumerate(codes)]


def lacking(count: int) -> list[Record]:
    return [failed(n, Category.BAD_RESULT, 0, metrics={"loss": 1.0}) for n in range(count)]


def counted(records: Sequence[Record], limit: int = 3) -> FirstFailures:
    first = FirstFailures(limit, objectives=["auc"], exit_codes=lambda number: {75: "infra"})
    for record in records:
        first.count_record(record)
    return first


@pytest.mark.parametrize(
    ("records", "stops"),
    [
        (exits(2, 2, 2), True),
        (exits(1, 1, 1), True),
        (exits(2, 2), False),
        (exits(2, 2, 1, 2), False),
        (exits(75, 75, 75, 75), False),
        (lacking(3), True),
        ([*lacking(2), failed(3, Category.BAD_RESULT, 0)], False),
        ([failed(n, Category.NO_RESULT, 0) for n in range(3)], True),
        ([failed(n, Category.BAD_RESULT, 0) for n in range(3)], True),
        ([failed(n, Category.BAD_RESULT, 0, metrics={"auc": None}) for n in range(9)], False),
        ([failed(n, Category.OOM, 137) for n in range(9)], False),
        ([failed(n, Category.USER_TIMEOUT, 143) for n in range(9)], False),
        ([failed(n, Category.NODE_LOST) for n in range(9)], False),
        ([failed(n, Category.USER_EXIT, 2, state=CANCELLED) for n in range(9)], False),
        ([failed(n, Category.USER_EXIT, 2, state=WAITING) for n in range(9)], False),
        ([failed(n, Category.USER_EXIT, 2, own=True) for n in range(9)], False),
        ([failed(1, code=2)] * 9, False),
        ([failed(9, Category.OOM, 137), *exits(2, 2, 2)], True),
        ([failed(9, state=COMPLETE), *exits(2, 2, 2)], False),
        ([*exits(2, 2), failed(9, state=PRUNED), failed(8, code=2)], False),
    ],
    ids=[
        "bad usage",
        "any exit code",
        "too few",
        "another exit code",
        "codes that mean the infrastructure",
        "no such metric",
        "other bad results",
        "no result",
        "no JSON",
        "NaN",
        "memory",
        "time",
        "lost nodes",
        "cancelled",
        "tried again",
        "faults of their own",
        "one trial, told again",
        "what does not count is passed over",
        "one was complete",
        "one was pruned",
    ],
)
def test_when_first_trials_fail_in_the_same_way(records: list[Record], stops: bool) -> None:
    assert stops == bool(counted(records).reason)


def test_the_reason_says_what_happened_and_what_to_change() -> None:
    records = [
        failed(n, Category.BAD_RESULT, 0, metrics={"loss": 1.0}, summary=NO_METRIC)
        for n in range(3)
    ]
    reason = counted(records).reason
    assert "the first 3 trials failed in the same way" in reason
    assert "failures.same" in reason
    assert f"bad_result: {NO_METRIC}. Do this." in reason
    assert "trial.args" in counted(exits(2, 2, 2)).reason


def test_zero_is_never() -> None:
    first = counted(exits(*[2] * 30), limit=0)
    assert ("", False) == (first.reason, first.undecided)


def test_what_runs_on_after_the_stop_does_not_undo_it() -> None:
    first = counted([*exits(2, 2, 2), failed(9, state=COMPLETE)])
    assert first.reason
    assert not first.undecided


def test_who_asks_again_lifts_it() -> None:
    first = counted(exits(2, 2, 2, 2))
    first.forgive("2026-01-01T00:00:01.000Z")
    assert first.reason  # decided by the third
    first.forgive("2026-01-01T00:00:02.500Z")
    assert not first.reason
    first.count_record(failed(5, code=2))
    assert not first.reason
    first.count_record(failed(6, code=2))
    assert first.reason
    first.reopen_trial(0)
    assert first.reason
    first.reopen_trial(6)
    assert not first.reason
