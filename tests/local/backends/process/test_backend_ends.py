"""When an attempt has ended, nothing of it is left, and its times are true."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from datetime import datetime

import pytest
from tests.local.backends.process.conftest import RUN_ID, Host, alive, pids, until

from podmap.backends.base import Observation, Phase
from podmap.backends.process import system
from podmap.clock import parse_iso, utc_now
from podmap.records import Category, Diagnosis

REASON = Diagnosis(Category.CANCELLED, "stopped by the user")
SLEEP = 'echo $$ >>"$WORK/ran"; exec sleep 600'
LEAVE = """
import os, subprocess, sys, time
ran, sleep = os.environ["WORK"] + "/ran", [sys.argv[2]]
ways = {
    "in its group": ["sh", "-c", *sleep],
    "in a session": ["setsid", "sh", "-c", *sleep],
    "orphan": ["sh", "-c", "setsid sh -c '" + sleep[0] + "' & exit"],
    "child without environment": [sys.executable, "-c",
        "import os, subprocess, sys, time; subprocess.Popen(['sh', '-c', sys.argv[1]], "
        "env={'WORK': os.environ['WORK']}, start_new_session=True); time.sleep(600)", *sleep],
}
started = [subprocess.Popen(ways[way]) for way in sys.argv[3:]]
while not os.path.exists(ran) or open(ran).read().count("\\n") < len(started):
    time.sleep(0.01)
with open(os.environ["PODMAP_RESULT"], "w") as file:
    file.write('{"y": 1}')
if sys.argv[1] == "stay":
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""
WAYS = ["in its group", "in a session", "orphan"]


def leaving(end: str, *ways: str) -> list[str]:
    return [sys.executable, "-c", LEAVE, end, SLEEP, *ways]


@pytest.mark.parametrize("code", [0, 3])
def test_what_a_trial_has_started_ends_with_it_wherever_it_has_gone(host: Host, code: int) -> None:
    seen = host.run(host.launch(leaving(str(code), *WAYS)))
    assert (Phase.ENDED, code, None) == (seen.phase, seen.exit_code, seen.diagnosis)
    assert [False] * 3 == [alive(pid) for pid in pids(host.work / "ran", 3)]
    assert "that it had started went on after its end and had to be killed" in seen.warning


def test_what_stays_in_the_group_is_ended_by_the_wrapper(host: Host) -> None:
    assert "" == host.run(host.shell("true")).warning
    seen = host.run(host.launch(leaving("0", "in its group"), number=1))
    assert 0 == seen.exit_code
    assert [False] == [alive(pid) for pid in pids(host.work / "ran", 1)]


def test_a_deleted_attempt_is_killed_no_more_when_the_next_one_may_have_its_name(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_all, let_go, begun, over = system.end_all, threading.Event(), list[str](), list[str]()

    def end_first_slowly(leader: int, mark: str) -> int:
        begun.append(mark)
        if len(begun) > 1:
            return end_all(leader, mark)
        count = end_all(leader, mark)
        let_go.wait(20)
        over.append(mark)
        return count

    async def scenario() -> None:
        backend = host.backend()
        backend.delete_grace_s = 0.01
        await backend.create(host.shell("trap '' TERM; while :; do sleep 0.1; done"))
        monkeypatch.setattr(system, "end_all", end_first_slowly)
        deleting = asyncio.ensure_future(backend.delete(host.name()))
        await until(lambda: bool(begun) and system.find(str(host.folder())) is None)
        threading.Timer(0.5, let_go.set).start()
        await deleting
        assert over

    host.play(scenario)


def test_a_timeout_ends_what_has_gone_elsewhere(host: Host) -> None:
    async def scenario() -> Observation:
        backend = host.backend(timeout_grace_s=0.1)
        await backend.create(host.launch(leaving("stay", *WAYS), timeout_s=1.5))
        return await backend.wait(host.name())

    seen = host.play(scenario)
    assert seen.diagnosis is not None
    assert Category.USER_TIMEOUT is seen.diagnosis.category
    assert [False] * 3 == [alive(pid) for pid in pids(host.work / "ran", 3)]


@pytest.mark.parametrize(
    ("grace_s", "ways"),
    [(0.0, [*WAYS, "child without environment"]), (20.0, WAYS)],
    ids=["at once", "politely"],
)
def test_a_kill_ends_what_has_gone_elsewhere(host: Host, grace_s: float, ways: list[str]) -> None:
    async def scenario() -> list[int]:
        backend = host.backend()
        await backend.create(host.launch(leaving("stay", *ways)))
        members = await asyncio.to_thread(pids, host.work / "ran", len(ways))
        await backend.kill(host.name(), reason=REASON, grace_s=grace_s)
        return members

    assert [False] * len(ways) == [alive(pid) for pid in host.play(scenario)]


def test_what_an_attempt_left_that_ended_unseen_is_ended_by_who_looks(host: Host) -> None:
    async def begin() -> None:
        await host.backend().create(host.launch(leaving("0", *WAYS)))

    async def look() -> Observation:
        return await host.backend().wait(host.name())

    host.play(begin)
    members = pids(host.work / "ran", 3)
    seen = host.play(look)
    assert 0 == seen.exit_code
    assert [False] * 3 == [alive(pid) for pid in members]


def test_processes_of_other_attempts_and_of_nobody_go_on(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()
        await backend.create(host.launch(leaving("stay", *WAYS), number=1))
        others = await asyncio.to_thread(pids, host.work / "ran", 3)
        await backend.create(host.shell("setsid sleep 600 & exit 0"))
        await backend.wait(host.name())
        assert [True] * 3 == [alive(pid) for pid in others]

    host.play(scenario)


def took_s(seen: Observation) -> float:
    assert seen.started is not None
    assert seen.finished is not None
    return (parse_iso(seen.finished) - parse_iso(seen.started)).total_seconds()


STUBBORN = "trap '' TERM; echo $$ >\"$WORK/ran\"; while :; do sleep 0.05; done"
PAST = "touch -d 2001-01-01 $(dirname $PODMAP_RESULT)/*"


def test_an_end_by_force_is_when_it_was_done(host: Host) -> None:
    async def scenario() -> tuple[datetime, Observation]:
        backend = host.backend()
        await backend.create(host.shell(STUBBORN))
        await until((host.work / "ran").exists)
        killed = utc_now()
        await backend.kill(host.name(), reason=REASON, grace_s=0.7)
        return killed, await backend.wait(host.name())

    killed, seen = host.play(scenario)
    assert seen.finished is not None
    assert (parse_iso(seen.finished) - killed).total_seconds() > 0.6


@pytest.mark.parametrize("script", [f"sleep 0.5; {PAST}", f"sleep 0.5; {PAST}; kill -9 0"])
def test_a_file_s_time_says_nothing_of_an_end(host: Host, script: str) -> None:
    assert took_s(host.run(host.shell(f"({script}); sleep 0.1"))) > 0.4


def test_an_end_nobody_has_seen_is_when_the_wrapper_has_noted_it(host: Host) -> None:
    async def begin() -> None:
        await host.backend().create(host.shell(f"sleep 0.5; {PAST}"))

    async def look() -> Observation:
        return await host.backend().wait(host.name())

    host.play(begin)
    [wrapper] = [host.folder() / "process"]
    host.play(lambda: until(lambda: wrapper.exists() and wrapper.read_text().count("\n") == 3))
    seen = host.play(look)
    assert 0.4 < took_s(seen)
    assert seen.finished is not None
    assert parse_iso(seen.finished) <= utc_now()


def test_an_end_without_a_note_is_when_it_was_first_seen(host: Host) -> None:
    async def begin() -> None:
        await host.backend().create(host.shell(STUBBORN))
        await until((host.work / "ran").exists)

    async def look() -> Observation:
        backend = host.backend()
        [found] = await backend.list(RUN_ID)
        seen = await backend.wait(host.name())
        assert found.finished is not None
        assert seen.finished is not None
        return seen

    host.play(begin)
    [command] = pids(host.work / "ran", 1)
    wrapper = os.getsid(command)
    os.kill(wrapper, signal.SIGKILL)
    host.play(lambda: until(lambda: not alive(wrapper)))
    asked = utc_now()
    seen = host.play(look)
    assert seen.finished is not None
    assert (parse_iso(seen.finished) - asked).total_seconds() > -0.001
    assert not alive(command)


def test_the_environment_of_an_outer_trial_marks_nothing_of_an_inner_one(host: Host) -> None:
    shown = host.run(host.shell(f'test "${system.MARK}" = "$(dirname "$PODMAP_RESULT")"'))
    assert 0 == shown.exit_code
