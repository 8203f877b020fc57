"""Calls to the store: in threads, or at once where a thread costs more than the call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")

LONG_S = 0.02
CALLS_IN_THREADS = 200


class StoreCalls:
    """Makes the calls that read or write a store, which may be long, for an event loop.

    On a disk a call takes a fraction of a millisecond, about what it costs to hand it to a thread
    and back: without threads 1,000 trials of `true` take a fifth less. So calls can be made at
    once, on the loop itself, as long as they are short. Where one turns out to be long (a network
    file system, a disk that is busy), the next ones are left to threads. Only for loops that
    nobody else uses: a call that hangs would stop them.
    """

    def __init__(
        self,
        threads: Executor,
        *,
        urgent: Executor | None = None,
        at_once: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """No call is made yet.

        Args:
            threads: A bounded pool; shut down by the caller.
            urgent: One for what must not queue behind the others; None for the same. The
                caller's, too.
            at_once: Whether short calls are made on the loop itself.
            clock: Gives seconds.
        """
        self._threads = threads
        self._urgent = urgent or threads
        self._at_once = at_once
        self._clock = clock
        self._left_to_threads = 0

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns."""
        return await self._call(self._threads, function, *args)

    async def call_urgent(self, function: Callable[..., T], *args: Any) -> T:
        """As `call`, for what the run obeys: it waits for no record to be written."""
        return await self._call(self._urgent, function, *args)

    async def _call(self, threads: Executor, function: Callable[..., T], *args: Any) -> T:
        if self._at_once and not self._left_to_threads:
            return await self._call_here(function, *args)
        self._left_to_threads = max(0, self._left_to_threads - 1)
        return await asyncio.get_running_loop().run_in_executor(threads, function, *args)

    async def _call_here(self, function: Callable[..., T], *args: Any) -> T:
        await asyncio.sleep(0)  # what else is due on the loop comes first
        began = self._clock()
        try:
            return function(*args)
        finally:
            if self._clock() - began > LONG_S:
                self._left_to_threads = CALLS_IN_THREADS
