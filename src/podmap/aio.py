"""Tasks of nobody's request, waits that end within a time, short turns, and pauses that grow.

`asyncio.wait_for` swallows a cancellation that comes just as what it waits for is there, until
Python 3.12 (https://github.com/python/cpython/issues/86296). A task that loops over it then goes
on for ever, and whoever cancelled it and waits for its end does, too.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger(__name__)

_running: set[asyncio.Task[Any]] = set()


def spawn(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task in an empty context, kept alive until it ends.

    A task started from within a trigger would otherwise inherit the trigger's log context, and
    log into the first trial's log for as long as it lives.
    """
    task = contextvars.Context().run(asyncio.ensure_future, coroutine)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


@asynccontextmanager
async def alongside(work: Awaitable[Any]) -> AsyncIterator[None]:
    """Has something done while the body runs, and no longer; what it raises is nobody's."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        yield
    finally:
        task.cancel()


async def set_within(event: asyncio.Event, limit_s: float) -> bool:
    """Whether an event was set before a time was over; returns as soon as it is."""
    waiter = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiter], timeout=limit_s)
    finally:
        waiter.cancel()
    return event.is_set()


async def acquired_within(lock: asyncio.Lock, limit_s: float) -> bool:
    """Whether a lock was got before a time was over; it is the caller's then.

    Args:
        lock: The lock. It is left to others if this call is cancelled.
        limit_s: How long to wait for it.
    """
    waiter = asyncio.ensure_future(lock.acquire())
    try:
        await asyncio.wait([waiter], timeout=limit_s)
    except BaseException:
        if waiter.done():
            lock.release()
        waiter.cancel()
        raise
    if not waiter.done():
        waiter.cancel()
        await asyncio.wait([waiter])
    return not waiter.cancelled()


class Turns:
    """Lets a few of many tasks go on in each turn of the event loop, first come, first served.

    What hundreds of tasks do at the same moment is otherwise done in a single turn, in which
    nothing else on the loop has its own. It belongs to one event loop.
    """

    def __init__(self, most: int) -> None:
        """Nobody waits.

        Args:
            most: How many go on in a turn.
        """
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Returns at once, or in a later turn if enough have gone on in this one."""
        loop = asyncio.get_running_loop()
        if self._left and not self._waiting:
            if self._left == self._most:
                loop.call_soon(self._begin, loop)
            self._left -= 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._most
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._left -= 1
        if self._left < self._most:
            loop.call_soon(self._begin, loop)


class Breather:
    """Has a task that goes through many things give the event loop back every few milliseconds."""

    def __init__(
        self, limit_s: float = 0.005, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The task has just had the loop.

        Args:
            limit_s: For how many seconds it keeps the loop.
            clock: Gives seconds.
        """
        self._limit_s = limit_s
        self._clock = clock
        self._since = clock()

    async def breathe(self) -> None:
        """Lets others have their turn, if this task has had the loop for long enough."""
        if self._clock() - self._since > self._limit_s:
            await asyncio.sleep(0)
            self._since = self._clock()


class Backoff:
    """The pauses between the tries of one thing: each twice the last, up to a longest one.

    Make one where a series of tries begins; `reset` it when a try has succeeded and the series
    goes on. It is not shared between tasks.
    """

    def __init__(
        self,
        first_s: float,
        longest_s: float,
        *,
        jitter: float = 0.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Nothing was tried yet.

        Args:
            first_s: Seconds of the first pause.
            longest_s: Seconds of the longest pause.
            jitter: From 0 to 1: up to this part of each pause is left out by chance, so that many
                who were refused together do not come back together.
            sleep: What waits; given the seconds.
            uniform: Draws a number between two.
        """
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._sleep = sleep
        self._uniform = uniform
        self._coming_s = min(first_s, longest_s)

    def next_s(self) -> float:
        """The seconds of the pause that is due now; the one after it is longer."""
        pause_s = self._coming_s
        self._coming_s = min(2 * pause_s, self._longest_s)
        return pause_s * self._uniform(1 - self._jitter, 1) if self._jitter else pause_s

    async def pause(self, *, tell: Callable[[float], object] | None = None) -> None:
        """Waits as long as `next_s` says.

        Args:
            tell: Called with the seconds before they are waited; None if nobody wants to know.
        """
        pause_s = self.next_s()
        if tell is not None:
            tell(pause_s)
        await self._sleep(pause_s)

    def reset(self) -> None:
        """Begins anew: a try has succeeded."""
        self._coming_s = min(self._first_s, self._longest_s)


class KeptRunning:
    """A task in the background that is begun anew, after a pause, whenever an error has ended it.

    Such an error is a fault in podmap, or what nobody thought of; it is logged with its traceback.
    """

    def __init__(
        self,
        what: str,
        make: Callable[[], Coroutine[Any, Any, None]],
        *,
        backoff: Backoff | None = None,
        on_error: Callable[[BaseException], object] = lambda error: None,
    ) -> None:
        """Begins at once; nothing of the caller's context is in it.

        Args:
            what: What it does, for the log.
            make: Makes what is to be run.
            backoff: The pauses before it is begun anew; None for 1 s to 60 s.
            on_error: Called with what has ended it, before it is begun anew.
        """
        self._what = what
        self._make = make
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._on_error = on_error
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._task = self._begin()

    async def close(self) -> None:
        """Ends it, and returns once it has ended."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._task.cancel()
        await asyncio.wait([self._task])

    def _begin(self) -> asyncio.Task[None]:
        task: asyncio.Task[None] = spawn(self._make())
        task.add_done_callback(self._note_end)
        return task

    def _begin_again(self) -> None:
        if not self._closed:
            self._task = self._begin()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or self._closed:
            return
        pause_s = self._backoff.next_s()
        log.error(
            "%s has failed, and goes on in %.0f s: %r", self._what, pause_s, error, exc_info=error
        )
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._begin_again)
        self._on_error(error)
