from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from podmap.backends.base import Observation, Phase
from podmap.engine.slots import RunStoppedError, Slots
from podmap.engine.tally import Stop, Tally
from podmap.engine.timing import Timing
from podmap.errors import BackendError
from podmap.records import Diagnosis, Record, TrialState

AT_ONCE = Timing(ask_again_s=0)
TALLIED = {"allowed_failures", "cancel", "failed"}


class Attempts:
    """The part of a backend that slots use: attempts that end when told."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Future[Observation]] = {}
        self.killed: list[tuple[str, str]] = []
        self.unreachable = 0

    def _end(self, name: str) -> asyncio.Future[Observation]:
        return self.ends.setdefault(name, asyncio.get_running_loop().create_future())

    def end(self, name: str) -> None:
        self._end(name).set_result(Observation(name, "r", 0, 1, "e", Phase.ENDED, exit_code=0))

    async def wait(self, name: str) -> Observation:
        if self.unreachable:
            self.unreachable -= 1
            raise BackendError("down")
        return await asyncio.shield(self._end(name))

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        if self.unreachable:
            self.unreachable -= 1
            raise BackendError("down")
        self.killed.append((name, reason.summary))
        self.end(name)


def play(scenario: Callable[[Attempts, Callable[..., Slots]], Awaitable[None]]) -> None:
    async def whole() -> None:
        attempts = Attempts()
        made: list[Slots] = []

        def make(parallelism: int = 2, **more: Any) -> Slots:
            more.setdefault("timing", AT_ONCE)
            tally = Tally(**{key: more.pop(key) for key in TALLIED & more.keys()})
            made.append(Slots(attempts, parallelism=parallelism, tally=tally, **more))  # type: ignore[arg-type]
            return made[-1]

        await asyncio.wait_for(scenario(attempts, make), 30)
        for slots in made:
            slots.close()

    asyncio.run(whole())


async def settled() -> None:
    """Lets everything happen that can happen by itself."""
    for _ in range(20):
        await asyncio.sleep(0)


def failed(number: int) -> Record:
    return Record(number, "k", "e", TrialState.FAILED)


def test_no_more_slots_than_parallelism() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(2)
        first, second = slots.acquire_now(), slots.acquire_now()
        assert first
        assert second
        assert slots.acquire_now() is None
        first.bind("a")
        first.give_back()  # nothing happens: it is the attempt's
        assert slots.acquire_now() is None
        second.give_back()
        second.give_back()
        assert slots.acquire_now()
        assert slots.acquire_now() is None
        attempts.end("a")
        await settled()
        assert slots.acquire_now()
        assert slots.acquire_now() is None

    play(scenario)


def test_slots_go_to_the_lowest_number_first() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots, got = make(1), []
        slot = await slots.acquire(order=99)

        async def ask(order: int) -> None:
            slot = await slots.acquire(order=order)
            got.append(order)
            slot.give_back()

        orders = [*range(20)] * 2
        random.Random(1).shuffle(orders)
        asking = [asyncio.ensure_future(ask(order)) for order in orders]
        await settled()
        slot.give_back()
        await asyncio.gather(*asking)
        assert sorted(orders) == got

    play(scenario)


def test_nobody_passes_those_that_wait() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slot = await slots.acquire(order=0)
        waiting = asyncio.ensure_future(slots.acquire(order=5))
        await settled()
        slot.give_back()
        assert slots.acquire_now() is None
        assert await waiting

    play(scenario)


def test_living_attempts_count_from_the_start_even_if_they_are_too_many() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(2)
        slots.adopt(["a", "b", "c"])
        slots.adopt(["a"])
        assert 3 == slots.alive
        waiting = asyncio.ensure_future(slots.acquire(order=0))
        for name, free in (("a", False), ("b", True)):
            attempts.end(name)
            await settled()
            assert free == waiting.done()

    play(scenario)


@pytest.mark.parametrize("when", ["waiting", "handed out", "with a stop"])
def test_a_cancelled_wait_leaks_no_slot(when: str) -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slot = await slots.acquire(order=0)
        cancelled = asyncio.ensure_future(slots.acquire(order=1))
        other = asyncio.ensure_future(slots.acquire(order=2))
        await settled()
        if when == "handed out":
            slot.give_back()
        if when == "with a stop":
            slots.stop("enough", cancel=False)
        cancelled.cancel()
        await settled()
        if when == "waiting":
            slot.give_back()
        if when == "with a stop":
            assert isinstance(other.exception(), RunStoppedError)
        else:
            (await other).give_back()
            assert slots.acquire_now()

    play(scenario)


def test_the_slot_stays_taken_while_nobody_can_be_asked() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        attempts.unreachable = 5
        slots.adopt(["a"])
        with pytest.raises(BackendError):
            await slots.wait_end("a")
        while attempts.unreachable:
            assert slots.acquire_now() is None
            await asyncio.sleep(0)
        attempts.end("a")
        assert "a" == (await slots.wait_end("a")).name
        await settled()
        assert slots.acquire_now()

    play(scenario)


def test_a_bug_in_the_backend_reaches_who_waits_and_frees_the_slot() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        slots.adopt(["a"])
        waiting = asyncio.ensure_future(slots.wait_end("a"))
        await settled()
        attempts.ends["a"].set_exception(RuntimeError("a bug"))
        with pytest.raises(RuntimeError, match="a bug"):
            await waiting
        assert slots.acquire_now()

    play(scenario)


def test_one_who_waits_for_an_end_does_not_take_the_others_with_him() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.adopt(["a"])
        waiting = [asyncio.ensure_future(slots.wait_end("a")) for _ in range(3)]
        await settled()
        waiting[0].cancel()
        await settled()
        attempts.end("a")
        assert ["a", "a"] == [seen.name for seen in await asyncio.gather(*waiting[1:])]

    play(scenario)


def test_a_stop_refuses_all_that_wait_and_all_that_come() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.adopt(["a"])
        waiting = asyncio.ensure_future(slots.acquire(order=0))
        await settled()
        slots.stop("enough", cancel=False)
        slots.stop("a second reason", cancel=False)
        for refused in (waiting, asyncio.ensure_future(slots.acquire(order=1))):
            with pytest.raises(RunStoppedError, match="enough"):
                await refused
        with pytest.raises(RunStoppedError):
            slots.check_open()
        assert slots.acquire_now() is None
        assert [] == attempts.killed

    play(scenario)


def test_a_stop_that_cancels_also_ends_what_is_created_just_then() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(3)
        slots.adopt(["a"])
        slot = slots.acquire_now()
        assert slot
        attempts.unreachable = 2
        slots.stop("enough", cancel=True)
        slot.bind("b")
        while slots.alive:
            await asyncio.sleep(0)
        assert [("a", "enough"), ("b", "enough")] == sorted(attempts.killed)

    play(scenario)


@pytest.mark.parametrize("cancel", [False, True], ids=["finish", "cancel"])
def test_too_many_failures_stop_the_run(cancel: bool) -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1, allowed_failures=2, cancel=cancel, failed={7: ""})
        slots.adopt(["a"])
        waiting = asyncio.ensure_future(slots.acquire(order=0))
        await settled()
        slots.count_record(failed(7))  # counted before
        slots.count_record(failed(1))
        assert "" == slots.stopped_reason
        slots.count_record(failed(2))
        assert slots.stopped_reason.startswith("3 trials failed, 2 were allowed")
        with pytest.raises(RunStoppedError, match="3 trials failed"):
            await waiting
        await settled()
        assert cancel == bool(attempts.killed)

    play(scenario)


def test_a_failed_trial_that_is_run_again_does_not_count() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(5, allowed_failures=0, cancel=True, failed={3: ""})
        assert slots.acquire_now() is None
        slots.reopen_trial(3)
        slot = slots.acquire_now()
        assert slot
        slot.bind("a")
        await settled()
        assert [] == attempts.killed

    play(scenario)


def test_a_wall_budget_stops_the_run_when_it_is_over() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.adopt(["a"])
        slots.stop_after(-5, "time is over", cancel=True)
        waiting = asyncio.ensure_future(slots.acquire(order=0))
        with pytest.raises(RunStoppedError, match="time is over"):
            await waiting
        assert "a" == (await slots.wait_end("a")).name

    play(scenario)


def test_an_interrupt_ends_pauses() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        pause = asyncio.ensure_future(slots.sleep(1000))
        await settled()
        assert not pause.done()
        slots.interrupt("Ctrl-C")
        await pause
        assert slots.interrupted

    play(scenario)


def test_close_stops_watching_and_ends_nothing() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.adopt(["a"])
        slots.stop_after(0, "time is over", cancel=True)
        slots.close()
        await settled()
        assert [] == attempts.killed
        assert "" == slots.stopped_reason

    play(scenario)


def test_an_order_from_elsewhere_holds_until_it_is_lifted() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.adopt(["a"])
        waiting = asyncio.ensure_future(slots.acquire(order=0))
        await settled()
        slots.apply_orders(Stop("enough"), parallelism=2, paused=False)
        with pytest.raises(RunStoppedError, match="enough"):
            await waiting
        assert (True, None) == (slots.halted, slots.own_stop)
        assert slots.acquire_now() is None
        slots.apply_orders(None, parallelism=2, paused=False)
        assert not slots.halted
        assert slots.acquire_now()
        assert [] == attempts.killed
        slots.apply_orders(Stop("at once", cancel=True), parallelism=2, paused=False)
        await settled()
        assert [("a", "at once")] == attempts.killed

    play(scenario)


def test_a_pause_hands_out_no_slots_until_it_is_over() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(1)
        slots.apply_orders(None, parallelism=2, paused=True)
        waiting = [asyncio.ensure_future(slots.acquire(order=n)) for n in range(3)]
        await settled()
        assert [False] * 3 == [each.done() for each in waiting]
        assert (True, "", None) == (
            slots.halted,
            slots.stopped_reason,
            slots.acquire_now(),
        )
        slots.apply_orders(None, parallelism=2, paused=False)
        await settled()
        assert [True, True, False] == [each.done() for each in waiting]
        waiting[2].cancel()

    play(scenario)


def test_a_stop_ends_what_waits_at_a_gate_and_lets_the_rest_go_on() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        gated = ["b"]
        slots = make(3, unstarted_names=lambda: gated)
        slots.adopt(["a", "b"])
        slots.stop("enough", cancel=False)
        await settled()
        assert [("b", "enough")] == attempts.killed
        gated.append("c")
        slots.adopt(["c"])  # it was being created
        slots.end_unstarted()
        await settled()
        assert ["b", "c"] == [name for name, _ in attempts.killed]

    play(scenario)


def test_that_a_failed_creation_left_nothing_is_no_end_of_the_next_one() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(2)
        slots.acquire_now().bind("a")  # it may have been created
        await settled()
        asked = attempts.ends.pop("a")
        slots.acquire_now().bind("a")  # it was created, later than the answer
        waiting = asyncio.ensure_future(slots.wait_end("a"))
        asked.set_result(Observation("a", "r", 0, 1, "e", Phase.GONE))
        await settled()
        assert not waiting.done()
        attempts.end("a")
        assert Phase.ENDED is (await waiting).phase
        assert 0 == slots.alive

    play(scenario)


def test_an_attempt_that_is_gone_ends_though_it_was_seen_before() -> None:
    async def scenario(attempts: Attempts, make: Callable[..., Slots]) -> None:
        slots = make(2)
        slots.adopt(["a"])
        await settled()
        slots.adopt(["a"])
        waiting = asyncio.ensure_future(slots.wait_end("a"))
        attempts.ends["a"].set_result(Observation("a", "r", 0, 1, "e", Phase.GONE))
        assert Phase.GONE is (await waiting).phase

    play(scenario)
