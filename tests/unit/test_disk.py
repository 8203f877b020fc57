"""What podmap writes on a host is its user's alone, and what others have put there is refused."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap import disk
from podmap.backends.process import ProcessBackend, check_state_folder
from podmap.engine.run_lock import hold_run, run_holder
from podmap.errors import BackendError, StoreError, UsageError
from podmap.ledger import store_local
from podmap.ledger.store import open_store
from podmap.ledger.store_local import LocalStore, lock_name
from podmap.lint.linter import RULES, lint_file
from podmap.spec.load import load

RUN = "0123abcd"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize(
    ("shared", "folder", "file"), [("", 0o700, 0o600), ("1", 0o755, 0o644)], ids=["own", "shared"]
)
def test_a_ledger_is_its_users_alone_unless_it_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str, folder: int, file: int
) -> None:
    monkeypatch.setenv("PODMAP_SHARED", shared)
    store = open_store(str(tmp_path / "a" / "b"))
    store.write("trials/0.json", b"{}")
    store.create("attempts/0-a1.json", b"{}")
    store.replace("run.json", None, b"{}")
    made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
    assert {folder} == {mode(path) for path in made if path.is_dir()}
    assert {file} == {mode(path) for path in made if path.is_file()}


@pytest.mark.parametrize("others", [0o020, 0o002], ids=["group", "all"])
def test_a_state_folder_that_others_may_write_is_refused(state: Path, others: int) -> None:
    state.mkdir()
    state.chmod(0o700 | others)
    with pytest.raises(BackendError, match=f"run: chmod go-w {state}"):
        check_state_folder(str(state))
    with pytest.raises(BackendError, match="cannot be trusted"), hold_run(RUN):
        pass


async def _list(state: Path) -> None:
    backend = ProcessBackend(state)
    try:
        await backend.list(RUN)
    finally:
        await backend.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can give a folder away")
def test_a_state_folder_of_somebody_else_is_refused(state: Path) -> None:
    state.mkdir(mode=0o700)
    os.chown(state, 12345, -1)
    with pytest.raises(BackendError, match=f"belongs to user 12345.*run: chown -R 0 {state}"):
        asyncio.run(_list(state))


def test_a_shared_state_folder_is_taken_as_it_is(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.mkdir()
    state.chmod(0o777)
    monkeypatch.setenv("PODMAP_SHARED", "1")
    check_state_folder(str(state))


def test_a_link_in_the_place_of_a_lock_is_not_followed(state: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (state / ".runs").mkdir(parents=True, mode=0o700)
    state.chmod(0o700)
    (state / ".runs" / f"{RUN}.lock").symlink_to(victim)
    with pytest.raises(BackendError, match="cannot lock run"), hold_run(RUN):
        pass
    assert run_holder(RUN) is None
    store = open_store(str(tmp_path / "ledger"))
    store.write("x", b"")
    (tmp_path / "ledger" / lock_name("x")).symlink_to(victim)
    with pytest.raises(StoreError, match="cannot lock"):
        store.replace("x", b"", b"1")
    assert "precious" == victim.read_text()


def test_a_fifo_in_the_place_of_a_lock_holds_up_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / lock_name("x"))
    with pytest.raises(StoreError, match="no regular file"):
        open_store(str(tmp_path)).replace("x", None, b"1")


HOLDER = (
    "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, 2); "
    "print(1, flush=True); input()"
)


def test_a_lock_that_is_never_given_back_ends_in_an_error_that_names_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_local, "_LOCK_PATIENCE_S", 0.05)
    lock = tmp_path / lock_name("x")
    lock.touch()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(StoreError, match=r"has held .*/\.lock-\d+ for more than") as caught:
            open_store(str(tmp_path)).replace("x", None, b"1")
        if os.path.exists("/proc/locks"):
            assert f"process {holder.pid}" in str(caught.value)
    finally:
        holder.communicate(b"\n")
    store = LocalStore(str(tmp_path), root=str(tmp_path))
    with store.lock("x"), open(lock) as file:
        assert not disk.try_lock(file.fileno())


def test_pauses_for_a_lock_grow_until_patience_is_over() -> None:
    now = iter([0.0, 0.0, 1.0, 2.0, 9.0, 11.0])
    pauses = list(disk.tries(10.0, clock=lambda: next(now)))
    assert sorted(pauses) == pauses
    assert 4 == len(pauses)
    assert fcntl.LOCK_EX == 2  # what HOLDER takes


KINDS = ("fifo", "socket", "folder", "device", "link")


def put_odd(path: Path, kind: str) -> None:
    """Puts at a path what is no regular file."""
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        (path.parent / "target").write_bytes(b"{}")
        path.symlink_to(path.parent / "target")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_opened_and_nobody_waited_for(
    tmp_path: Path, kind: str
) -> None:
    put_odd(tmp_path / "x", kind)
    named = "FIFO" if kind == "fifo" else kind
    with pytest.raises(disk.OddFileError, match=f"x: a {'link' if kind == 'device' else named}"):
        disk.read_regular(str(tmp_path / "x"))
    if kind == "link":
        assert b"{}" == disk.read_regular(str(tmp_path / "x"), follow_links=True)
    else:
        with pytest.raises(disk.OddFileError, match=f"x: a {named}"):
            disk.read_regular(str(tmp_path / "x"), follow_links=True)


def test_a_file_is_read_to_its_limit_and_its_size_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x" * 300_000)
    assert b"x" * 300_000 == disk.read_regular(str(path), 300_000)
    with open("/proc/self/status", "rb") as file:  # its size is 0, as far as the system tells
        assert file.read(10) == disk.read_regular("/proc/self/status")[:10]
    with pytest.raises(disk.OddFileError, match="larger than 100 bytes"):
        disk.read_regular("/proc/self/status", 100)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(os, "read", None)
    with pytest.raises(disk.OddFileError, match="larger than 300000 bytes"):
        disk.read_regular(str(path), 300_000)


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder", "device"])
def test_a_spec_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    put_odd(tmp_path / "sweep.yaml", kind)
    with pytest.raises(UsageError, match=r"sweep.yaml: the spec cannot be read: "):
        load(tmp_path / "sweep.yaml")


def test_a_spec_may_come_by_a_pipe_of_a_shell(cli: Any) -> None:
    name = cli.spec()
    line = f"{sys.executable} -m podmap.cli.main plan --json"
    for command in (f"{line} <(cat {name})", f"cat {name} | {line} /dev/stdin"):
        done = subprocess.run(
            ["bash", "-c", command], env=cli.env, cwd=cli.folder, capture_output=True, check=True
        )
        assert b'"count": 4' in done.stdout


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_a_dag_file_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    put_odd(tmp_path / "dag.py", kind)
    for named in (False, True):
        found = lint_file(str(tmp_path / "dag.py"), named=named, rules=frozenset(RULES))
        assert ["PM001"] == [each.rule.id for each in found or ()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_that_cannot_be_read_lets_no_run_pass(cli: Any, kind: str) -> None:
    assert 0 == cli("run", cli.spec()).code
    kept = cli.folder / "state" / ".runs" / f"{cli.run_id()}.manifest"
    kept.unlink()
    put_odd(kept, kind)
    ran = cli("resume", cli.run_id())
    assert (3, True) == (ran.code, f"{kept}, cannot be read" in ran.err)
    kept.rmdir() if kind == "folder" else kept.unlink()
    assert 0 == cli("resume", cli.run_id()).code
