"""What stores read is a file of podmap's: of its size, and none that somebody waits for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from podmap import names
from podmap.errors import RecordError, StoreError
from podmap.ledger import store_fsspec, store_local
from podmap.ledger.ledger import Ledger
from podmap.ledger.store import open_store
from podmap.ledger.store_fsspec import FsspecStore


def put_odd(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link":
        path.symlink_to("/etc/passwd")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)


ODD = pytest.mark.parametrize("kind", ["fifo", "folder", "device", "link", "huge"])


@ODD
def test_a_file_that_is_none_of_podmaps_is_an_error_of_its_own(tmp_path: Path, kind: str) -> None:
    store = open_store(str(tmp_path))
    store.write("a", b"1")
    put_odd(tmp_path / "b", kind)
    with pytest.raises(RecordError, match=f"cannot read {tmp_path}/b, which is not podmap's"):
        store.read("b")
    first, second, third = store.read_many(["a", "b", "c"])
    assert (("a", b"1"), ("c", None)) == (first, third)
    assert isinstance(second[1], RecordError)


@ODD
def test_a_record_or_attempt_that_is_no_file_costs_itself_alone(tmp_path: Path, kind: str) -> None:
    ledger = Ledger.open(str(tmp_path / "digits" / "0123abcd"))
    for folder, name in ((names.TRIALS, "1.json"), (names.ATTEMPTS, "1-a1.json")):
        (tmp_path / "digits" / "0123abcd" / folder).mkdir(parents=True)
        put_odd(tmp_path / "digits" / "0123abcd" / folder / name, kind)
    broken: list[RecordError] = []
    assert [] == list(ledger.records(on_broken=broken.append))
    assert (0 if kind == "folder" else 1) == len(broken)
    assert () == ledger.attempts(1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_still_one_that_could_not_be_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "a").chmod(0)
    with pytest.raises(StoreError, match="give this user the right"):
        open_store(str(tmp_path)).read("a")


def test_a_large_file_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_local, "MAX_BYTES", 10)
    monkeypatch.setattr(store_fsspec, "MAX_BYTES", 10)
    for store in (open_store(str(tmp_path)), open_store(f"memory://{tmp_path.name}")):
        store.write("full", b"x" * 10)
        store.write("more", b"x" * 11)
        store.write("none", b"")
        assert (b"x" * 10, b"") == (store.read("full"), store.read("none"))
        with pytest.raises(RecordError, match=f"{store.uri}/more"):
            store.read("more")


class FromBucket:
    """A file system that, as S3, has no part of an object without content."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def cat_file(self, path: str, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        if path.endswith("empty"):
            raise OSError(22, "The requested range is not satisfiable")
        if path.endswith("gone"):
            raise OSError(5, "no answer")
        return b"x" * 20

    def info(self, path: str) -> dict[str, Any]:
        return {"size": 0 if path.endswith("empty") else 20}


def test_no_more_of_an_object_is_asked_for_than_may_be_podmaps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_fsspec, "MAX_BYTES", 10)
    store = open_store("memory://bucket")
    assert isinstance(store, FsspecStore)
    fs = store._fs = FromBucket()
    with pytest.raises(RecordError, match="bucket/large has more than"):
        store.read("large")
    assert b"" == store.read("empty")
    with pytest.raises(StoreError, match="cannot read"):
        store.read("gone")
    assert {(0, 11)} == set(fs.asked)


def test_a_record_of_many_small_values_is_not_taken_apart(tmp_path: Path) -> None:
    """Sixteen megabytes of `[],` would be half a gigabyte in memory."""
    ledger = Ledger.open(str(tmp_path / "digits" / "0123abcd"))
    (tmp_path / "digits" / "0123abcd" / names.TRIALS).mkdir(parents=True)
    bomb = b'{"params": {"x": [' + b"[]," * 6_000_000 + b"[]]}}"
    (tmp_path / "digits" / "0123abcd" / names.TRIALS / "0.json").write_bytes(bomb)
    broken: list[RecordError] = []
    assert [] == list(ledger.records(on_broken=broken.append))
    assert "trials/0.json has more than 16777216 bytes" in str(broken[0])
