"""The list of a store's runs: each with where it stands, also one that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.report.made_runs import make_run, record, two_goals

from podmap.report.publish import read_leaderboard
from podmap.report.run_list import runs_view

GOAL = {"metric": "accuracy", "direction": "maximize"}


def test_a_run_is_listed_with_its_best(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(n, n / 10) for n in range(3)], objective=GOAL, count=4)
    found = runs_view(str(tmp_path))
    assert (1, str(tmp_path)) == (found["schema"], found["store"])
    assert [
        {
            "key": "digits/0123abcd",
            "sweep": "digits",
            "id": "0123abcd",
            "uri": ledger.run_uri,
            "state": "waiting",
            "counts": {
                "WAITING": 1,
                "RUNNING": 0,
                "COMPLETE": 3,
                "PRUNED": 0,
                "FAILED": 0,
                "CANCELLED": 0,
                "UNKNOWN": 0,
            },
            "total": 4,
            "best": 0.2,
            "metric": "accuracy",
            "goal": "maximize",
            "created": 1767225600.0,
            "started": 1767225600.0,
            "finished": None,
            "owner": {"kind": "cli"},
            "error": "",
        }
    ] == found["runs"]


def test_of_repeats_the_best_mean_is_listed_as_results_rank_them(tmp_path: Path) -> None:
    values = [0.99, 0.11, 0.7, 0.6]  # the best trial is not one of the best set of params
    records = [
        record(n, value, params={"lr": n // 2}, repeat=n % 2) for n, value in enumerate(values)
    ]
    ledger, manifest = make_run(tmp_path, records, objective=GOAL, repeats=2)
    best = read_leaderboard(ledger, manifest).best
    one = runs_view(str(tmp_path))["runs"][0]
    assert best is not None
    assert (0.65, 0.65) == (pytest.approx(best.objective), pytest.approx(one["best"]))


def test_of_several_objectives_none_is_listed_as_the_best(tmp_path: Path) -> None:
    goals = [GOAL, {"metric": "loss", "direction": "minimize"}]
    make_run(tmp_path, [two_goals(0, 0.5, 0.5)], objective=goals)
    one = runs_view(str(tmp_path))["runs"][0]
    assert (None, "accuracy", "maximize") == (one["best"], one["metric"], one["goal"])


def test_a_run_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    ledger, _ = make_run(tmp_path, [record(0, 0.5)], objective=GOAL)
    (Path(ledger.run_uri) / "manifest.json").write_text("{")
    one = runs_view(str(tmp_path))["runs"][0]
    assert ("digits/0123abcd", None) == (one["key"], one["best"])
    assert "manifest.json" in one["error"]
    json.dumps(one, allow_nan=False)


def test_a_store_without_runs(tmp_path: Path) -> None:
    assert [] == runs_view(str(tmp_path))["runs"]
