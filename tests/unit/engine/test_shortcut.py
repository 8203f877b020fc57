from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podmap.engine.io import CALLS_IN_THREADS, LONG_S, Shortcut


def test_calls_are_made_here_until_one_is_long_and_again_later() -> None:
    now = [0.0]

    def call(took_s: float) -> None:
        now[0] += took_s

    async def scenario() -> list[bool]:
        shortcut = Shortcut(clock=lambda: now[0])
        taken = []
        for took_s in (LONG_S / 2, 2 * LONG_S):
            taken.append(shortcut.take())
            await shortcut.call(call, took_s)
        taken += [shortcut.take() for _ in range(CALLS_IN_THREADS + 1)]
        return taken

    assert [True, True, *[False] * CALLS_IN_THREADS, True] == asyncio.run(scenario())


def test_the_loop_goes_on_between_calls() -> None:
    async def scenario() -> int:
        shortcut, turns = Shortcut(), 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        for _ in range(10):
            await shortcut.call(lambda: None)
        counting.cancel()
        return turns

    assert asyncio.run(scenario()) >= 10


def test_a_session_without_a_shortcut_calls_in_threads() -> None:
    from podmap.engine.session import RunSession

    async def scenario(shortcut: Shortcut | None) -> bool:
        with ThreadPoolExecutor(1) as io:
            nothing: Any = None
            session = RunSession(
                planned=nothing,
                backend=nothing,
                coordinator=nothing,
                runwide=nothing,
                io=io,
                shortcut=shortcut,
            )
            return await session.call(threading.current_thread) is threading.main_thread()

    assert not asyncio.run(scenario(None))
    assert asyncio.run(scenario(Shortcut()))
