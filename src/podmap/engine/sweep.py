"""A whole run in this process, for the command line and for tests."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from podmap.backends.base import Backend
from podmap.engine.hub import IO_THREADS
from podmap.engine.runner import LineHandler, settle
from podmap.engine.session import RunSession, open_session
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record

OnRecord = Callable[[Record], None]
OnLine = Callable[[int, str], None]


class SweepRun:
    """Runs all trials of a run, at most `parallelism` at once, in constant memory per trial."""

    def __init__(self, ledger: Ledger, manifest: Manifest, backend: Backend, *, epoch: str) -> None:
        """Makes a run that is not started.

        Args:
            ledger: Where records are kept.
            manifest: What the run is.
            backend: What runs the attempts; is not closed.
            epoch: Which asking this is; the same after a resume.
        """
        self._ledger = ledger
        self._manifest = manifest
        self._backend = backend
        self._epoch = epoch
        self._session: RunSession | None = None
        self._interrupted = False

    async def run(
        self,
        *,
        on_record: OnRecord | None = None,
        on_line: OnLine | None = None,
        patience_s: float = math.inf,
    ) -> None:
        """Returns once every trial has a terminal record, or the run was interrupted.

        Args:
            on_record: Called with each trial's record, as it comes.
            on_line: Called with trial number and line of output, as it comes.
            patience_s: How long to go on asking what cannot be asked; by default for ever.

        Raises:
            StoreError: The ledger could not be read at the start, or asked for `patience_s`.
            BackendError: The backend could not be asked at the start, or for `patience_s`.
                What runs goes on, to be adopted by the next run of the same epoch.
        """
        with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as io:
            session = await open_session(
                self._ledger, self._manifest, self._backend, io
            )
            self._session = session
            numbers = iter(range(session.plan.count))
            workers = [
                asyncio.ensure_future(self._work(session, numbers, on_record, on_line, patience_s))
                for _ in range(min(session.sweep.parallelism, session.plan.count))
            ]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
                session.coordinator.close()

    async def _work(
        self,
        session: RunSession,
        numbers: Iterator[int],
        on_record: OnRecord | None,
        on_line: OnLine | None,
        patience_s: float,
    ) -> None:
        for number in numbers:
            if self._interrupted:
                return  # what was not started stays open for a resume
            handler: LineHandler | None = None
            if on_line is not None:
                handler = _numbered(on_line, number)
            record = await settle(
                session, number, self._epoch, on_line=handler, patience_s=patience_s
            )
            if on_record is not None:
                on_record(record)

    @property
    def stopped_reason(self) -> str:
        """Why no more trials are started; empty while they are."""
        return self._session.coordinator.stopped_reason if self._session else ""

    def interrupt(self, reason: str) -> None:
        """Starts no more trials and ends those that run; `run` then returns soon."""
        self._interrupted = True
        if self._session is not None:
            self._session.coordinator.interrupt(reason)


def _numbered(on_line: OnLine, number: int) -> LineHandler:
    return lambda line: on_line(number, line)
