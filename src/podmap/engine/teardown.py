"""The teardown of a run: what is left of its attempts is ended and removed, many at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from podmap.backends.base import Backend, Phase
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.session import open_session
from podmap.engine.trial_end import kill_trial
from podmap.errors import BackendError, PodmapError
from podmap.records import Category, Diagnosis, Record

log = logging.getLogger(__name__)

AT_ONCE = 1000
"""Ending an attempt is waiting, above all: for its grace, and a minute for a node that is silent.

A backend has limits of its own for what costs something, such as requests.
"""
GRACE_S = 5.0
IO_THREADS = 8
SETTLED_AT_ONCE = 32
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Teardown:
    """What became of the attempts that were left.

    Attributes:
        removed: How many are removed.
        running: How many of these had not ended by themselves.
        left: Names of those that could not be removed, and why.
    """

    removed: int
    running: int
    left: Mapping[str, str]

    def check(self) -> None:
        """Makes sure that nothing is left.

        Raises:
            BackendError: Something is, which it names.
        """
        if not self.left:
            return
        named = [f"{name}: {why}" for name, why in sorted(self.left.items())[:_NAMED]]
        more = len(self.left) - len(named)
        raise BackendError(
            f"{len(self.left)} of {self.removed + len(self.left)} attempts could not be removed:\n"
            + "\n".join([*named, *([f"and {more} more"] if more else [])])
        )


async def settle_trials(
    planned: PlannedRun, backend: Backend, left: Sequence[Record], *, reason: str
) -> None:
    """Settles trials that nobody works on any more, some at the same time.

    A trial whose attempt has ended becomes what that end says; one that still runs is ended, with
    its grace, and is CANCELLED, as is one without an attempt.

    Args:
        planned: The run.
        backend: Where its attempts are.
        left: The trials' records, none of them terminal.
        reason: Why, for those that are cancelled.

    Raises:
        UnreachableError: The store or the backend could not be asked; call again.
    """
    turns = asyncio.Semaphore(SETTLED_AT_ONCE)
    with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as threads:
        session = await open_session(planned, backend, StoreCalls(threads))

        async def settle(record: Record) -> None:
            async with turns:
                await kill_trial(session, record.number, record.epoch, reason=reason)

        try:
            await asyncio.gather(*map(settle, left))
        finally:
            await session.close()


async def remove_attempts(
    backend: Backend,
    run_id: str,
    *,
    reason: str,
    grace_s: float = GRACE_S,
    at_once: int = AT_ONCE,
) -> Teardown:
    """Ends the run's attempts and removes them, some at the same time.

    One that cannot be removed, or whose node does not answer, keeps none of the others.

    Args:
        backend: What runs them.
        run_id: The run.
        reason: Why, for those that still run.
        grace_s: What those have to end by themselves.
        at_once: How many are ended at the same time.

    Raises:
        BackendError: They could not be listed.
    """
    turns = asyncio.Semaphore(at_once)
    why = Diagnosis(Category.CANCELLED, reason)
    left: dict[str, str] = {}

    async def remove(name: str) -> None:
        async with turns:
            try:
                await backend.kill(name, reason=why, grace_s=grace_s)
                await backend.delete(name)
            except Exception as error:  # whatever it is, the others are to be removed
                if not isinstance(error, PodmapError):
                    log.exception("%s could not be removed", name)
                left[name] = str(error) or repr(error)

    found = await backend.list(run_id)
    await asyncio.gather(*(remove(seen.name) for seen in found))
    removed = [seen for seen in found if seen.name not in left]
    running = sum(seen.phase in (Phase.PENDING, Phase.RUNNING) for seen in removed)
    return Teardown(len(removed), running, left)
