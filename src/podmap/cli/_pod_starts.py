"""Counts now and then the pods of a run that have not started."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from podmap.backends.base import Backend, Phase
from podmap.cli._progress import Progress
from podmap.errors import UnreachableError

EVERY_S = 5.0
_TIMES_LONGER = 20
"""A list of thousands of pods is no small thing to ask for, so pauses are so many times longer."""


@contextlib.contextmanager
def pending_counted(backend: Backend, run_id: str, progress: Progress) -> Iterator[None]:
    """Has the progress know meanwhile how many attempts wait for their start."""
    task = asyncio.ensure_future(_count(backend, run_id, progress))
    try:
        yield
    finally:
        task.cancel()


async def _count(backend: Backend, run_id: str, progress: Progress) -> None:
    pause_s = EVERY_S
    while True:
        await asyncio.sleep(pause_s)
        asked = time.monotonic()
        with contextlib.suppress(UnreachableError):
            seen = await backend.list(run_id)
            progress.pending = sum(one.phase is Phase.PENDING for one in seen)
        pause_s = max(EVERY_S, _TIMES_LONGER * (time.monotonic() - asked))
