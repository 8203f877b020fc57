from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from podmap import names
from podmap.errors import UsageError
from podmap.ledger.keys import IndexedRecord, KeyIndex
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_summary import RunSummary, iter_runs
from podmap.ledger.runs import default_store, find_run
from podmap.records import Record, TrialState

CREATED = "2026-01-01T00:00:00.000Z"


def make_run(store: str, sweep: str, run_id: str, *, count: int = 2) -> Ledger:
    ledger = Ledger.open(names.run_uri(store, sweep, run_id))
    ledger.write_manifest(Manifest(sweep, run_id, {"kind": "cli"}, CREATED, {}, count=count))
    return ledger


@pytest.fixture
def store(tmp_path: Path) -> str:
    for sweep, run_id in [("digits", "aaaa0001"), ("digits", "aaaa0002"), ("other", "bbbb0001")]:
        make_run(str(tmp_path), sweep, run_id)
    (tmp_path / "digits" / "keys").mkdir()
    (tmp_path / "digits" / "cccc0001").mkdir()
    return str(tmp_path)


@pytest.mark.parametrize(
    "run",
    [
        "aaaa0002",
        "bbbb",
        "digits/aaaa0002",
        "{store}/digits/aaaa0002",
        "{store}/digits/aaaa0002/",
        "file://{store}/digits/aaaa0002",
    ],
)
def test_run_is_found(store: str, run: str) -> None:
    found = find_run(store, run.format(store=store))
    assert Ledger.open(found).read_manifest().run_id in ("aaaa0002", "bbbb0001")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("aaaa0009", "did you mean aaaa0002 or aaaa0001"),
        ("aaaa", "stands for 2 runs"),
        ("zzz", "there are 4, for example digits/aaaa0001"),
        ("", "there are 4"),
        ("digits/aaaa0009", "did you mean"),
    ],
)
def test_run_that_is_not_found_is_said_with_near_ones(store: str, run: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_run(store, run)


def test_folder_without_a_manifest_is_no_run(store: str) -> None:
    with pytest.raises(UsageError, match=r"there is no run at .*cccc0001"):
        Ledger.open(find_run(store, "cccc0001")).read_manifest()


def test_empty_store_says_how_to_choose_another(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no runs in .* PODMAP_STORE"):
        find_run(str(tmp_path / "none"), "aaaa0001")
    assert list(iter_runs(str(tmp_path / "none"))) == []


def test_runs_are_listed_with_counts(store: str) -> None:
    make_run(store, "digits", "aaaa0001").write_record(Record(0, "k", "e", TrialState.COMPLETE))
    other = make_run(store, "other", "bbbb0001")
    other.write_file(names.SUMMARY, json.dumps({"counts": {"COMPLETE": 2}}).encode())
    other.update_state(finished=CREATED)
    first = RunSummary(
        f"{store}/digits/aaaa0001",
        "digits",
        "aaaa0001",
        created=CREATED,
        count=2,
        counts={"COMPLETE": 1, "WAITING": 1},
    )
    listed = list(iter_runs(store))
    assert listed[0] == first
    assert [run.run_id for run in listed] == ["aaaa0001", "aaaa0002", "bbbb0001"]
    assert (listed[2].counts, listed[2].finished) == ({"COMPLETE": 2}, CREATED)


def test_run_that_cannot_be_understood_is_listed_with_its_problem(store: str) -> None:
    Path(store, "digits", "aaaa0001", names.MANIFEST).write_text('{"schema": 9}')
    listed = {run.run_id: run.problem for run in iter_runs(store)}
    assert "manifest.json" in listed["aaaa0001"]
    assert listed["aaaa0002"] == ""


def test_store_is_the_one_given_then_the_environments_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PODMAP_STORE", "memory://env/")
    assert (default_store("/given"), default_store()) == ("/given", "memory://env")
    monkeypatch.delenv("PODMAP_STORE")
    assert default_store() == f"{os.path.expanduser('~')}/.podmap/runs"


def test_finished_trial_is_found_by_key_in_another_run(store: str) -> None:
    run = make_run(store, "digits", "aaaa0001")
    record = Record(0, "key-1", "e", TrialState.COMPLETE, metrics={"a": 1.0})
    run.write_record(record)
    keys = KeyIndex.open(store, "digits")
    assert keys.find_record("key-1") is None
    assert keys.add_record(record, record_uri=run.record_uri(0))
    found = KeyIndex.open(store, "digits").find_record("key-1")
    assert found == IndexedRecord(run.record_uri(0), record)
    assert KeyIndex.open(store, "other").find_record("key-1") is None
    run.delete_record(0)
    assert keys.find_record("key-1") is None


@pytest.mark.parametrize("state", ["FAILED", "PRUNED", "CANCELLED", "RUNNING"])
def test_only_complete_trials_are_pointed_at(store: str, state: str) -> None:
    keys = KeyIndex.open(store, "digits")
    record = Record(0, "key-1", "e", TrialState(state))
    assert not keys.add_record(record, record_uri=f"{store}/digits/aaaa0001/trials/0.json")
    assert keys.find_record("key-1") is None


def test_key_whose_trial_was_run_anew_with_other_work_is_not_found(store: str) -> None:
    run = make_run(store, "digits", "aaaa0001")
    record = Record(0, "key-1", "e", TrialState.COMPLETE)
    KeyIndex.open(store, "digits").add_record(record, record_uri=run.record_uri(0))
    run.write_record(Record(0, "key-2", "e", TrialState.COMPLETE))
    assert KeyIndex.open(store, "digits").find_record("key-1") is None


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".x"])
def test_key_that_is_no_name_is_refused(store: str, key: str) -> None:
    with pytest.raises(UsageError, match="cannot be a key"):
        KeyIndex.open(store, "digits").find_record(key)
