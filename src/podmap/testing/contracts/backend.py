# ruff: noqa: D102, SIM300 - a test's name says what must hold; expected == actual
"""What every backend must do, as a test class to be subclassed.

    class TestMyBackend(BackendContract):
        def new_backend(self) -> Backend:
            return MyBackend(...)       # each time another one, on the same host or cluster

A backend that does not really execute attempts, such as one on a fake cluster, also overrides
`launch` and `release`, so that attempts do what `Program` says.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from podmap import names
from podmap.backends.base import Backend, Observation, Phase, WithdrawnError
from podmap.backends.launch import Launch
from podmap.clock import parse_iso
from podmap.records import Category, Diagnosis

RUN_ID = "0123abcd"
PATIENCE_S = 60.0
REASON = Diagnosis(Category.CANCELLED, "the user stopped it", "detail", "none needed")


class Program(enum.Enum):
    """What an attempt does; the value is a shell script that does it."""

    SUCCEED = 'echo one; echo two >&2; printf \'{"x": 1}\' >"$PODMAP_RESULT"'
    FAIL = "echo wrong; exit 3"
    HOLD = (
        'echo ready; while [ ! -e "$RELEASE" ]; do sleep 0.05; done; '
        'echo done; printf \'{"x": 2}\' >"$PODMAP_RESULT"'
    )
    STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


Scenario = Callable[[Callable[[], Backend]], Awaitable[None]]


class BackendContract:
    """The tests. Each runs in an event loop of its own, and deletes what it made."""

    def new_backend(self) -> Backend:
        """Another instance, which sees the attempts of the others."""
        raise NotImplementedError

    def launch(
        self,
        backend: Backend,
        program: Program,
        *,
        number: int = 0,
        attempt: int = 1,
        epoch: str = "e1",
        run_id: str = RUN_ID,
        timeout_s: float | None = None,
    ) -> Launch:
        """An attempt that does what `program` says."""
        name = names.attempt_name("contract", run_id, number, attempt)
        return Launch(
            name=name,
            sweep="contract",
            run_id=run_id,
            number=number,
            attempt=attempt,
            epoch=epoch,
            argv=("/bin/sh", "-c", program.value),
            env={
                "PODMAP_RESULT": backend.result_path(name),
                "RELEASE": str(self._releases / name),
            },
            timeout_s=timeout_s,
        )

    def release(self, launch: Launch) -> None:
        """Lets an attempt that does `Program.HOLD` go on to its end."""
        (self._releases / launch.name).touch()

    @pytest.fixture(autouse=True)
    def _release_folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._releases: Path = tmp_path_factory.mktemp("releases")

    def play(self, scenario: Scenario) -> None:
        """Runs a scenario; gives it a function that makes backends."""

        async def whole() -> None:
            made: list[Backend] = []

            def make() -> Backend:
                made.append(self.new_backend())
                return made[-1]

            try:
                await scenario(make)
            finally:
                cleaner = make()
                for seen in await cleaner.list(RUN_ID):
                    await cleaner.delete(seen.name)
                for backend in made:
                    await backend.close()

        asyncio.run(asyncio.wait_for(whole(), PATIENCE_S))

    def test_an_attempt_that_succeeds_leaves_its_result(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.SUCCEED, number=7, attempt=2, epoch="e9")
            await backend.create(launch)
            ended = await backend.wait(launch.name)
            assert (Phase.ENDED, 0, None) == (ended.phase, ended.exit_code, ended.diagnosis)
            assert (b'{"x": 1}', None) == (ended.result, ended.result_cut)
            assert _identity(launch) == _identity(ended)
            assert ended.started is not None
            assert ended.finished is not None
            assert parse_iso(ended.started) <= parse_iso(ended.finished)
            assert ended.node

        self.play(scenario)

    def test_an_attempt_that_fails_keeps_its_exit_code(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.FAIL)
            await backend.create(launch)
            ended = await backend.wait(launch.name)
            assert (Phase.ENDED, 3, None) == (ended.phase, ended.exit_code, ended.result)

        self.play(scenario)

    def test_create_leaves_an_attempt_of_the_same_name_alone(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            first = self.launch(backend, Program.HOLD, epoch="first")
            await backend.create(first)
            again = await backend.create(self.launch(backend, Program.FAIL, epoch="second"))
            assert "first" == again.epoch
            self.release(first)
            assert 0 == (await backend.wait(first.name)).exit_code
            late = await backend.create(self.launch(backend, Program.FAIL, epoch="third"))
            assert ("first", Phase.ENDED, 0) == (late.epoch, late.phase, late.exit_code)

        self.play(scenario)

    def test_two_creators_at_once_start_it_once(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backends = [make() for _ in range(4)]
            launch = self.launch(backends[0], Program.SUCCEED)
            await asyncio.gather(*(backend.create(launch) for backend in backends))
            ended = await asyncio.gather(*(backend.wait(launch.name) for backend in backends))
            assert [0] * 4 == [seen.exit_code for seen in ended]
            tail = await backends[0].tail(launch.name, max_bytes=1000)
            assert [b"one", b"two"] == sorted(tail.split())

        self.play(scenario)

    def test_list_shows_all_attempts_of_the_run_alone(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend, other_run = make(), "89abcdef"
            assert [] == list(await backend.list(RUN_ID))
            ended = self.launch(backend, Program.SUCCEED, number=0)
            running = self.launch(backend, Program.HOLD, number=11, attempt=3, epoch="e2")
            other = self.launch(backend, Program.HOLD, run_id=other_run)
            for launch in (ended, running, other):
                await backend.create(launch)
            await backend.wait(ended.name)
            for asked in (backend, make()):
                found = {seen.name: seen for seen in await asked.list(RUN_ID)}
                assert {ended.name, running.name} == set(found)
                assert (Phase.ENDED, b'{"x": 1}') == (
                    found[ended.name].phase,
                    found[ended.name].result,
                )
                assert Phase.ENDED is not found[running.name].phase
                assert _identity(running) == _identity(found[running.name])
            await backend.delete(other.name)
            assert [] == list(await backend.list(other_run))

        self.play(scenario)

    def test_list_shows_the_attempts_of_one_trial(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            for number, attempt in ((1, 1), (1, 12), (11, 1), (21, 1)):
                launch = self.launch(backend, Program.SUCCEED, number=number, attempt=attempt)
                await backend.create(launch)
            found = await make().list(RUN_ID, number=1)
            assert [(1, 1), (1, 12)] == sorted((seen.number, seen.attempt) for seen in found)
            assert [] == list(await backend.list(RUN_ID, number=2))

        self.play(scenario)

    def test_an_attempt_that_is_not_confirmed_leaves_nothing(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.HOLD)

            async def refuse() -> bool:
                return False

            with pytest.raises(WithdrawnError):
                await backend.create(launch, confirm=refuse)
            assert [] == list(await backend.list(RUN_ID))

        self.play(scenario)

    def test_all_waiters_are_told_and_one_that_is_cancelled_ends_nothing(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.HOLD)
            await backend.create(launch)
            waiters = [asyncio.ensure_future(backend.wait(launch.name)) for _ in range(3)]
            await _first_output(backend, launch.name)
            waiters[0].cancel()
            with suppress(asyncio.CancelledError):
                await waiters[0]
            self.release(launch)
            ended = await asyncio.gather(*waiters[1:])
            assert [0, 0] == [seen.exit_code for seen in ended]

        self.play(scenario)

    def test_waiting_for_what_is_not_there_says_that_it_is_gone(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.FAIL, number=5, attempt=2)
            seen = await backend.wait(launch.name)
            assert (Phase.GONE, launch.name, RUN_ID, 5, 2) == (
                seen.phase,
                seen.name,
                seen.run_id,
                seen.number,
                seen.attempt,
            )

        self.play(scenario)

    def test_output_comes_while_it_runs_and_ends_with_it(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.HOLD)
            await backend.create(launch)
            heard = b""
            async for chunk in backend.output(launch.name):
                heard += chunk
                if heard == b"ready\n":
                    self.release(launch)
            assert b"ready\ndone\n" == heard
            rest = [chunk async for chunk in backend.output(launch.name, offset=6)]
            assert b"done\n" == b"".join(rest)
            assert [] == [chunk async for chunk in backend.output(launch.name, offset=11)]

        self.play(scenario)

    def test_tail_is_the_end_of_the_output(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.FAIL)
            assert b"" == await backend.tail(launch.name, max_bytes=100)
            await backend.create(launch)
            await backend.wait(launch.name)
            assert b"wrong\n" == await backend.tail(launch.name, max_bytes=100)
            assert b"ong\n" == await backend.tail(launch.name, max_bytes=4)

        self.play(scenario)

    @pytest.mark.parametrize(
        ("program", "grace_s"),
        [(Program.HOLD, 30.0), (Program.STUBBORN, 0.2), (Program.HOLD, 0.0)],
        ids=["politely", "by force", "at once"],
    )
    def test_kill_ends_it_and_its_observation_carries_the_reason(
        self, program: Program, grace_s: float
    ) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend, other = make(), make()
            launch = self.launch(backend, program)
            await backend.create(launch)
            await _first_output(backend, launch.name)
            elsewhere = asyncio.ensure_future(other.wait(launch.name))
            await backend.kill(launch.name, reason=REASON, grace_s=grace_s)
            await backend.kill(launch.name, reason=REASON, grace_s=grace_s)
            ended = await backend.wait(launch.name)
            assert (Phase.ENDED, REASON) == (ended.phase, ended.diagnosis)
            assert 0 != ended.exit_code
            assert REASON == (await elsewhere).diagnosis
            [listed] = await make().list(RUN_ID)
            assert (Phase.ENDED, REASON) == (listed.phase, listed.diagnosis)

        self.play(scenario)

    def test_kill_changes_nothing_of_what_has_ended_or_is_not_there(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.SUCCEED)
            await backend.kill(launch.name, reason=REASON, grace_s=0.0)
            await backend.create(launch)
            ended = await backend.wait(launch.name)
            await backend.kill(launch.name, reason=REASON, grace_s=0.0)
            assert ended == await backend.wait(launch.name)

        self.play(scenario)

    def test_an_attempt_that_takes_too_long_is_ended(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, Program.HOLD, timeout_s=0.3)
            await backend.create(launch)
            ended = await backend.wait(launch.name)
            assert Phase.ENDED is ended.phase
            assert ended.diagnosis is not None
            assert Category.USER_TIMEOUT is ended.diagnosis.category
            assert "0.3 s" in ended.diagnosis.summary

        self.play(scenario)

    @pytest.mark.parametrize("program", [Program.SUCCEED, Program.STUBBORN], ids=["ended", "runs"])
    def test_delete_leaves_nothing(self, program: Program) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            launch = self.launch(backend, program, epoch="first")
            await backend.create(launch)
            if program is Program.SUCCEED:
                await backend.wait(launch.name)
            await backend.delete(launch.name)
            await backend.delete(launch.name)
            assert [] == list(await backend.list(RUN_ID))
            assert Phase.GONE is (await backend.wait(launch.name)).phase
            assert [] == [chunk async for chunk in backend.output(launch.name)]
            again = self.launch(backend, Program.FAIL, epoch="second")
            assert "second" == (await backend.create(again)).epoch
            assert 3 == (await backend.wait(launch.name)).exit_code

        self.play(scenario)

    def test_an_attempt_outlives_its_backend_and_the_next_one_adopts_it(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            first = self.new_backend()
            launch = self.launch(first, Program.HOLD)
            created = await first.create(launch)
            await first.close()
            second = make()
            [found] = await second.list(RUN_ID)
            assert _identity(launch) == _identity(found)
            waiter = asyncio.ensure_future(second.wait(launch.name))
            await _first_output(second, launch.name)
            self.release(launch)
            ended = await waiter
            assert (Phase.ENDED, 0, b'{"x": 2}') == (ended.phase, ended.exit_code, ended.result)
            assert created.started in (None, ended.started)

        self.play(scenario)

    def test_many_attempts_at_once_are_told_apart(self) -> None:
        async def scenario(make: Callable[[], Backend]) -> None:
            backend = make()
            programs = itertools.cycle((Program.SUCCEED, Program.FAIL))
            launches = [
                self.launch(backend, program, number=number)
                for number, program in zip(range(20), programs, strict=False)
            ]
            await asyncio.gather(*(backend.create(launch) for launch in launches))
            ended = await asyncio.gather(*(backend.wait(launch.name) for launch in launches))
            assert [0, 3] * 10 == [seen.exit_code for seen in ended]
            assert list(range(20)) == [seen.number for seen in ended]

        self.play(scenario)


def _identity(of: Launch | Observation) -> tuple[str, str, int, int, str]:
    return (of.name, of.run_id, of.number, of.attempt, of.epoch)


async def _first_output(backend: Backend, name: str) -> bytes:
    async for chunk in backend.output(name):
        return chunk
    return b""
