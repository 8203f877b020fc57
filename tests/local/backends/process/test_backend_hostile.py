"""Whatever an attempt does to its own folder is its own problem alone, and holds up nobody."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.local.backends.process.conftest import RUN_ID, Host, alive, pids

from podmap.backends.base import Observation, Phase
from podmap.backends.process import state
from podmap.backends.process.folder import AttemptFolder
from podmap.backends.process.observe import observe
from podmap.backends.process.state import AskedLaunch
from podmap.records import Category, Diagnosis

REASON = Diagnosis(Category.CANCELLED, "stopped by the user")
FILES = ["launch.json", "process", "output", "result", "killed.json"]
CALL_S = 20.0  # far more than any call takes; it only keeps a hang from hanging the tests


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an attempt that seems to be started in this very moment."""
    monkeypatch.setattr(state, "PATIENCE_S", 0.2)


def sock(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**42)


def deep(path: Path, levels: int = 60) -> None:
    path.mkdir()
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def put(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


KINDS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "fifo": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "deep folder": deep,
    "full folder": lambda path: (path / "a" / "b").mkdir(parents=True),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link out": lambda path: path.symlink_to("/etc/passwd"),
    "socket": sock,
    "huge": sparse,
    "locked": lambda path: (path.touch(), path.chmod(0)),
    "empty": put(b""),
    "a line": put(b"x\n"),
    "three empty lines": put(b"\n\n\n\n"),
    "claims": put(b"1\nboot\n \n"),
    "two ends": put(b"1\nboot\n0\n1\n"),
    "odd end": put(b"1\nboot\n999\n"),
    "huge numbers": put(b"9" * 4000),
    "nested": put(b"[" * 100_000),
    "json list": put(b"[1]"),
    "json keys": put(b'{"reason": {"category": "x"}, "force_up_s": "soon", "argv": 1}'),
    "json NaN": put(b'{"reason": {"category": "oom", "summary": "s"}, "force_up_s": NaN}'),
    "json surrogates": put(
        b'{"reason": {"category": "oom", "summary": "\\ud800"}, "force_up_s": 1}'
    ),
    "bytes": put(bytes(range(256)) * 40),
}
MUTATIONS = st.dictionaries(
    st.sampled_from(FILES),
    st.one_of(st.sampled_from(sorted(KINDS)), st.binary(max_size=200)),
    min_size=1,
)


def mutate(folder: Path, mutations: dict[str, str | bytes]) -> None:
    for name, what in mutations.items():
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        (KINDS[what] if isinstance(what, str) else put(what))(path)


async def all_answers(host: Host, *, killed: bool) -> Observation:
    """What every method says of the attempt to one who has not started it; then it is deleted."""
    other = host.backend()

    async def ask() -> Observation:
        await other.list(RUN_ID)
        if killed:
            await other.kill(host.name(), reason=REASON, grace_s=0.0)
        seen = await other.wait(host.name())
        async for _ in other.output(host.name()):
            pass
        assert len(await other.tail(host.name(), max_bytes=100)) <= 100
        await other.delete(host.name())
        assert [] == [seen.name for seen in await other.list(RUN_ID, number=0)]
        return seen

    return await asyncio.wait_for(ask(), CALL_S)


SLOW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(mutations=MUTATIONS, alive=st.booleans())
@SLOW
def test_any_folder_is_read_to_its_end_and_removed(
    host: Host, mutations: dict[str, str | bytes], alive: bool
) -> None:
    async def scenario() -> None:
        maker = host.backend()
        script = "exec sleep 600" if alive else "true"
        await maker.create(host.shell(script))
        if not alive:
            await maker.wait(host.name())
        mutate(host.folder(), mutations)
        seen = await all_answers(host, killed=alive)
        assert seen.phase in (Phase.ENDED, Phase.GONE)
        assert not host.folder().exists()

    host.play(scenario)


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_a_folder_can_always_be_observed(tmp_path: Path, name: str, what: str) -> None:
    host = Host(tmp_path / "state", tmp_path)
    folder = AttemptFolder(str(host.folder()))
    os.close(folder.create(AskedLaunch.now(host.shell("true"))))
    (host.folder() / "process").write_text("1\nno-such-boot\n0\n")
    mutate(host.folder(), {name: what})
    seen = observe(host.name(), folder, result_limit_bytes=1000)
    assert seen is None or seen.phase in (Phase.ENDED, Phase.PENDING)
    folder.remove()
    assert not host.folder().exists()


def test_a_folder_deeper_than_any_stack_is_removed(host: Host) -> None:
    folder = AttemptFolder(str(host.folder()))
    os.close(folder.create(AskedLaunch.now(host.shell("true"))))
    deep(host.folder() / "deep", sys.getrecursionlimit() + 100)
    folder.remove()
    assert [] == list(host.folder().parent.iterdir())


WRECKS = {
    "fifo for its state": 'rm "$F/process"; mkfifo "$F/process"',
    "fifos for all": 'for f in "$F"/*; do rm "$f"; mkfifo "$f"; done',
    "odd lines": 'printf "\\n\\n\\n \\n" >"$F/process"',
    "more lines": 'printf "0\\n0\\n" >>"$F/process"',
    "a link": 'rm "$F/process"; ln -s /dev/zero "$F/process"',
    "a folder": 'rm "$F/process"; mkdir "$F/process"',
    "no folder": 'rm -rf "$F"',
    "a link for its folder": 'mv "$F" "$F.moved"; ln -s "$F.moved" "$F"',
    "a file for its folder": 'rm -rf "$F"; echo >"$F"',
    "an end in advance": 'echo 0 >>"$F/process"',
    "why it was killed": 'mkfifo "$F/killed.json"',
}


@pytest.mark.parametrize("wreck", WRECKS.values(), ids=WRECKS.keys())
def test_a_trial_that_wrecks_its_state_ends_and_the_others_go_on(host: Host, wreck: str) -> None:
    async def scenario() -> tuple[Observation, Observation]:
        backend = host.backend()
        script = f'F=$(dirname "$PODMAP_RESULT"); {wreck}; exit 0'
        await backend.create(host.shell(script))
        await backend.create(host.shell("echo 1 >$PODMAP_RESULT", number=1))
        both = asyncio.gather(backend.wait(host.name()), backend.wait(host.name(1)))
        wrecked, other = await asyncio.wait_for(both, CALL_S)
        await asyncio.wait_for(backend.delete(host.name()), CALL_S)
        assert not os.path.lexists(host.folder())
        return wrecked, other

    wrecked, other = host.play(scenario)
    assert (Phase.ENDED, 0, b"1\n") == (other.phase, other.exit_code, other.result)
    assert wrecked.exit_code in (None, 0)
    if wrecked.phase is Phase.ENDED and wrecked.exit_code is None:
        assert wrecked.diagnosis is not None
        assert wrecked.diagnosis.category in (Category.BAD_RESULT, Category.NODE_LOST)


@pytest.mark.parametrize("wreck", WRECKS.values(), ids=WRECKS.keys())
def test_a_wrecked_attempt_is_ended_by_a_kill_and_its_timeout(host: Host, wreck: str) -> None:
    async def scenario() -> None:
        backend = host.backend(timeout_grace_s=0.1)
        script = f'F=$(dirname "$PODMAP_RESULT"); {wreck}; echo $$ >>"$WORK/ran"; exec sleep 600'
        await backend.create(host.shell(script, timeout_s=0.5))
        await backend.create(host.shell(script, number=1))
        await asyncio.to_thread(pids, host.work / "ran", 2)
        await asyncio.wait_for(backend.kill(host.name(1), reason=REASON, grace_s=0.1), CALL_S)
        seen = [await asyncio.wait_for(backend.wait(host.name(n)), CALL_S) for n in (0, 1)]
        for each, category in zip(seen, (Category.USER_TIMEOUT, Category.CANCELLED), strict=True):
            if each.phase is Phase.ENDED:
                assert each.diagnosis is not None
                assert category is each.diagnosis.category

    host.play(scenario)
    assert [False, False] == [alive(pid) for pid in pids(host.work / "ran", 2)]


@pytest.mark.parametrize("removed", [False, True], ids=["odd", "removed"])
@pytest.mark.parametrize("name", ["process", "launch.json"])
def test_a_running_attempt_whose_state_is_odd_is_found_and_not_started_twice(
    host: Host, name: str, removed: bool
) -> None:
    async def scenario() -> None:
        launch = host.shell('echo $$ >>"$WORK/ran"; exec sleep 600')
        await host.backend().create(launch)
        await asyncio.to_thread(pids, host.work / "ran", 1)
        (host.folder() / name).write_bytes(b"[[[\n")
        if removed:
            (host.folder() / name).unlink()
        other = host.backend()
        [seen] = await other.list(RUN_ID)
        assert Phase.RUNNING is seen.phase
        again = await other.create(launch)
        assert Phase.RUNNING is again.phase
        await asyncio.wait_for(other.kill(host.name(), reason=REASON, grace_s=0.0), CALL_S)
        assert REASON == (await other.wait(host.name())).diagnosis

    host.play(scenario)
    [command] = pids(host.work / "ran", 1)
    assert not alive(command)


def test_a_hole_in_the_output_is_passed_over(host: Host) -> None:
    async def scenario() -> bytes:
        backend = host.backend()
        await backend.create(host.shell('echo one; truncate -s 4T "$WORK/../state"/*/*/output'))
        await backend.wait(host.name())
        heard = b""
        async for chunk in backend.output(host.name()):
            heard += chunk.strip(b"\0")
        return heard

    assert b"one\n" == host.play(scenario)
