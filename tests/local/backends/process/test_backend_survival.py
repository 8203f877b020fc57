from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from tests.local.backends.process.conftest import RUN_ID, Host, alive, pids, until, wait_until

from podmap.backends.base import Observation, Phase
from podmap.backends.launch import Launch
from podmap.backends.process import system
from podmap.backends.process.folder import AttemptFolder
from podmap.backends.process.observe import observe
from podmap.backends.process.spawn import check_command, spawn_wrapper
from podmap.backends.process.state import PATIENCE_S, AskedLaunch, Wrapper
from podmap.backends.process.watch import ProcessWatch
from podmap.errors import BackendError
from podmap.records import Category, Diagnosis

ONCE = (
    'echo $$ >>"$WORK/ran"; while [ ! -e "$WORK/go" ]; do sleep 0.02; done; '
    'echo 1 >"$PODMAP_RESULT"'
)
HOLD = 'echo $$ >>"$WORK/ran"; while :; do sleep 0.05; done'
STUBBORN = f"trap '' TERM; {HOLD}"
REASON = Diagnosis(Category.CANCELLED, "stopped by the user")

PARENT = """
    import asyncio, json, os, signal, sys
    from podmap.backends.launch import Launch
    from podmap.backends.process import ProcessBackend, folder, spawn

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    moment, state_dir, launches = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    spawn_wrapper = spawn.spawn_wrapper
    if moment == "before the folder":
        folder.os.mkdir = die
    elif moment == "in the empty folder":
        folder._write_new = die
    elif moment == "before the spawn":
        spawn.spawn_wrapper = die
    elif moment == "right after the spawn":
        spawn.spawn_wrapper = lambda *args, **kwargs: (spawn_wrapper(*args, **kwargs), die())

    async def main():
        made = ProcessBackend(state_dir)
        for launch in launches:
            await made.create(Launch(**launch))
        if moment == "while it waits":
            asyncio.get_running_loop().call_later(0.05, die)
            await made.wait(launches[0]["name"])
        die()

    asyncio.run(main())
"""
MOMENTS = [
    "before the folder",
    "in the empty folder",
    "before the spawn",
    "right after the spawn",
    "after create",
    "while it waits",
]


def start_parent(host: Host, moment: str, launches: list[Launch]) -> subprocess.Popen[bytes]:
    """Another process that creates attempts, and kills itself at a moment."""
    fields = [{name: getattr(launch, name) for name in launch.__slots__} for launch in launches]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), moment, host.state_dir, json.dumps(fields)]
    )


def orphan(host: Host, launch: Launch) -> int:
    """Leaves an attempt without a parent, and returns the pid of its command."""
    parent = start_parent(host, "after create", [launch])
    assert -signal.SIGKILL == parent.wait()
    return pids(host.work / "ran", 1)[0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_attempt_is_started_once_whenever_its_parent_is_killed(host: Host, moment: str) -> None:
    launch = host.shell(ONCE)
    assert -signal.SIGKILL == start_parent(host, moment, [launch]).wait()

    async def scenario() -> Observation:
        backend, other = host.backend(), host.backend()
        found = await backend.list(RUN_ID)
        if moment in MOMENTS[:3]:
            assert [] == list(found)
        if moment in MOMENTS[4:]:
            assert [Phase.RUNNING] == [seen.phase for seen in found]
        await asyncio.gather(backend.create(launch), other.create(launch))
        (host.work / "go").touch()
        ended = await backend.wait(launch.name)
        assert ended == await other.wait(launch.name)
        return ended

    ended = host.play(scenario)
    assert (Phase.ENDED, 0, b"1\n", None) == (
        ended.phase,
        ended.exit_code,
        ended.result,
        ended.diagnosis,
    )
    assert 1 == (host.work / "ran").read_text().count("\n")


@pytest.mark.parametrize("count", [1, 7, 15, 22, 29])
def test_many_attempts_are_each_started_once_when_their_parent_is_killed(
    host: Host, count: int
) -> None:
    launches = [host.shell(f"{ONCE}; exit {number}", number=number) for number in range(30)]
    parent = start_parent(host, "after create", launches)
    run = host.state_dir / RUN_ID
    wait_until(lambda: run.is_dir() and len(list(run.iterdir())) >= count)
    parent.kill()
    parent.wait()
    (host.work / "go").touch()

    async def scenario() -> list[int | None]:
        backend = host.backend()
        await asyncio.gather(*(backend.create(launch) for launch in launches))
        ended = await asyncio.gather(*(backend.wait(launch.name) for launch in launches))
        return [seen.exit_code for seen in ended]

    assert list(range(30)) == host.play(scenario)
    assert 30 == (host.work / "ran").read_text().count("\n")


def test_an_attempt_that_ended_without_any_parent_keeps_its_end(host: Host) -> None:
    parent = start_parent(host, "after create", [host.shell("echo hi; exit 4")])
    parent.wait()
    wait_until(lambda: _written(host) == 3)

    async def scenario() -> None:
        [seen] = await host.backend().list(RUN_ID)
        assert (Phase.ENDED, 4) == (seen.phase, seen.exit_code)

    host.play(scenario)


def test_a_timeout_counts_from_the_start_and_is_enforced_by_who_adopts(host: Host) -> None:
    command = orphan(host, host.shell(STUBBORN, timeout_s=0.2))

    async def scenario() -> None:
        backends = [host.backend(timeout_grace_s=0.1) for _ in range(2)]
        for seen in await asyncio.gather(*(b.wait(host.name()) for b in backends)):
            assert (Phase.ENDED, 137) == (seen.phase, seen.exit_code)
            assert seen.diagnosis is not None
            assert Category.USER_TIMEOUT is seen.diagnosis.category

    host.play(scenario)
    assert not alive(command)


def test_a_kill_is_carried_through_by_the_next_parent(host: Host) -> None:
    command = orphan(host, host.shell(STUBBORN))

    async def begin() -> None:
        backend = host.backend()
        killing = asyncio.ensure_future(backend.kill(host.name(), reason=REASON, grace_s=0.5))
        await until((host.folder() / "killed.json").exists)
        killing.cancel()

    async def carry_through() -> None:
        seen = await host.backend().wait(host.name())
        assert (Phase.ENDED, REASON, 137) == (seen.phase, seen.diagnosis, seen.exit_code)

    host.play(begin)
    assert alive(command)
    host.play(carry_through)
    assert not alive(command)


def test_a_kill_goes_on_when_its_caller_is_cancelled(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()
        await backend.create(host.shell(STUBBORN))
        await until((host.work / "ran").exists)
        killing = asyncio.ensure_future(backend.kill(host.name(), reason=REASON, grace_s=0.2))
        await until((host.folder() / "killed.json").exists)
        killing.cancel()
        assert REASON == (await backend.wait(host.name())).diagnosis

    host.play(scenario)


def family(host: Host, end: str) -> list[str]:
    """A trial with a child, a grandchild and one in a process group of its own."""
    host.work.joinpath("family.py").write_text(
        textwrap.dedent(
            """
            import os, signal, subprocess, sys, time
            if sys.argv[1] == "own group":
                os.setpgid(0, 0)
            with open(os.environ["WORK"] + "/ran", "a") as file:
                print(os.getpid(), file=file, flush=True)
            if sys.argv[1] == "trial":
                subprocess.Popen([sys.executable, __file__, "child"])
                if sys.argv[2] == "stay":
                    subprocess.Popen([sys.executable, __file__, "own group"])
            elif sys.argv[1] == "child":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                subprocess.Popen([sys.executable, __file__, "grandchild"])
            if sys.argv[1] == "trial" and sys.argv[2] == "exit":
                while open(os.environ["WORK"] + "/ran").read().count("\\n") < 3:
                    time.sleep(0.01)
                subprocess.Popen([sys.executable, __file__, "own group"])
                while open(os.environ["WORK"] + "/ran").read().count("\\n") < 4:
                    time.sleep(0.01)
                sys.exit(9)
            time.sleep(600)
            """
        )
    )
    return [sys.executable, str(host.work / "family.py"), "trial", end]


@pytest.mark.parametrize("grace_s", [0.0, 20.0], ids=["at once", "politely"])
def test_kill_ends_the_whole_family(host: Host, grace_s: float) -> None:
    async def scenario() -> list[int]:
        backend = host.backend()
        await backend.create(host.launch(family(host, "stay")))
        members = await asyncio.to_thread(pids, host.work / "ran", 4)
        await backend.kill(host.name(), reason=REASON, grace_s=grace_s)
        return members

    members = host.play(scenario)
    assert [False] * 4 == [alive(pid) for pid in members]


def test_an_ended_child_is_reaped(host: Host) -> None:
    host.run(host.shell("true"))
    wrapper = AttemptFolder(str(host.folder())).read_wrapper()
    assert wrapper is not None
    assert not Path(f"/proc/{wrapper.pid}").exists()


def test_a_wrapper_that_was_killed_is_a_lost_attempt_and_leaves_nothing(host: Host) -> None:
    async def scenario() -> tuple[Observation, int]:
        backend = host.backend()
        await backend.create(host.shell(HOLD))
        [command] = await asyncio.to_thread(pids, host.work / "ran", 1)
        os.kill(os.getsid(command), signal.SIGKILL)
        return await backend.wait(host.name()), command

    seen, command = host.play(scenario)
    assert (Phase.ENDED, None) == (seen.phase, seen.exit_code)
    assert seen.diagnosis is not None
    assert Category.NODE_LOST is seen.diagnosis.category
    assert "vanished" in seen.diagnosis.summary
    assert not alive(command)


def test_a_pid_that_belongs_to_somebody_else_now_is_left_alone(host: Host) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        launch = host.shell("true")
        fake_runner(host, f"{stranger.pid}\n{system.boot_id()}\n", AskedLaunch.now(launch))

        async def scenario() -> None:
            for backend in (host.backend(), host.backend()):
                seen = await backend.wait(launch.name)
                assert seen.diagnosis is not None
                assert Category.NODE_LOST is seen.diagnosis.category
                await backend.kill(launch.name, reason=REASON, grace_s=0.0)
            await backend.delete(launch.name)

        host.play(scenario)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def fake_runner(host: Host, process: str | None, asked: AskedLaunch) -> None:
    """The folder of an attempt that never ran, as if it had."""
    os.close(AttemptFolder(str(host.folder())).create(asked))
    if process is not None:
        (host.folder() / "process").write_text(process)


def test_a_restart_of_the_host_is_told(host: Host) -> None:
    asked = replace(AskedLaunch.now(host.shell("true")), boot_id="another")
    fake_runner(host, f"{os.getpid()}\nanother\n", asked)

    async def scenario() -> None:
        seen = await host.backend().wait(host.name())
        assert seen.diagnosis is not None
        assert Category.NODE_LOST is seen.diagnosis.category
        assert "restarted" in seen.diagnosis.summary

    host.play(scenario)


def test_an_attempt_of_another_host_cannot_be_asked_until_it_has_ended(host: Host) -> None:
    asked = replace(AskedLaunch.now(host.shell("true")), host="gpu-7")
    fake_runner(host, f"{os.getpid()}\n{system.boot_id()}\n", asked)

    async def scenario() -> None:
        backend = host.backend()
        for ask in (backend.list(RUN_ID), backend.wait(host.name()), backend.delete(host.name())):
            with pytest.raises(BackendError, match="gpu-7"):
                await ask
        with (host.folder() / "process").open("a") as file:
            file.write("0\n")
        seen = await backend.wait(host.name())
        assert (Phase.ENDED, 0, "gpu-7") == (seen.phase, seen.exit_code, seen.node)

    host.play(scenario)


def test_an_attempt_whose_living_maker_is_about_to_start_it_is_pending(host: Host) -> None:
    launch = host.shell("true")
    fake_runner(host, None, AskedLaunch.now(launch))

    async def scenario() -> None:
        backend = host.backend()
        assert [Phase.PENDING] == [seen.phase for seen in await backend.list(RUN_ID)]
        waiter = asyncio.ensure_future(backend.wait(launch.name))
        (host.folder() / "process").write_text(f"1\n{system.boot_id()}\n7\n")
        assert 7 == (await waiter).exit_code

    host.play(scenario)


@pytest.mark.parametrize("process", [None, "", "0\n\n"], ids=["unclaimed", "cut", "given up"])
def test_an_attempt_that_was_not_started_in_time_never_runs(
    host: Host, process: str | None
) -> None:
    launch = host.shell("exit 6")
    asked = AskedLaunch.now(launch)
    late = replace(asked, started_up_s=asked.started_up_s - 2 * PATIENCE_S)
    fake_runner(host, process, late)

    async def scenario() -> Phase:
        backend = host.backend()
        phase = (await backend.wait(launch.name)).phase
        await backend.delete(launch.name)
        await backend.create(launch)
        assert 6 == (await backend.wait(launch.name)).exit_code
        return phase

    # What a wrapper began to claim may have run: it is lost, not gone.
    assert (Phase.ENDED if process == "" else Phase.GONE) is host.play(scenario)


@pytest.mark.parametrize("given_up", [False, True], ids=["two wrappers", "given up before"])
def test_of_all_wrappers_of_an_attempt_at_most_one_runs_it(host: Host, given_up: bool) -> None:
    launch = host.shell(ONCE)
    folder = AttemptFolder(str(host.folder()))
    (host.work / "go").touch()
    output = folder.create(AskedLaunch.now(launch))
    if given_up:
        folder.forbid_start()
    command = check_command(launch, os.environ)
    with open(os.devnull, "r+b") as null:
        started = [
            spawn_wrapper(folder.path, command, output=output, null=null.fileno()) for _ in range(8)
        ]
    os.close(output)
    for pid in started:
        os.waitpid(pid, 0)
    ran = host.work / "ran"
    assert (0 if given_up else 1) == (ran.read_text().count("\n") if ran.exists() else 0)


def test_a_watch_of_a_pid_that_was_given_away_ends_at_once(host: Host) -> None:
    async def scenario() -> bool:
        folder = AttemptFolder(str(host.folder()))
        watch = ProcessWatch(AskedLaunch.now(host.shell("true")), folder, os.getppid(), child=False)
        return watch.ended.done()

    assert host.play(scenario)


def test_a_kill_that_comes_too_late_is_no_reason(host: Host) -> None:
    async def scenario() -> Observation:
        backend = host.backend()
        await backend.create(host.shell("exit 3"))
        # The loop gets no turn in which it could see the end.
        wait_until(lambda: _written(host) == 3)
        await backend.kill(host.name(), reason=REASON, grace_s=0.0)
        return await backend.wait(host.name())

    seen = host.play(scenario)
    assert (3, None) == (seen.exit_code, seen.diagnosis)


def _written(host: Host) -> int:
    """How many lines the wrapper wrote: three, once the command has ended."""
    process = host.folder() / "process"
    return process.read_text().count("\n") if process.exists() else 0


def test_an_end_between_two_looks_is_seen(host: Host) -> None:
    class EndedMeanwhile(AttemptFolder):
        def is_running(self, wrapper: Wrapper) -> bool:
            with open(self.path_of("process"), "a") as file:
                file.write("5\n")
            return False

    fake_runner(host, f"1\n{system.boot_id()}\n", AskedLaunch.now(host.shell("true")))
    seen = observe(host.name(), EndedMeanwhile(str(host.folder())), result_limit_bytes=1)
    assert seen is not None
    assert (5, None) == (seen.exit_code, seen.diagnosis)
