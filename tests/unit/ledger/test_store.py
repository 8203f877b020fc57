from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from unittest import mock
from uuid import uuid4

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from podmap import uris
from podmap.errors import StoreError, UsageError
from podmap.ledger import store_fsspec, store_local
from podmap.ledger.store import open_store, resolve_uri
from podmap.ledger.store_errors import store_error
from podmap.ledger.store_local import LocalStore, lock_name


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("/a/b/", "/a/b"),
        ("~/runs", f"{os.path.expanduser('~')}/runs"),
        ("x/../y", f"{os.getcwd()}/y"),
        ("s3://bucket/x/", "s3://bucket/x"),
        ("file:///a/b/", "file:///a/b"),
        ("memory://", "memory://"),
    ],
)
def test_uri_is_made_whole(uri: str, expected: str) -> None:
    assert resolve_uri(uri) == expected


def test_empty_uri_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        open_store(" ")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nosuch://b/x", "nosuch:// is not opened here"),
        ("s33://b/x", "did you mean s3"),
        ("reference://x.json::http://host/y", "chains file systems"),
        ("s3://key:secret@bucket/x", "user or password"),
    ],
)
def test_only_what_is_allowed_is_opened(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


def test_what_a_library_says_is_told_without_its_secrets() -> None:
    error = RuntimeError("GET https://key:secret@host/x?X-Signature=secret failed")
    told = str(store_error("read", "az://box/x?sig=secret", error))
    assert told.startswith("cannot read az://box/x?***: RuntimeError: GET https://***@host/x?***")
    assert "secret" not in told


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"pip install 'podmap\[objects\]'"):
        open_store("s3://bucket/x")


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (OSError(errno.EROFS, "Read-only file system"), "mounted read-only"),
        (PermissionError(errno.EACCES, "Permission denied"), "the right to"),
        (PermissionError("AccessDenied"), "the right to"),
        (FileNotFoundError("The specified bucket does not exist"), "create it first"),
        (RuntimeError("NoCredentialsError: Unable to locate"), "credentials"),
        (TimeoutError(), "can be reached"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_error_names_what_where_why_and_the_next_step(error: Exception, step: str) -> None:
    message = str(store_error("write", "s3://b/x/trials/1.json", error))
    assert message.startswith("cannot write s3://b/x/trials/1.json: ")
    assert step in message


def test_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = open_store(str(tmp_path / "file"))
    for call in (
        lambda: store.read("trials/1.json"),
        lambda: store.write("trials/1.json", b"x"),
        lambda: store.create("attempts/1.json", b"x"),
        lambda: store.exists("trials/1.json"),
        lambda: store.delete("trials/1.json"),
        lambda: list(store.list("trials")),
        lambda: store.replace("trials/1.json", None, b"x"),
    ):
        with pytest.raises(StoreError, match=r"file where|a file is where a folder must be"):
            call()


def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("trials/1.json", b"old")
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch.object(store_local.os, "write", autospec=True, side_effect=full):
        for write in (store.write, store.create):
            with pytest.raises(StoreError, match="No space left on device; free some space"):
                write("trials/1.json", b"new")
    assert store.read("trials/1.json") == b"old"
    assert os.listdir(tmp_path / "trials") == ["1.json"]


def test_cut_write_is_gone_on_with(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    write = os.write
    with mock.patch.object(store_local.os, "write", autospec=True) as cut:
        cut.side_effect = lambda fd, data: write(fd, data[:7])
        store.write("a/x", bytes(range(100)))
    assert store.read("a/x") == bytes(range(100))


def test_file_system_without_hard_links_still_creates_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    refused = PermissionError(errno.EPERM, "Operation not permitted")
    with mock.patch.object(store_local.os, "link", autospec=True, side_effect=refused):
        assert [store.create("a/x", b"1"), store.create("a/x", b"2")] == [True, False]
    assert store.read("a/x") == b"1"
    assert os.listdir(tmp_path / "a") == ["x"]


def test_what_a_killed_writer_left_is_not_listed_and_goes_with_the_run(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "run"))
    store.write("trials/1.json", b"{}")
    killed = mock.patch.object(
        store_local.os, "replace", autospec=True, side_effect=KeyboardInterrupt
    )
    with killed, pytest.raises(KeyboardInterrupt):
        store.write("trials/2.json", b"{}")
    assert len(os.listdir(tmp_path / "run" / "trials")) == 2
    assert list(store.list("trials")) == ["1.json"]
    store.delete_all()
    assert not (tmp_path / "run").exists()


def test_lock_taken_on_a_deleted_run_is_taken_anew(tmp_path: Path) -> None:
    first, second = open_store(str(tmp_path / "run")), open_store(str(tmp_path / "run"))
    assert isinstance(first, LocalStore)
    assert isinstance(second, LocalStore)
    with first.lock("a"):
        first.delete_all()
        with second.lock("a"):
            assert (tmp_path / "run" / lock_name("a")).exists()


@pytest.mark.parametrize("call", ["read", "exists", "delete", "write", "create", "list", "folders"])
def test_whatever_a_store_library_raises_is_a_store_error(call: str) -> None:
    class Refused(Exception):
        pass

    store = store_fsspec.FsspecStore("memory://refused")
    store._fs = mock.Mock(side_effect=Refused)
    for name in ("cat_file", "exists", "pipe_file", "isfile", "ls", "rm_file"):
        getattr(store._fs, name).side_effect = Refused("no route to host")
    data = (b"x",) if call in ("write", "create") else ()
    with pytest.raises(StoreError, match="memory://refused/a: Refused: no route to host"):
        list(getattr(store, call)("a", *data))


@pytest.fixture
def unshared(monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that other processes see, and that does not compare."""
    monkeypatch.setenv(uris.SCHEMES_VARIABLE, "sftp")
    memory = MemoryFileSystem()
    monkeypatch.setattr(store_fsspec, "open_filesystem", lambda uri: (memory, f"/{uuid4().hex}"))
    monkeypatch.setattr(store_fsspec, "_begun", set())
    return "sftp://host/runs/digits/0123abcd"


def test_a_store_that_cannot_compare_is_for_the_process_that_began_the_run(unshared: str) -> None:
    store = open_store(unshared)
    for change in (
        lambda: store.write("trials/1.json", b"1"),
        lambda: store.create("trials/1.json", b"1"),
        lambda: store.replace("trials/1.json", None, b"1"),
        lambda: store.delete("trials/1.json"),
        lambda: store.delete_all(),
    ):
        with pytest.raises(StoreError, match="was not begun by this process, and sftp:// cannot"):
            change()
    assert store.read("trials/1.json") is None
    assert store.create("manifest.json", b"{}")
    assert not store.create("manifest.json", b"{}")
    assert store.replace("trials/1.json", None, b"1")
    open_store(f"{unshared.rpartition('/')[0]}/keys").write("k", b"1")
    with pytest.raises(StoreError, match="was not begun by this process"):
        open_store(unshared.replace("0123abcd", "0123abce")).write("trials/1.json", b"1")


def test_a_run_that_another_process_began_is_not_taken(unshared: str) -> None:
    store = open_store(unshared)
    assert store.create("manifest.json", b"{}")
    store_fsspec._begun.clear()  # as in another process
    assert not store.create("manifest.json", b"{}")
    with pytest.raises(StoreError, match="was not begun by this process"):
        store.write("trials/1.json", b"1")
    assert store.read("manifest.json") == b"{}"
