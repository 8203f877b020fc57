"""Short calls without a thread: for a store on a disk, where a thread costs more than the call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LONG_S = 0.02
CALLS_IN_THREADS = 200


class Shortcut:
    """Makes calls on the event loop itself, as long as they are short.

    On a disk a call takes a fraction of a millisecond, about what it costs to hand it to a thread
    and back: without threads 1,000 trials of `true` take a fifth less. Where a call turns out to
    be long (a network file system, a disk that is busy), the next ones are left to threads. Only
    for loops that nobody else uses: a call that hangs would stop them.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed_for = 0

    def take(self) -> bool:
        """Whether the next call may be made by `call`."""
        if self._closed_for:
            self._closed_for -= 1
            return False
        return True

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Calls the function, after what else is due on the loop."""
        await asyncio.sleep(0)
        began = self._clock()
        try:
            return function(*args)
        finally:
            if self._clock() - began > LONG_S:
                self._closed_for = CALLS_IN_THREADS
