"""One trial among cancellations, errors, other processes and other epochs."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.conftest import GATED, OK, RUN_ID, World, collecting, free_slots, until
from tests.local.engine.faults import (
    SteppedBackend,
    SteppedExecutor,
    Steps,
    backend_down,
    store_down,
)

from podmap.backends.process import ProcessBackend
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession
from podmap.engine.timing import Timing
from podmap.engine.trial import run_trial
from podmap.engine.trial_end import kill_trial
from podmap.errors import BackendError, StoreError, UnreachableError
from podmap.records import Attempt, Category, Record, TrialState

COMPLETE, FAILED = TrialState.COMPLETE, TrialState.FAILED
CANCELLED, WAITING = TrialState.CANCELLED, TrialState.WAITING
HELD = OK.replace('echo "{', 'while [ -e gate ]; do sleep 0.005; done\necho "{', 1)
RETRIED = f'[ "$PODMAP_ATTEMPT" = 1 ] && {{ echo "S $1 1" >>journal; exit 1; }}\n{OK}'


def run_id(number: int) -> str:
    return f"{number:08x}"


async def first_without(disturbed: Callable[[int], Awaitable[bool]]) -> int:
    """How many steps there are: each is disturbed once."""
    for step in itertools.count():
        if not await disturbed(step):
            return step
    return 0


def test_a_trial_cancelled_at_any_step_is_run_once(world: World) -> None:
    """The attempt goes on and is adopted, and no slot is lost."""

    async def disturbed(step: int) -> bool:
        journal = world.folder / "journal"
        journal.unlink(missing_ok=True)
        backend, io = world.backend(SteppedBackend), SteppedExecutor(4)
        plan = world.plan(OK, 1, run_id=run_id(step), parallelism=2)
        async with world.session(plan, backend, io=io) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "e1", on_line=lambda line: None))
            steps = backend.steps = io.steps = Steps(step, lambda: task.cancel() and None)
            await asyncio.wait([task])
            backend.steps = io.steps = None
            assert task.cancelled() or not steps.disturbed or task.result().state is COMPLETE
            record = await run_trial(session, 0, "e1")
            await until(lambda: session.slots.alive == 0)
            await until(lambda: not world.left())
            assert (step, COMPLETE, 1) == (step, record.state, len(record.attempts))
            assert (step, 1) == (step, world.starts()[0])
            assert (step, [], 2) == (step, world.left(), free_slots(session))
        return steps.disturbed

    async def scenario() -> None:
        assert await first_without(disturbed) >= 14

    world.play(scenario)


@pytest.mark.parametrize("down", [backend_down, store_down], ids=["backend", "store"])
@pytest.mark.parametrize("script", [OK, RETRIED], ids=["once", "retried"])
def test_what_cannot_be_asked_at_any_step_is_asked_again(
    world: World, down: Callable[[], None], script: str
) -> None:
    attempts = 2 if script is RETRIED else 1

    async def disturbed(step: int) -> bool:
        (world.folder / "journal").unlink(missing_ok=True)
        backend, io = world.backend(SteppedBackend), SteppedExecutor(4)
        plan = world.plan(
            script, 1, run_id=run_id(step), retries={"user": 1}, failures={"allow": 0}
        )
        async with world.session(plan, backend, io=io) as session:
            steps = Steps(step, down)
            if down is backend_down:
                backend.steps = steps
            else:
                io.steps = steps
            lines: list[str] = []
            record = await run_trial(session, 0, "e1", on_line=lines.append)
            backend.steps = io.steps = None
            await until(lambda: session.slots.alive == 0)
            assert (step, COMPLETE, attempts) == (step, record.state, len(record.attempts)), [
                (a.number, a.exit_code, a.diagnosis, a.started, a.finished) for a in record.attempts
            ]
            assert (step, attempts) == (step, world.starts()[0])
            assert (step, [], 4) == (step, world.left(), free_slots(session))
            assert record == session.planned.ledger.read_record(0)
        return steps.disturbed

    async def scenario() -> None:
        assert await first_without(disturbed) >= 4

    world.play(scenario)


def test_no_line_comes_twice_when_the_stream_breaks(world: World) -> None:
    async def disturbed(step: int) -> bool:
        backend = world.backend(SteppedBackend)
        script = f"for i in 1 2 3; do echo $i; done\n{OK}"
        async with world.session(world.plan(script, run_id=run_id(step)), backend) as session:
            steps = backend.steps = Steps(step, backend_down)
            lines: list[str] = []
            await run_trial(session, 0, "e1", on_line=lines.append)
            backend.steps = None
        assert ["1", "2", "3"] == [line for line in lines if not line.startswith("podmap:")]
        return steps.disturbed

    async def scenario() -> None:
        assert await first_without(disturbed) >= 8

    world.play(scenario)


def test_patience_has_an_end(world: World) -> None:
    class Down(ProcessBackend):
        async def create(self, *args: object, **more: object) -> object:  # type: ignore[override]
            raise BackendError("down for good")

    async def scenario() -> None:
        async with world.session(world.plan(OK), world.backend(Down)) as session:
            with pytest.raises(UnreachableError, match="down for good"):
                await run_trial(session, 0, "e1", patience_s=0.005)
            await until(lambda: session.slots.alive == 0)
            assert 4 == free_slots(session)

    world.play(scenario)


def test_two_runs_in_one_process_run_each_trial_once(any_store: World) -> None:
    world = any_store
    planned = world.plan(HELD, 12, parallelism=3)
    world.close_gate()

    async def scenario() -> list[dict[int, Record]]:
        seen: list[dict[int, Record]] = [{}, {}]
        runs = [world.sweep_run(planned, events=collecting(into)).run() for into in seen]
        running = [asyncio.ensure_future(run) for run in runs]
        await world.started(3)
        world.open_gate()
        await asyncio.gather(*running)
        return seen

    first, second = world.play(scenario)
    assert {x: 1 for x in range(12)} == world.starts()
    assert world.most_at_once() <= 3
    assert first == second
    assert {COMPLETE} == {record.state for record in first.values()}


@pytest.mark.parametrize("script", [HELD, f"{HELD}\n[ $PODMAP_ATTEMPT = 1 ] && exit 1; true"])
def test_two_processes_run_each_attempt_once(world: World, script: str) -> None:
    planned = world.plan(script, 16, parallelism=3, retries={"user": 1})
    program = f"""
import asyncio
from podmap.backends.process import ProcessBackend
from podmap.engine.planned import PlannedRun
from podmap.engine.run import SweepRun

async def main():
    planned = PlannedRun.open({planned.ledger.run_uri!r})
    backend = ProcessBackend({str(world.state_dir)!r})
    await SweepRun(planned, backend, epoch="e1").run()
    await backend.close()

asyncio.run(main())
"""
    world.close_gate()

    async def scenario() -> None:
        processes = [
            await asyncio.create_subprocess_exec(sys.executable, "-c", program) for _ in range(2)
        ]
        await world.started(3)
        world.open_gate()
        assert [0, 0] == [await process.wait() for process in processes]

    world.play(scenario)
    lines = world.journal()
    assert len(lines) == len(set(lines)), "an attempt was started twice"
    attempts = 2 if "exit 1" in script else 1
    assert {x: attempts for x in range(16)} == world.starts()
    assert world.most_at_once() <= 3
    assert [COMPLETE] * 16 == [record.state for record in planned.ledger.records()]
    assert [attempts] * 16 == [len(record.attempts) for record in planned.ledger.records()]
    assert [] == world.left()


def test_what_another_process_has_run_meanwhile_is_not_started_again(world: World) -> None:
    """It created, ended, recorded and deleted the attempt just before this one creates it."""

    class Slow(ProcessBackend):
        async def create(self, *args: Any, **more: Any) -> Any:
            async with world.session(planned) as other:
                assert COMPLETE is (await run_trial(other, 0, "e1")).state
            return await super().create(*args, **more)

    planned = world.plan(OK)

    async def scenario() -> None:
        async with world.session(planned, world.backend(Slow)) as session:
            record = await run_trial(session, 0, "e1")
            assert record == planned.ledger.read_record(0)

    world.play(scenario)
    assert {0: 1} == world.starts()


def test_an_attempt_whose_creation_was_cancelled_holds_its_slot(world: World) -> None:
    class Cancelled(ProcessBackend):
        async def create(self, *args: Any, **more: Any) -> Any:
            await super().create(*args, **more)
            raise asyncio.CancelledError

    world.close_gate()

    async def scenario() -> None:
        async with world.session(
            world.plan(GATED, parallelism=2), world.backend(Cancelled)
        ) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await asyncio.wait([task])
            await world.started(1)
            assert (True, 1, 1) == (
                task.cancelled(),
                session.slots.alive,
                free_slots(session),
            )
            world.open_gate()
            await until(lambda: session.slots.alive == 0)
            assert 1 == free_slots(session)

    world.play(scenario)


def test_two_processes_with_trials_of_their_own_share_the_limit(world: World) -> None:
    """As two triggerers have them: what the other one runs takes room, and is waited for."""
    planned = world.plan(GATED, 4, parallelism=2)
    world.close_gate()

    async def scenario() -> None:
        async with world.session(planned) as one, world.session(planned) as two:
            first = [asyncio.ensure_future(run_trial(one, number, "e1")) for number in (0, 1)]
            await world.started(2)
            rest = [asyncio.ensure_future(run_trial(two, number, "e1")) for number in (2, 3)]
            await until(lambda: len(two.slots._waiting) == 2)
            assert 2 == two.slots.alive
            assert {0: 1, 1: 1} == world.starts()
            world.open_gate()
            await asyncio.gather(*first, *rest)

    world.play(scenario)
    assert {x: 1 for x in range(4)} == world.starts()
    assert world.most_at_once() <= 2


def test_an_attempt_that_another_process_has_started_takes_a_slot_here_too(world: World) -> None:
    planned = world.plan(GATED, parallelism=1)
    world.close_gate()

    async def scenario() -> None:
        async with world.session(planned) as one, world.session(planned) as two:
            first = asyncio.ensure_future(run_trial(one, 0, "e1"))
            await world.started(1)
            second = asyncio.ensure_future(run_trial(two, 0, "e1"))
            await until(lambda: two.slots.alive == 1)
            assert two.slots.acquire_now() is None
            world.open_gate()
            assert await first == await second

    world.play(scenario)


def test_a_failure_that_another_process_has_recorded_counts_here_too(world: World) -> None:
    planned = world.plan("exit 1", 2, failures={"allow": 0})

    async def scenario() -> None:
        async with world.session(planned) as one, world.session(planned) as two:
            assert FAILED is (await run_trial(one, 0, "e1")).state
            assert "" == two.slots.stopped_reason
            assert FAILED is (await run_trial(two, 0, "e1")).state
            assert CANCELLED is (await run_trial(two, 1, "e1")).state

    world.play(scenario)


def test_many_that_cannot_be_started_at_once_stop_the_run_once(world: World) -> None:
    class Slow(ProcessBackend):
        asked = 0

        async def create(self, *args: Any, **more: Any) -> Any:
            self.asked += 1
            await until(lambda: self.asked == 4)
            return await super().create(*args, **more)

    async def scenario() -> list[Record]:
        plan = world.plan(OK, 4, trial={"command": ["no-such-program"]})
        async with world.session(plan, world.backend(Slow)) as session:
            return await asyncio.gather(*(run_trial(session, n, "e1") for n in range(4)))

    states = [record.state for record in world.play(scenario)]
    assert (1, 3) == (states.count(FAILED), states.count(CANCELLED))


def test_adopted_attempts_count_towards_the_limit(world: World) -> None:
    world.close_gate()
    planned = world.plan(GATED, 6, parallelism=2)

    async def scenario() -> None:
        run = asyncio.ensure_future(world.sweep_run(planned).run())
        await world.started(2)
        run.cancel()
        await asyncio.wait([run])
        assert 2 == len(world.left())
        async with world.session(planned) as session:
            assert (2, None) == (session.slots.alive, session.slots.acquire_now())
            rest = [asyncio.ensure_future(run_trial(session, n, "e1")) for n in (5, 4, 3, 2)]
            await until(lambda: len(session.slots._waiting) == 4)
            assert {0: 1, 1: 1} == world.starts()
            world.open_gate()
            await asyncio.gather(*rest, run_trial(session, 0, "e1"), run_trial(session, 1, "e1"))

    world.play(scenario)
    assert {x: 1 for x in range(6)} == world.starts()
    assert world.most_at_once() <= 2


def test_a_trial_that_merely_waits_costs_no_write(world: World) -> None:
    world.close_gate()

    async def scenario() -> None:
        planned = world.plan(GATED, 2, parallelism=1)
        async with world.session(planned) as session:
            running = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await world.started(1)
            waiting = asyncio.ensure_future(run_trial(session, 1, "e1"))
            await until(lambda: session.slots._waiting)
            assert planned.ledger.read_record(1) is None
            world.open_gate()
            assert COMPLETE is (await running).state
            queued = (await waiting).queued_s
            assert queued is not None
            assert queued > 0

    world.play(scenario)


def settled_under(
    world: World, epoch: str, script: str, **more: object
) -> tuple[PlannedRun, Record]:
    planned = world.plan(script, 1, **more)
    return planned, world.go(planned, epoch=epoch)[0]


def test_a_cleared_failure_is_run_again_with_a_number_of_its_own(any_store: World) -> None:
    world = any_store
    planned, first = settled_under(world, "old", f"{OK}; exit 1".replace("\n; ", "\n"))
    assert (FAILED, 1) == (first.state, first.attempts[0].number)
    second = world.go(planned, epoch="new")[0]
    assert (FAILED, "new", [2]) == (second.state, second.epoch, [a.number for a in second.attempts])
    assert [1, 2] == [attempt.number for attempt in planned.ledger.attempts(0)]


def test_what_is_complete_is_kept_by_another_epoch_while_its_key_is_the_same(world: World) -> None:
    planned, first = settled_under(world, "old", OK)
    assert first == world.go(planned, epoch="new")[0]
    assert {0: 1} == world.starts()
    planned = world.plan(OK, cache_version="changed")
    again = world.go(planned, epoch="newer")[0]
    assert ("newer", 2) == (again.epoch, again.attempts[0].number)
    assert {0: 2} == world.starts()


def test_reuse_none_runs_complete_trials_again(world: World) -> None:
    planned, _ = settled_under(world, "old", OK, reuse="none")
    assert "new" == world.go(planned, epoch="new")[0].epoch
    assert {0: 2} == world.starts()


def test_a_kept_record_has_the_objective_that_is_asked_for_now(world: World) -> None:
    script = OK.replace('\\"y\\": $1', '\\"y\\": 1, \\"z\\": 2')
    settled_under(world, "old", script)
    other = {"objective": {"metric": "z", "direction": "minimize"}}
    kept = world.go(world.plan(script, **other), epoch="new")[0]
    assert (2, {"y": 1, "z": 2}, "new") == (kept.objective, kept.metrics, kept.epoch)
    assert {0: 1} == world.starts()
    lacking = {"objective": {"metric": "w", "direction": "minimize"}}
    assert FAILED is world.go(world.plan(script, **lacking), epoch="newer")[0].state
    assert {0: 2} == world.starts()


async def held(world: World, planned: PlannedRun, epoch: str) -> None:
    """Leaves a running attempt of an epoch, whose process is gone."""
    before = sum(world.starts().values())
    async with world.session(planned) as session:
        task = asyncio.ensure_future(run_trial(session, 0, epoch))
        await world.started(before + 1)
        task.cancel()
        await asyncio.wait([task])


def test_only_attempts_of_the_own_epoch_are_adopted_and_others_are_ended(world: World) -> None:
    world.close_gate()

    async def scenario() -> Record:
        planned = world.plan(GATED, parallelism=1)
        await held(world, planned, "old")
        (old,) = world.left()
        async with world.session(planned) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "new"))
            await world.started(2)
            (new,) = world.left()
            assert old != new
            world.open_gate()
            return await task

    record = world.play(scenario)
    assert (COMPLETE, "new", [2]) == (
        record.state,
        record.epoch,
        [a.number for a in record.attempts],
    )
    assert ["S 0 1", "S 0 2", "E 0 2"] == world.journal()


def test_the_old_process_of_a_trial_that_is_asked_for_anew_may_save_its_state(
    world: World,
) -> None:
    world.close_gate()
    saves = "[ $PODMAP_ATTEMPT = 1 ] && trap 'sleep 0.3; echo yes >saved; exit 1' TERM\n"

    async def scenario() -> Record:
        planned = world.plan(saves + GATED, parallelism=1)
        await held(world, planned, "old")
        async with world.session(planned) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "new"))
            await world.started(2)
            assert "yes\n" == (world.folder / "saved").read_text()
            world.open_gate()
            return await task

    assert COMPLETE is world.play(scenario).state


def test_a_late_process_of_an_old_epoch_leaves_the_new_one_alone(world: World) -> None:
    """It neither removes the new attempt, nor writes over its record, nor starts anything."""
    world.close_gate()

    async def scenario() -> None:
        planned = world.plan(GATED)
        await held(world, planned, "old")
        await held(world, planned, "new")
        (new,) = world.left()
        standing = planned.ledger.read_record(0)
        async with world.session(planned) as session:
            late = await run_trial(session, 0, "old")
            assert (CANCELLED, "old") == (late.state, late.epoch)
            assert "asked for anew" in late.reason
            await kill_trial(session, 0, "old", reason="late")
            assert ([new], standing) == (world.left(), planned.ledger.read_record(0))
            world.open_gate()
            assert COMPLETE is (await run_trial(session, 0, "new")).state
        record = planned.ledger.read_record(0)
        assert record
        assert (COMPLETE, "new") == (record.state, record.epoch)

    world.play(scenario)
    assert {0: 2} == world.starts()


def test_a_running_attempt_that_is_superseded_gives_way(world: World) -> None:
    world.close_gate()

    async def scenario() -> None:
        planned = world.plan(GATED)
        async with world.session(planned) as first, world.session(planned) as two:
            old = asyncio.ensure_future(run_trial(first, 0, "old"))
            await world.started(1)
            new = asyncio.ensure_future(run_trial(two, 0, "new"))
            assert CANCELLED is (await old).state
            await world.started(2)
            world.open_gate()
            assert (COMPLETE, "new") == ((await new).state, (await new).epoch)
            assert await new == planned.ledger.read_record(0)

    world.play(scenario)


def test_an_attempt_that_disappears_is_a_lost_node(world: World) -> None:
    world.close_gate()

    async def scenario() -> Record:
        planned = world.plan(GATED, retries={"infra": 1})
        remover = world.backend()
        async with world.session(planned) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await world.started(1)
            (name,) = world.left()
            os.rename(world.state_dir / planned.manifest.run_id / name, world.folder / "elsewhere")
            os.kill(pid_of(world.folder / "elsewhere"), 9)
            await world.started(2)
            world.open_gate()
            await remover.list(planned.manifest.run_id)
            return await task

    record = world.play(scenario)
    first, second = record.attempts
    assert (COMPLETE, None) == (record.state, second.diagnosis)
    assert first.diagnosis
    assert Category.NODE_LOST is first.diagnosis.category


def pid_of(folder: Path) -> int:
    return int((folder / "process").read_text().split()[0])


def test_what_another_process_settled_meanwhile_is_not_a_lost_node(world: World) -> None:
    """It wrote the attempt, asked for another one, and removed the first before we could look."""
    world.close_gate()

    async def scenario() -> Record:
        planned = world.plan(GATED, retries={"user": 1, "infra": 0})
        async with world.session(planned) as session:
            backend = session.backend
            task = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await world.started(1)
            (running,) = await backend.list(planned.manifest.run_id)
            record = planned.ledger.read_record(0)
            assert record
            attempt = Attempt(1, running.name, exit_code=1)
            planned.ledger.write_end(attempt, replace(record, state=WAITING, attempts=(attempt,)))
            await backend.delete(running.name)
            await world.started(2)
            world.open_gate()
            return await task

    record = world.play(scenario)
    assert (COMPLETE, [1, 2]) == (record.state, [a.number for a in record.attempts])
    assert record.attempts[0].exit_code == 1


def test_kill_ends_the_attempt_and_records_it(any_store: World) -> None:
    world = any_store
    world.close_gate()

    async def scenario() -> None:
        planned = world.plan(GATED)
        await held(world, planned, "e1")
        async with world.session(planned) as session:
            await kill_trial(session, 0, "e1", reason="ended by a user")
        record = planned.ledger.read_record(0)
        assert record
        assert (CANCELLED, "ended by a user") == (record.state, record.reason)
        assert [Category.CANCELLED] == [
            a.diagnosis and a.diagnosis.category for a in record.attempts
        ]

    world.play(scenario)
    assert ([], ["S 0 1"]) == (world.left(), world.journal())


def test_kill_of_what_has_not_started_or_has_ended(world: World) -> None:
    async def scenario() -> None:
        planned = world.plan(OK, 2)
        async with world.session(planned) as session:
            done = await run_trial(session, 0, "e1")
            await kill_trial(session, 0, "e1", reason="too late")
            await kill_trial(session, 1, "e1", reason="at once")
        assert done == planned.ledger.read_record(0)
        record = planned.ledger.read_record(1)
        assert record
        assert (CANCELLED, "at once", ()) == (record.state, record.reason, record.attempts)

    world.play(scenario)


def test_kill_keeps_what_the_attempt_has_achieved(world: World) -> None:
    async def scenario() -> None:
        planned = world.plan(OK)
        async with world.session(planned) as session:
            task = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await until(lambda: "E 0 1" in world.journal())
            task.cancel()
            await asyncio.wait([task])
            await until(lambda: ended(world))
            await kill_trial(session, 0, "e1", reason="too late")
        record = planned.ledger.read_record(0)
        assert record
        assert COMPLETE is record.state

    world.play(scenario)


def ended(world: World) -> bool:
    # Either its settling had got so far, or its wrapper has written how it ended.
    folders = world.left()
    return not folders or (
        (world.state_dir / RUN_ID / folders[0] / "process").read_text().count("\n") > 2
    )


@pytest.mark.parametrize("state", [CANCELLED, WAITING], ids=["stop", "interrupt"])
def test_a_stop_reaches_trials_that_have_a_slot_but_no_attempt(
    world: World, state: TrialState
) -> None:
    class Stopping(ProcessBackend):
        created = 0

        async def create(self, *args: Any, **more: Any) -> Any:
            self.created += 1
            return await super().create(*args, **more)

        async def list(self, *args: Any, **more: Any) -> Any:
            if more and state is CANCELLED:
                session_box[0].slots.stop("enough", cancel=False)
            elif more:
                session_box[0].slots.interrupt("enough")
            return await super().list(*args, **more)

    session_box: list[RunSession] = []

    async def scenario() -> None:
        backend = world.backend(Stopping)
        planned = world.plan(OK)
        async with world.session(planned, backend) as session:
            session_box.append(session)
            record = await run_trial(session, 0, "e1")
            assert (state, "enough", 0) == (record.state, record.reason, backend.created)
            assert record == planned.ledger.read_record(0)

    world.play(scenario)


def test_an_attempt_created_just_as_the_run_is_cancelled_is_ended(world: World) -> None:
    world.close_gate()

    class Late(ProcessBackend):
        async def create(self, *args: object, **more: object) -> object:  # type: ignore[override]
            session_box[0].slots.stop("enough", cancel=True)
            return await super().create(*args, **more)  # type: ignore[arg-type]

    session_box: list[RunSession] = []

    async def scenario() -> None:
        async with world.session(world.plan(GATED), world.backend(Late)) as session:
            session_box.append(session)
            record = await run_trial(session, 0, "e1")
            assert (CANCELLED, "enough") == (record.state, record.reason)

    world.play(scenario)


def test_a_cancelled_run_leaves_the_complete_record_of_other_work(world: World) -> None:
    """Nothing was lost by cancelling: the trial was never started."""
    _, first = settled_under(world, "old", OK)

    async def scenario() -> None:
        planned = world.plan(OK, cache_version="changed", parallelism=1)
        async with world.session(planned) as session:
            slot = session.slots.acquire_now()
            task = asyncio.ensure_future(run_trial(session, 0, "new"))
            await until(lambda: bool(session.slots._waiting))
            session.slots.stop("enough", cancel=False)
            assert CANCELLED is (await task).state
            assert slot
            assert first == planned.ledger.read_record(0)

    world.play(scenario)


def test_a_store_that_comes_back_gets_what_was_found_meanwhile(world: World) -> None:
    world.close_gate()
    trials = Path(world.store) / "s" / run_id(7) / "trials"

    async def scenario() -> Record:
        planned = world.plan(GATED, run_id=run_id(7))
        async with world.session(planned) as session:
            lines: list[str] = []
            task = asyncio.ensure_future(run_trial(session, 0, "e1", on_line=lines.append))
            await world.started(1)
            trials.rename(trials.with_name("away"))
            trials.touch()
            world.open_gate()
            await until(lambda: sum("asking again" in line for line in lines) >= 3)
            trials.unlink()
            trials.with_name("away").rename(trials)
            return await task

    record = world.play(scenario)
    assert (COMPLETE, 1, {0: 1}) == (record.state, len(record.attempts), world.starts())


def test_an_interrupt_does_not_wait_for_a_store_that_is_away(world: World) -> None:
    patient = Timing(first_pause_s=1000.0, longest_pause_s=1000.0)
    run = Path(world.store) / "s" / run_id(7)

    async def scenario() -> None:
        planned = world.plan(OK, run_id=run_id(7))
        async with world.session(planned, timing=patient) as session:
            (run / "trials").touch()
            lines: list[str] = []
            task = asyncio.ensure_future(run_trial(session, 0, "e1", on_line=lines.append))
            await until(lambda: bool(lines))
            session.slots.interrupt("Ctrl-C")
            with pytest.raises(StoreError):
                await task

    world.play(scenario)
