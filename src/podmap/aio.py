"""Tasks that belong to nobody's request, and waits that end within a time.

`asyncio.wait_for` swallows a cancellation that comes just as what it waits for is there, until
Python 3.12 (https://github.com/python/cpython/issues/86296). A task that loops over it then goes
on for ever, and whoever cancelled it and waits for its end does, too.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

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
