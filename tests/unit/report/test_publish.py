from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record, TrialState
from podmap.report.publish import publish

SPEC = {
    "apiVersion": "podmap/v1",
    "name": "grid",
    "search": {"kind": "grid", "params": {"x": {"low": 0, "high": 1}}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}


def ledger_with(folder: Path, *states: TrialState) -> tuple[Ledger, Manifest]:
    ledger = Ledger.open(str(folder / "grid" / "0123abcd"))
    manifest = ledger.write_manifest(
        Manifest(
            sweep="grid",
            run_id="0123abcd",
            owner={"kind": "cli"},
            created="2026-11-01T09:30:00.000Z",
            spec=SPEC,
            count=2,
        )
    )
    for number, state in enumerate(states):
        more: dict[str, Any] = {"started": "2026-11-01T09:30:01.000Z"}
        if state is TrialState.COMPLETE:
            more.update(objective=1.0 + number, metrics={"y": 1.0 + number})
        if state.terminal:
            more["finished"] = "2026-11-01T09:31:00.000Z"
        record = Record(
            number=number, key="k", epoch="e", state=state, params={"x": number}, **more
        )
        ledger.write_record(record)
    return ledger, manifest


def test_publish_writes_what_the_summary_names(tmp_path: Path) -> None:
    summary = publish(*ledger_with(tmp_path, TrialState.COMPLETE, TrialState.COMPLETE))
    for name in ("leaderboard_uri", "report_uri"):
        assert Path(summary[name]).stat().st_size > 0
    kept = json.loads((Path(summary["run_uri"]) / "summary.json").read_text())
    assert summary == kept
    assert (1, {"COMPLETE": 2}) == (summary["best"]["number"], summary["counts"])


def test_a_run_is_finished_once_all_its_trials_have_ended(tmp_path: Path) -> None:
    ledger, manifest = ledger_with(tmp_path, TrialState.COMPLETE)
    assert {"COMPLETE": 1, "WAITING": 1} == publish(ledger, manifest)["counts"]
    assert ledger.read_state().finished is None
    ledger, manifest = ledger_with(tmp_path, TrialState.COMPLETE, TrialState.FAILED)
    publish(ledger, manifest)
    assert "2026-11-01T09:31:00.000Z" == ledger.read_state().finished
