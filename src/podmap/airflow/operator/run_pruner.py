"""Ends hopeless pods of `TrialPodOperator` early: one pruner for all attempts of a run here."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from podmap.aio import spawn
from podmap.backends.base import Backend
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.pruner import Pruner
from podmap.engine.timing import TIMING
from podmap.errors import BackendError
from podmap.records import Category, Diagnosis, Record

_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RunPruner]] = (
    weakref.WeakKeyDictionary()
)


class RunPruner:
    """The pruner of a run, for as long as this process waits for one of its pods.

    Each task waits for its own pod, here or in another process; what all of them report is compared
    by way of the ledger, as between the processes of podmap's own runtime.
    """

    def __init__(self, planned: PlannedRun) -> None:
        """Nothing is read yet; `joined` is the usual way.

        Args:
            planned: The run.
        """
        self._planned = planned
        self._backends: dict[str, Backend] = {}
        self._opening = asyncio.Lock()
        self._pruner: Pruner | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="podmap-prune")

    @classmethod
    @asynccontextmanager
    async def joined(
        cls, planned: PlannedRun, name: str, backend: Backend
    ) -> AsyncIterator[RunPruner | None]:
        """The pruner, the same for all who wait for pods of the run in the running loop.

        Args:
            planned: The run.
            name: The attempt that is waited for meanwhile.
            backend: Ends it.

        Yields:
            None if the spec asks for no pruning.

        Raises:
            StoreError: The ledger cannot be read.
        """
        if planned.sweep.prune is None:
            yield None
            return
        known = _of_loops.setdefault(asyncio.get_running_loop(), {})
        uri = planned.ledger.run_uri
        own = known.setdefault(uri, cls(planned))
        own._backends[name] = backend
        try:
            await own._open()
            yield own
        finally:
            del own._backends[name]
            if not own._backends and known.get(uri) is own:
                del known[uri]
                await own._close()

    def report(
        self, name: str, number: int, epoch: str, step: int, values: Mapping[str, Any]
    ) -> None:
        """As `Pruner.report`."""
        if self._pruner is not None:
            self._pruner.report(name, number, epoch, step, values)

    def count_record(self, record: Record) -> None:
        """As `Pruner.count_record`."""
        if self._pruner is not None:
            self._pruner.count_record(record)

    async def _open(self) -> None:
        async with self._opening:
            if self._pruner is None:
                store = StoreCalls(self._threads)
                self._pruner = await Pruner.open(self._planned, store, self._begin_end)

    async def _close(self) -> None:
        try:
            if self._pruner is not None:
                await self._pruner.close()
        finally:
            self._threads.shutdown(wait=False)

    def _begin_end(self, name: str, reason: str) -> None:
        spawn(self._end(name, Diagnosis(Category.PRUNED, reason)))

    async def _end(self, name: str, why: Diagnosis) -> None:
        while (backend := self._backends.get(name)) is not None:
            with contextlib.suppress(BackendError):  # asked again
                await backend.kill(name, reason=why, grace_s=TIMING.kill_grace_s)
                return
            await asyncio.sleep(TIMING.ask_again_s)
