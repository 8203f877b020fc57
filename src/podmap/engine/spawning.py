"""Starting tasks that belong to nobody's request."""

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
