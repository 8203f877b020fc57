"""What the records of a run say of its trials."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from podmap.clock import iso
from podmap.forecast.history import history_of, params_text
from podmap.ledger.manifest import Manifest
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

PLANNED = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


def at(second: float) -> str:
    return iso(PLANNED + timedelta(seconds=second))


def manifest() -> Manifest:
    return Manifest(
        sweep="s",
        run_id="0123abcd",
        owner={},
        created=at(-100),
        planned=at(0),
        spec={},
        source="",
        folder="",
        backend="process",
        namespace="",
        context="",
        count=1,
        plan={},
        trials_per_task=1,
        podmap_version="0",
    )


def attempt(start: float, end: float | None, *, why: Category | None = None) -> Attempt:
    diagnosis = None if why is None else Diagnosis(why, "why")
    finished = None if end is None else at(end)
    return Attempt(1, "p", started=at(start), finished=finished, diagnosis=diagnosis)


def record(number: int, *attempts: Attempt, state: Any = TrialState.COMPLETE) -> Record:
    return Record(number, "", "e", state, {"x": number}, attempts=attempts)


def test_times_starts_and_failures_are_those_of_the_records() -> None:
    records = [
        record(0, attempt(2, 12)),
        record(1, attempt(2, 6, why=Category.USER_EXIT), attempt(7, 15)),
        record(2, attempt(13, 20)),
        record(3, attempt(16, 18, why=Category.OOM), state=TrialState.FAILED),
        record(4, attempt(16, 17, why=Category.CANCELLED), state=TrialState.CANCELLED),
        record(5, attempt(20.5, None), state=TrialState.RUNNING),
    ]
    found = history_of(manifest(), records)
    assert found is not None
    assert "run 0123abcd" == found.source
    assert ([10, 8, 7], [4, 2]) == (list(found.took_s), list(found.failed_s))
    texts = [params_text({"x": number}) for number in range(3)]
    assert dict(zip(texts, (10, 8, 7), strict=True)) == found.by_params
    assert 0.4 == pytest.approx(found.failing)
    assert 2 == pytest.approx(found.first_s)
    assert 1 == pytest.approx(found.start_s)


def test_a_run_without_a_result_says_nothing() -> None:
    failed = record(0, attempt(0, 1, why=Category.USER_EXIT), state=TrialState.FAILED)
    assert history_of(manifest(), [failed]) is None
    assert history_of(manifest(), []) is None


def test_a_run_of_which_all_ran_at_once_says_nothing_of_starts() -> None:
    found = history_of(manifest(), [record(n, attempt(1, 5 + n)) for n in range(3)])
    assert found is not None
    assert 0 == found.start_s
