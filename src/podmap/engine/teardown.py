"""Ends and removes what a run has left: for `podmap clean`, and Airflow's task `cleanup`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from podmap.backends.base import Backend, Observation
from podmap.records import Category, Diagnosis

AT_ONCE = 32
GRACE_S = 5.0


async def remove_attempts(
    backend: Backend, run_id: str, *, reason: str, at_once: int = AT_ONCE
) -> Sequence[Observation]:
    """Ends the run's attempts and removes them, some at the same time.

    An attempt that cannot be removed keeps none of the others from being removed.

    Args:
        backend: What runs them.
        run_id: The run.
        reason: Why, for those that still run.
        at_once: How many are ended at the same time.

    Returns:
        The attempts as they were found.

    Raises:
        BackendError: They could not be listed, or one of them not be removed.
    """
    turns = asyncio.Semaphore(at_once)
    why = Diagnosis(Category.CANCELLED, reason)

    async def remove(name: str) -> None:
        async with turns:
            await backend.kill(name, reason=why, grace_s=GRACE_S)
            await backend.delete(name)

    found = await backend.list(run_id)
    ends = await asyncio.gather(*(remove(seen.name) for seen in found), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return found
