"""A whole run in this process, for the command line and for tests."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podmap.backends.base import Backend
from podmap.engine.events import RunEnded, RunEvents
from podmap.engine.hub import IO_THREADS
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.timing import TIMING, Timing
from podmap.engine.trial import run_trial
from podmap.errors import LedgerGoneError, PodmapError, UnreachableError

log = logging.getLogger(__name__)

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
        events: RunEvents | None = None,
        timing: Timing = TIMING,
    ) -> None:
        """Makes a run that is not started.

        Args:
            planned: What the run is.
            backend: What runs the attempts; is not closed.
            epoch: Which asking this is; the same after a resume.
            alone: Whether the caller keeps all other processes from working on this run.
            events: Tells what happens in the run; None if nobody wants to know.
            timing: How long to wait for what.
        """
        self._planned = planned
        self._backend = backend
        self._epoch = epoch
        self._alone = alone
        self._events = events or RunEvents()
        self._timing = timing
        self._session: RunSession | None = None
        self._interrupted = False
        self._error: Exception | None = None

    async def run(self, *, on_line: OnLine | None = None, patience_s: float = math.inf) -> None:
        """Returns once every trial has a terminal record, or the run was interrupted.

        An error that concerns one trial, such as a record that cannot be understood, is raised
        when all other trials have ended.

        Args:
            on_line: Called with trial number and line of output, as it comes.
            patience_s: How long to go on asking what cannot be asked; by default for ever.

        Raises:
            StoreError: The ledger could not be read at the start, or asked for `patience_s`.
            BackendError: The backend could not be asked at the start, or for `patience_s`.
                What runs goes on, to be adopted by the next run of the same epoch.
            RecordError: What the ledger holds of a trial cannot be understood.
            LedgerGoneError: The ledger was deleted meanwhile; what ran was ended.
        """
        workers = _Workers()
        with (
            ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io") as threads,
            ThreadPoolExecutor(1, thread_name_prefix="podmap-urgent") as urgent,
        ):
            at_once = "://" not in self._planned.ledger.run_uri
            session = await open_session(
                self._planned,
                self._backend,
                StoreCalls(threads, urgent=urgent, at_once=at_once),
                alone=self._alone,
                events=self._events,
                on_limit=lambda count: workers.enlarge(min(count, self._planned.plan.count)),
                timing=self._timing,
            )
            self._session = session
            trials = iter(range(self._planned.plan.count))
            workers.begin(lambda: self._run_trials(session, trials, on_line, patience_s))
            try:
                await workers.finished()
                self._events.emit(RunEnded(self.stopped_reason))
            finally:
                await workers.end()
                await session.close()
                if not self._events.flush(0.0):
                    await asyncio.to_thread(self._events.flush)
        if self._error is not None:
            raise self._error

    async def _run_trials(
        self,
        session: RunSession,
        trials: Iterator[int],
        on_line: OnLine | None,
        patience_s: float,
    ) -> None:
        """The work of one worker: the trials that no other one has begun."""
        for number in trials:
            if self._interrupted:
                return  # what was not started stays open for a resume
            handler = None if on_line is None else functools.partial(on_line, number)
            try:
                await run_trial(
                    session, number, self._epoch, on_line=handler, patience_s=patience_s
                )
            except UnreachableError:
                raise
            except LedgerGoneError as error:  # then there is no run any more
                if not isinstance(self._error, LedgerGoneError):
                    self._error = error
                    self.interrupt(str(error))
            except Exception as error:  # one trial's error is not the others'
                bug = not isinstance(error, PodmapError)
                log.error("trial %d: %s", number, error, exc_info=bug)
                self._error = self._error or error

    @property
    def stopped_reason(self) -> str:
        """Why no more trials are started; empty while they are."""
        return self._session.slots.stopped_reason if self._session else ""

    def interrupt(self, reason: str) -> None:
        """Starts no more trials and ends those that run; `run` then returns soon."""
        self._interrupted = True
        if self._session is not None:
            self._session.slots.interrupt(reason)


class _Workers:
    """Tasks that do the same work side by side, and may become more while they do."""

    def __init__(self) -> None:
        self._work: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._count = 0
        self._tasks: list[asyncio.Task[None]] = []

    def enlarge(self, count: int) -> None:
        """Has at least so many work, as soon as there is work."""
        self._count = max(self._count, count)
        while self._work is not None and len(self._tasks) < self._count:
            self._tasks.append(asyncio.ensure_future(self._work()))

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self.enlarge(0)

    async def finished(self) -> None:
        """Returns once all have ended.

        Raises:
            Exception: What the first worker has raised, as soon as it has.
        """
        while pending := [task for task in self._tasks if not task.done()]:
            ended, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()

    async def end(self) -> None:
        self._work = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
