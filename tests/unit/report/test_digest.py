"""A run's digest: the best five, the reasons of failures, and where results are."""

from __future__ import annotations

from tests.unit.report.made_runs import ACCURACY

from podmap.records import Record, TrialState
from podmap.report.digest import digest
from podmap.report.leaderboard import Leaderboard

SUMMARY = {
    "count": 20,
    "reached": "trial 11 has reached accuracy 1.3",
    "counts": {"COMPLETE": 12, "FAILED": 7, "CANCELLED": 1, "WAITING": 0},
    "report_uri": "s3://b/report.html",
    "leaderboard_uri": "s3://b/leaderboard.csv",
    "run_uri": "s3://b",
}


def record(number: int, state: TrialState = TrialState.COMPLETE, reason: str = "") -> Record:
    value = number / 8 if state is TrialState.COMPLETE else None
    return Record(
        number=number,
        key="k",
        epoch="e",
        state=state,
        params={"lr": 0.1, "kernel": "rbf"},
        objective=value,
        metrics={} if value is None else {"accuracy": value},
        reason=reason,
    )


def test_a_digest_says_the_best_the_reasons_and_the_places() -> None:
    records = [record(number) for number in range(12)]
    for number in range(12, 18):
        records.append(record(number, TrialState.FAILED, f"oom: out of memory at {number} GiB"))
    records.append(record(18, TrialState.FAILED, "user_exit: exit code 3"))
    records.append(record(19, TrialState.CANCELLED, "the run was stopped"))
    board = Leaderboard.build(records, [ACCURACY])
    assert digest(board, SUMMARY) == [
        "20 trials: 12 complete, 7 failed, 1 cancelled",
        "trial 11 has reached accuracy 1.3",
        "the best:",
        "  1. accuracy=1.375  trial 11: lr=0.1 kernel=rbf",
        "  2. accuracy=1.25  trial 10: lr=0.1 kernel=rbf",
        "  3. accuracy=1.125  trial 9: lr=0.1 kernel=rbf",
        "  4. accuracy=1  trial 8: lr=0.1 kernel=rbf",
        "  5. accuracy=0.875  trial 7: lr=0.1 kernel=rbf",
        "why trials failed:",
        "  6 trials (12, 13, 14, 15, 16, …): oom: out of memory at 12 GiB",
        "  trial 18: user_exit: exit code 3",
        "  trial 19: the run was stopped",
        "report: s3://b/report.html",
        "leaderboard: s3://b/leaderboard.csv",
        "records and logs: s3://b",
    ]


def test_without_a_result_a_digest_says_so() -> None:
    board = Leaderboard.build([record(0, TrialState.FAILED, "x")], [ACCURACY])
    lines = digest(board, {**SUMMARY, "reached": "", "count": 1, "counts": {"FAILED": 1}})
    assert lines[:4] == [
        "1 trial: 1 failed",
        "no trial has a result that counts",
        "why trials failed:",
        "  trial 0: x",
    ]
