from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from podmap.engine.io import CALLS_IN_THREADS, LONG_S, StoreCalls


def test_calls_are_made_here_until_one_is_long_and_again_later() -> None:
    now = [0.0]

    def call(took_s: float) -> bool:
        now[0] += took_s
        return threading.current_thread() is threading.main_thread()

    async def scenario() -> list[bool]:
        with ThreadPoolExecutor(1) as threads:
            store = StoreCalls(threads, at_once=True, clock=lambda: now[0])
            here = [await store.call(call, took_s) for took_s in (LONG_S / 2, 2 * LONG_S)]
            here += [await store.call(call, 0.0) for _ in range(CALLS_IN_THREADS + 1)]
            return here

    assert [True, True, *[False] * CALLS_IN_THREADS, True] == asyncio.run(scenario())


def test_the_loop_goes_on_between_calls() -> None:
    async def scenario() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        with ThreadPoolExecutor(1) as threads:
            store = StoreCalls(threads, at_once=True)
            counting = asyncio.ensure_future(count())
            for _ in range(10):
                await store.call(lambda: None)
            counting.cancel()
        return turns

    assert asyncio.run(scenario()) >= 10


@pytest.mark.parametrize("at_once", [False, True])
def test_calls_go_to_threads_unless_they_are_to_be_made_at_once(at_once: bool) -> None:
    async def scenario() -> bool:
        with ThreadPoolExecutor(1) as threads:
            store = StoreCalls(threads, at_once=at_once)
            return await store.call(threading.current_thread) is threading.main_thread()

    assert at_once == asyncio.run(scenario())


def test_what_is_urgent_queues_behind_no_other_call() -> None:
    go_on = threading.Event()

    async def scenario() -> str:
        with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as urgent:
            store = StoreCalls(threads, urgent=urgent)
            records = [asyncio.ensure_future(store.call(go_on.wait, 30)) for _ in range(3)]
            state = await store.call_urgent(lambda: "run.json")
            assert not any(record.done() for record in records)
            go_on.set()
            await asyncio.gather(*records)
            return state

    assert "run.json" == asyncio.run(scenario())
