"""An event loop whose time jumps to the next thing that is due, so that nothing waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from podmap.clock import time_from

T = TypeVar("T")

BEGINNING = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""What the clock says when a run starts: the same in every run, so that records compare."""
LONGEST_S = 30 * 24 * 3600.0


class StalledError(AssertionError):
    """Nothing will ever happen any more, or nothing that ends the run."""


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns, with each of its waits taking no time.

    Hours pass in milliseconds, always in the same order: no thread is used, and what belongs in
    one is called at once. `clock.utc_now` tells the loop's time, counted from `BEGINNING`.

    Raises:
        StalledError: The coroutine waits for what never happens, or for more than 30 days.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(main)
    with ThreadPoolExecutor(1) as thread:  # a thread has one loop, and this one has its own
        return thread.submit(_run, main).result()


def _run(main: Coroutine[Any, Any, T]) -> T:
    loop = _VirtualLoop()
    try:
        with time_from(lambda: moment(loop.time())):
            return loop.run_until_complete(main)
    finally:
        _end_tasks(loop)
        loop.close()


def moment(time_s: float) -> datetime:
    """The date and time of a loop's time, to the millisecond."""
    return BEGINNING + timedelta(milliseconds=round(time_s * 1000))


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        self._now_s += seconds
        if self._now_s > LONGEST_S:
            raise StalledError("the run goes on after 30 days of its own time")

    # Typeshed ties the arguments to the function by a TypeVarTuple, which Python 3.10 lacks.
    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # whoever awaits it gets it, as with a real executor
            future.set_exception(error)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for files until something is due, it says that the time has come."""

    def __init__(self, loop: _VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StalledError("the run waits for something that never happens")
        if timeout > 0:
            self._loop.jump(timeout)
        return super().select(0)
