from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import podmap
from podmap.errors import UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record, TrialState

SPEC = {
    "apiVersion": "podmap/v1",
    "name": "digits",
    "search": {"kind": "list", "items": [{"lr": 0.1}]},
    "objective": {"metric": "accuracy", "direction": "maximize"},
    "trial": {"command": ["train"]},
}


@pytest.fixture
def run(tmp_path: Path) -> podmap.Run:
    ledger = Ledger.open(f"{tmp_path}/digits/0123abcd")
    created = "2026-01-01T00:00:00.000Z"
    ledger.write_manifest(Manifest("digits", "0123abcd", {"kind": "cli"}, created, SPEC, count=3))
    for number, value in enumerate([0.5, 0.9]):
        ledger.write_record(
            Record(
                number,
                "k",
                "e",
                TrialState.COMPLETE,
                params={"lr": number / 10},
                metrics={"accuracy": value},
                objective=value,
            )
        )
    ledger.write_record(Record(2, "k", "e", TrialState.FAILED, reason="it broke"))
    return podmap.load(ledger.run_uri)


def test_run_is_read_back(run: podmap.Run) -> None:
    assert [record.number for record in run.records] == [0, 1, 2]
    assert run.best == run.records[1]
    assert run.counts == {"COMPLETE": 2, "FAILED": 1}
    assert [row.number for row in run.leaderboard.rows] == [1, 0, 2]
    assert (run.manifest.sweep, repr(run)) == ("digits", f"<podmap.Run {run.uri}>")


def test_run_is_found_by_its_id(run: podmap.Run, tmp_path: Path) -> None:
    assert podmap.load("0123abcd", store=str(tmp_path)).uri == run.uri


def test_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run"):
        podmap.load(f"{tmp_path}/digits/0123abcd")


def test_data_frame_has_the_leaderboard(run: podmap.Run) -> None:
    pytest.importorskip("pandas")
    frame = run.to_pandas()
    assert list(frame["number"]) == [1, 0, 2]
    assert frame.loc[0, ["params.lr", "metrics.accuracy", "objective"]].tolist() == [0.1, 0.9, 0.9]
    assert frame["objective"].dtype == float


def test_without_pandas_the_extra_is_named(
    run: podmap.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"podmap\[pandas\]"):
        run.to_pandas()


def test_exported_names_are_there_and_no_others() -> None:
    assert podmap.__all__ == ["Run", "__version__", "load"]
    assert all(getattr(podmap, name) is not None for name in podmap.__all__)
    assert set(podmap.__all__) <= set(dir(podmap))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = podmap.nothing


def test_import_loads_next_to_nothing() -> None:
    code = "import podmap, sys; print(*sorted(m for m in sys.modules if m.startswith('podmap')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["podmap", "podmap._version"]


def test_exports_survive_the_import_of_their_module() -> None:
    code = "import podmap.loading, podmap; assert callable(podmap.load)"
    subprocess.run([sys.executable, "-c", code], check=True)
