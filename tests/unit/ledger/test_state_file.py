"""A `run.json` that nobody understands stops no run, and is not lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from podmap import names
from podmap.errors import RecordError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_state import RunState
from podmap.ledger.store import Store, open_store

BROKEN = [
    b"",
    b"x",
    b"[]",
    b'{"paused": "yes"}',
    b'{"parallelism": 1e400}',
    b"[" * 100_000,
    b"\xff",
]
SHORT = pytest.mark.parametrize("raw", BROKEN, ids=lambda raw: repr(raw[:12]))


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"
    return open_store(f"{place}/digits/0123abcd")


@SHORT
def test_it_is_read_as_if_nothing_was_decided_where_that_is_asked_for(
    store: Store, raw: bytes
) -> None:
    store.write(names.RUN_STATE, raw)
    ledger = Ledger(store)
    broken: list[RecordError] = []
    assert RunState() == ledger.read_state(on_broken=broken.append)
    assert str(broken[0]).startswith(f"{store.uri}/{names.RUN_STATE}")
    with pytest.raises(RecordError):
        ledger.read_state()
    assert raw == store.read(names.RUN_STATE)


@SHORT
def test_a_change_begins_it_anew_and_keeps_what_was_there(
    store: Store, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(names.RUN_STATE, raw)
    ledger = Ledger(store)
    assert RunState(parallelism=3) == ledger.update_state(parallelism=3)
    assert RunState(parallelism=3) == ledger.read_state()
    assert [raw] == [store.read(f"former/{name}") for name in store.list("former")]
    assert "begun anew, and kept as" in caplog.text


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_what_is_no_file_is_replaced(tmp_path: Path, kind: str) -> None:
    store = open_store(str(tmp_path / "digits" / "0123abcd"))
    store.write("x", b"kept")
    path = tmp_path / "digits" / "0123abcd" / names.RUN_STATE
    os.mkfifo(path) if kind == "fifo" else path.symlink_to(path.parent / "x")
    ledger = Ledger(store)
    assert RunState(paused=True) == ledger.update_state(paused=True)
    assert RunState(paused=True) == ledger.read_state()
    assert b"kept" == store.read("x")


def test_a_change_that_changes_nothing_begins_it_anew_too(store: Store) -> None:
    store.write(names.RUN_STATE, b"{")
    assert RunState() == Ledger(store).change_state(lambda state: {})
    assert RunState() == Ledger(store).read_state()
