from __future__ import annotations

import asyncio

import pytest

from podmap.aio import Backoff, Breather, KeptRunning, Turns, acquired_within, set_within

STEPS = range(8)
"""Rounds of the event loop between what is waited for and the cancellation."""


async def rounds(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", STEPS)
def test_a_loop_that_is_cancelled_just_as_its_event_is_set_ends(steps: int) -> None:
    async def main() -> bool:
        event = asyncio.Event()

        async def loop() -> None:
            while True:
                await set_within(event, 60)
                event.clear()

        task = asyncio.ensure_future(loop())
        await rounds(4)
        event.set()
        await rounds(steps)
        task.cancel()
        await rounds(20)
        return task.cancelled()

    assert asyncio.run(main())


def test_an_event_is_waited_for_until_it_is_set_or_time_is_over() -> None:
    async def main() -> tuple[bool, bool]:
        event = asyncio.Event()
        too_late = await set_within(event, 0.001)
        asyncio.get_running_loop().call_soon(event.set)
        return too_late, await set_within(event, 60)

    assert (False, True) == asyncio.run(main())


@pytest.mark.parametrize("steps", STEPS)
def test_one_that_is_cancelled_just_as_it_gets_a_lock_leaves_it_to_others(steps: int) -> None:
    async def main() -> tuple[bool, bool]:
        lock = asyncio.Lock()
        await lock.acquire()

        async def hold() -> None:
            assert await acquired_within(lock, 60)
            try:
                await asyncio.sleep(3600)
            finally:
                lock.release()

        task = asyncio.ensure_future(hold())
        await rounds(4)
        lock.release()
        await rounds(steps)
        task.cancel()
        await rounds(20)
        return task.cancelled(), await acquired_within(lock, 60)

    assert (True, True) == asyncio.run(main())


def test_a_lock_that_others_hold_is_not_got_in_time() -> None:
    async def main() -> tuple[bool, bool]:
        lock = asyncio.Lock()
        await lock.acquire()
        too_late = await acquired_within(lock, 0.001)
        lock.release()
        return too_late, await acquired_within(lock, 60)

    assert (False, True) == asyncio.run(main())


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_reset() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [0.5, 1.0, 2.0, 3.0, 3.0] == [backoff.next_s() for _ in range(5)]
    backoff.reset()
    assert 0.5 == backoff.next_s()


def test_the_longest_pause_bounds_the_first_one_too() -> None:
    assert 1.0 == Backoff(5.0, 1.0).next_s()


def test_jitter_leaves_out_a_part_of_each_pause() -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    backoff = Backoff(1.0, 8.0, jitter=0.25, uniform=uniform)
    assert [0.75, 1.5] == [backoff.next_s(), backoff.next_s()]
    assert [(0.75, 1), (0.75, 1)] == drawn


def test_a_pause_is_slept_as_long_as_it_says() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def main() -> None:
        backoff = Backoff(0.1, 0.2, sleep=sleep)
        for _ in range(3):
            await backoff.pause()

    asyncio.run(main())
    assert [0.1, 0.2, 0.2] == slept


def test_what_is_kept_running_is_begun_anew_after_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun: list[int] = []
    went_on = asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise KeyError("not thought of")
        went_on.set()
        await asyncio.Event().wait()

    async def scenario() -> None:
        kept = KeptRunning("the work", work, backoff=Backoff(0.001, 0.002))
        await asyncio.wait_for(went_on.wait(), 10)
        await kept.close()
        assert [0, 1, 2] == begun

    asyncio.run(scenario())
    assert 2 == sum("the work has failed" in text for text in caplog.messages)
    assert all(record.exc_info for record in caplog.records)


def test_what_was_kept_running_ends_for_good_between_two_tries() -> None:
    async def work() -> None:
        raise KeyError("not thought of")

    async def scenario() -> None:
        kept = KeptRunning("the work", work, backoff=Backoff(60.0, 60.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await kept.close()

    asyncio.run(scenario())


def test_a_few_go_on_in_a_turn_first_come_first_served_and_none_is_left() -> None:
    async def main() -> tuple[list[int], list[int]]:
        turn, order, in_turn = 0, [], {}
        turns = Turns(3)

        async def count_turns() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        async def step(number: int) -> None:
            await turns.wait()
            order.append(number)
            in_turn[turn] = in_turn.get(turn, 0) + 1

        counting = asyncio.ensure_future(count_turns())
        tasks = [asyncio.ensure_future(step(number)) for number in range(20)]
        await rounds(2)
        tasks[10].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await rounds(3)
        await asyncio.gather(*(step(number) for number in range(20, 24)))
        counting.cancel()
        return order, list(in_turn.values())

    order, in_turn = asyncio.run(main())
    assert order == [number for number in range(24) if number != 10]
    assert max(in_turn) <= 3
    assert len(in_turn) >= 8


def test_a_long_task_gives_the_loop_back_in_time() -> None:
    async def main() -> list[str]:
        now, done = 0.0, []
        breather = Breather(0.005, clock=lambda: now)
        asyncio.get_running_loop().call_soon(done.append, "another")
        for step in range(4):
            now += 0.002
            await breather.breathe()
            done.append(str(step))
        return done

    assert asyncio.run(main()) == ["0", "1", "another", "2", "3"]
