"""A whole run in this process, for the command line and for tests."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podmap.backends.base import Backend
from podmap.engine.attempt import LineHandler
from podmap.engine.hub import IO_THREADS
from podmap.engine.io import Shortcut
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.trial import settle
from podmap.errors import PodmapError, UnreachableError
from podmap.records import Record

log = logging.getLogger(__name__)

OnRecord = Callable[[Record], None]
OnLine = Callable[[int, str], None]


class SweepRun:
    """Runs all trials of a run, at most `parallelism` at once, in constant memory per trial."""

    def __init__(
        self,
        planned: PlannedRun,
        backend: Backend,
        *,
        epoch: str,
        alone: bool = False,
    ) -> None:
        """Makes a run that is not started.

        Args:
            planned: What the run is.
            backend: What runs the attempts; is not closed.
            epoch: Which asking this is; the same after a resume.
            alone: Whether the caller keeps all other processes from working on this run.
        """
        self._planned = planned
        self._backend = backend
        self._epoch = epoch
        self._alone = alone
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

        An error that concerns one trial, such as a record that cannot be understood, is raised
        when all other trials have ended.

        Args:
            on_record: Called with each trial's record, as it comes; after an interrupt also with
                those that stay open.
            on_line: Called with trial number and line of output, as it comes.
            patience_s: How long to go on asking what cannot be asked; by default for ever.

        Raises:
            StoreError: The ledger could not be read at the start, or asked for `patience_s`.
            BackendError: The backend could not be asked at the start, or for `patience_s`.
                What runs goes on, to be adopted by the next run of the same epoch.
            RecordError: What the ledger holds of a trial cannot be understood.
        """
        with ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as io:
            local = "://" not in self._planned.ledger.run_uri
            session = await open_session(
                self._planned,
                self._backend,
                io,
                shortcut=Shortcut() if local else None,
                alone=self._alone,
            )
            self._session = session
            work = _Work(session, self._epoch, on_record, on_line, patience_s)
            staff = _Staff(lambda: self._work(work))

            def hire() -> None:
                staff.enlarge(min(session.at_once, session.planned.plan.count))

            session.runwide.on_obeyed = hire
            hire()
            try:
                await staff.finished()
            finally:
                await staff.dismiss()
                await session.close()
        if work.error is not None:
            raise work.error

    async def _work(self, work: _Work) -> None:
        for number in work.numbers:
            if self._interrupted:
                return  # what was not started stays open for a resume
            try:
                await work.settle(number)
            except UnreachableError:
                raise
            except Exception as error:  # one trial's error is not the others'
                bug = not isinstance(error, PodmapError)
                log.error("trial %d: %s", number, error, exc_info=bug)
                work.error = work.error or error

    @property
    def stopped_reason(self) -> str:
        """Why no more trials are started; empty while they are."""
        return self._session.coordinator.stopped_reason if self._session else ""

    def interrupt(self, reason: str) -> None:
        """Starts no more trials and ends those that run; `run` then returns soon."""
        self._interrupted = True
        if self._session is not None:
            self._session.coordinator.interrupt(reason)


class _Staff:
    """The workers of a run, which may become more while they work."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._workers: list[asyncio.Task[None]] = []
        self._over = False

    def enlarge(self, count: int) -> None:
        while len(self._workers) < count and not self._over:
            self._workers.append(asyncio.ensure_future(self._work()))

    async def finished(self) -> None:
        """Returns once all have ended.

        Raises:
            Exception: What the first worker has raised, as soon as it has.
        """
        while pending := [worker for worker in self._workers if not worker.done()]:
            ended, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for worker in ended:
                worker.result()

    async def dismiss(self) -> None:
        self._over = True
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)


class _Work:
    """The trials of a run that nobody has taken yet, and what to do with each."""

    def __init__(
        self,
        session: RunSession,
        epoch: str,
        on_record: OnRecord | None,
        on_line: OnLine | None,
        patience_s: float,
    ) -> None:
        self.numbers = iter(range(session.planned.plan.count))
        self.error: Exception | None = None
        self._session = session
        self._epoch = epoch
        self._on_record = on_record
        self._on_line = on_line
        self._patience_s = patience_s

    async def settle(self, number: int) -> None:
        handler = None if self._on_line is None else _numbered(self._on_line, number)
        record = await settle(
            self._session, number, self._epoch, on_line=handler, patience_s=self._patience_s
        )
        if self._on_record is not None:
            self._on_record(record)


def _numbered(on_line: OnLine, number: int) -> LineHandler:
    return lambda line: on_line(number, line)
