"""What the suite would see if podmap did harm: a judge that passes everything is worth nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from chaos.sweep import Size
from chaos.verdict import started_too_often, wrong_record
from chaos.watcher import Watcher

from podmap.names import attempt_labels
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

SIZE = Size(trials=10, parallelism=2)


def record(number: int, state: TrialState, *ends: Category | None, score: float | None) -> Record:
    attempts = tuple(
        Attempt(nth, f"pod-{nth}", diagnosis=Diagnosis(end, "why") if end else None)
        for nth, end in enumerate(ends, 1)
    )
    metrics = {} if score is None else {"score": score}
    return Record(number, "key", "epoch", state, metrics=metrics, attempts=attempts)


USER, INFRA = Category.USER_EXIT, Category.EVICTED


@pytest.mark.parametrize(
    ("found", "fine"),
    [
        (record(2, TrialState.COMPLETE, None, score=14), True),
        (record(2, TrialState.COMPLETE, INFRA, INFRA, None, score=14), True),
        (record(2, TrialState.COMPLETE, None, score=15), False),
        (record(2, TrialState.FAILED, None, score=None), False),
        (record(2, TrialState.RUNNING, None, score=14), False),
        (record(2, TrialState.COMPLETE, USER, None, score=14), False),
        (record(3, TrialState.FAILED, USER, USER, score=None), True),
        (record(3, TrialState.FAILED, USER, INFRA, USER, score=None), True),
        (record(3, TrialState.FAILED, USER, INFRA, score=None), False),
        (record(7, TrialState.COMPLETE, USER, None, score=49), True),
        (record(7, TrialState.COMPLETE, INFRA, None, score=49), True),
        (record(7, TrialState.COMPLETE, USER, USER, None, score=49), False),
    ],
)
def test_a_record_that_is_not_as_it_should_be_is_seen(found: Record, fine: bool) -> None:
    assert fine is not any(wrong_record(found, SIZE))


def pod(number: int, attempt: int, code: int | None = None, gated: bool = False) -> dict[str, Any]:
    labels = attempt_labels(sweep="s", run_id="r", number=number, attempt=attempt, epoch="e")
    state: dict[str, Any] = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    return {
        "metadata": {"uid": f"{number}-{attempt}", "labels": labels},
        "spec": {"schedulingGates": [{"name": "podmap.io/slot"}] if gated else []},
        "status": {} if gated else {"containerStatuses": [{"state": state}]},
    }


def test_the_watcher_sees_what_lives_at_once_what_ran_twice_and_what_succeeded_twice() -> None:
    ground: Any = SimpleNamespace(deleted={})
    watcher = Watcher(ground)
    watcher.take("ADDED", pod(1, 1, gated=True))
    assert (0, set()) == (watcher.most, watcher.attempts)
    watcher.take("MODIFIED", pod(1, 1))
    watcher.take("MODIFIED", pod(1, 1, 0))
    watcher.take("MODIFIED", pod(1, 1, 0))
    watcher.take("DELETED", pod(1, 1, 0))
    assert (1, {1: 1}, set(), {1}) == (
        watcher.most,
        watcher.succeeded,
        watcher.twice,
        watcher.ended,
    )
    watcher.take("ADDED", pod(1, 2))
    watcher.take("ADDED", pod(1, 3))
    watcher.take("ADDED", pod(2, 1))
    assert (3, {1}) == (watcher.most, watcher.twice)
    watcher.take("MODIFIED", pod(1, 2, 0))
    assert 2 == watcher.succeeded[1]
    assert {(1, 1), (1, 2), (1, 3), (2, 1)} == watcher.attempts


def test_what_was_deleted_by_hand_may_succeed_and_be_started_once_more() -> None:
    ground: Any = SimpleNamespace(deleted={"1-1": (1, 1)})
    watcher = Watcher(ground)
    watcher.take("MODIFIED", pod(1, 1, 0))
    watcher.take("MODIFIED", pod(2, 1, 0))
    assert {2: 1} == watcher.succeeded
    assert [] == list(started_too_often([(1, 1), (1, 1), (2, 1)], ground.deleted.values()))
    assert [
        "attempt 1 of trial 1 was started 3 times",
        "attempt 1 of trial 2 was started 2 times",
    ] == list(started_too_often([(1, 1), (2, 1), (1, 1), (2, 1), (1, 1)], ground.deleted.values()))


def test_a_list_in_any_order_tells_of_no_more_than_there_were() -> None:
    ground: Any = SimpleNamespace(deleted={})
    watcher = Watcher(ground)
    watcher.take_list({"items": [pod(2, 1)]})
    watcher.take_list({"items": [pod(1, 1), pod(2, 1, 0), pod(3, 1, gated=True)]})
    assert (1, {2}) == (watcher.most, watcher.ended)
