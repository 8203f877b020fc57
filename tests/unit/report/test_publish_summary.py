from __future__ import annotations

import json
from pathlib import Path

from podmap import names
from podmap.report.publish import publish

from .made_runs import make_run, record, two_goals

GOAL = {"metric": "accuracy", "direction": "maximize"}


def test_summary_says_what_the_run_came_to(tmp_path: Path) -> None:
    records = [record(0, 0.5), record(1, 0.9, outputs={"model": "s3://b/m"}), record(2)]
    ledger, manifest = make_run(tmp_path, records, objective=GOAL, count=5)
    summary = publish(ledger, manifest)
    uri = f"{tmp_path}/digits/0123abcd"
    assert summary == {
        "schema": 1,
        "run_uri": uri,
        "sweep": "digits",
        "run_id": "0123abcd",
        "count": 5,
        "counts": {"COMPLETE": 2, "FAILED": 1, "WAITING": 2},
        "reached": "",
        "best": {
            "number": 1,
            "params": {"lr": 0.01, "kernel": "rbf"},
            "metrics": {"accuracy": 0.9},
            "outputs": {"model": "s3://b/m"},
            "record_uri": f"{uri}/trials/1.json",
        },
        "pareto": [],
        "started": "2026-01-01T00:00:00.000Z",
        "finished": "2026-01-01T00:01:02.000Z",
        "duration_s": 62.0,
        "gpu_seconds": 0.0,
        "leaderboard_uri": f"{uri}/leaderboard.csv",
        "report_uri": f"{uri}/report.html",
        "left_out": [],
    }
    assert json.loads(ledger.read_file(names.SUMMARY) or b"") == summary


def test_summary_of_several_objectives_has_the_front(tmp_path: Path) -> None:
    goals = [GOAL, {"metric": "loss", "direction": "minimize"}]
    records = [two_goals(0, 0.5, 0.5), two_goals(1, 0.9, 0.9), two_goals(2, 0.4, 0.6)]
    summary = publish(*make_run(tmp_path, records, objective=goals))
    assert (summary["best"], [e["number"] for e in summary["pareto"]]) == (None, [1, 0])


def test_summary_of_a_run_without_records_is_whole(tmp_path: Path) -> None:
    summary = publish(*make_run(tmp_path, [], objective=GOAL, count=3))
    assert (summary["counts"], summary["best"]) == ({"WAITING": 3}, None)
    assert (summary["started"], summary["duration_s"]) == (None, None)


def test_params_that_are_not_unicode_can_be_published(tmp_path: Path) -> None:
    records = [record(0, 0.5, params={"file": "a\udc80"})]
    ledger, manifest = make_run(tmp_path, records, objective=GOAL)
    summary = publish(ledger, manifest)
    assert json.loads(ledger.read_file(names.SUMMARY) or b"")["best"] == summary["best"]
