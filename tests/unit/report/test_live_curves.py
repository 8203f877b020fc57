"""Trials that run have curves of what is told for pruning, until their records have more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.report.made_runs import make_run, record

from podmap.ledger.ledger import Ledger
from podmap.ledger.report_log import ReportLog, TrialReports
from podmap.records import TrialState
from podmap.report.view import RunReader

GOAL = {"metric": "accuracy", "direction": "maximize"}


def going(tmp_path: Path, *, prunes: bool = True) -> Ledger:
    """A run of one trial that runs and one that waits."""
    running = record(0, None, state=TrialState.RUNNING, finished=None, reason="")
    ledger, manifest = make_run(tmp_path, [running], objective=GOAL, count=2)
    if prunes:
        spec = {**manifest.spec, "prune": {"kind": "median"}}
        ledger.replace_manifest(type(manifest)(**{**manifest.to_json(), "spec": spec}))
    return ledger


def told(ledger: Ledger, *points: Sequence[Any], number: int = 0, epoch: str = "e") -> None:
    pairs = [(step, value) for step, value in points]
    ReportLog.of(ledger).add([TrialReports(number, epoch, pairs)])


def test_what_a_running_trial_reports_is_a_curve_at_once(tmp_path: Path) -> None:
    ledger = going(tmp_path)
    reader = RunReader(ledger)
    tag = reader.refresh()
    assert [] == reader.view()["curves"]["trial"]
    told(ledger, (1, 0.25), (2, None))
    told(ledger, (5, 0.5))
    assert tag != (newer := reader.refresh())
    curves = reader.view()["curves"]
    assert ("accuracy", [0], [[1, 2, 5]], [[0.25, None, 0.5]]) == (
        curves["metric"],
        curves["trial"],
        curves["steps"],
        curves["values"],
    )
    assert newer == reader.refresh()


def test_only_this_asking_counts_and_the_record_alone_once_it_has_ended(
    tmp_path: Path,
) -> None:
    ledger = going(tmp_path)
    told(ledger, (1, 0.25), (2, 0.5))
    told(ledger, (1, 0.125), (3, 0.125), epoch="e2")
    told(ledger, (1, 0.75), number=1)
    reader = RunReader(ledger)
    reader.refresh()
    assert [[0.25, 0.5]] == reader.view()["curves"]["values"]
    ledger.write_record(record(0, 0.5, reports=((7, {"accuracy": 0.5}),)))
    reader.refresh()
    assert [[7]] == reader.view()["curves"]["steps"]


def test_a_run_that_does_not_prune_is_not_asked_for_reports(tmp_path: Path) -> None:
    ledger = going(tmp_path, prunes=False)
    told(ledger, (1, 0.25))
    reader = RunReader(ledger)
    reader.refresh()
    assert [] == reader.view()["curves"]["trial"]
