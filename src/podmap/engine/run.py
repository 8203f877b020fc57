"""A whole run in this process, for the command line and for tests."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from podmap.aio import spawn
from podmap.backends.base import Backend
from podmap.clock import iso, utc_now
from podmap.engine.board import keep_board
from podmap.engine.events import RunEnded, RunEvents
from podmap.engine.hub import FAR_THREADS, IO_THREADS
from podmap.engine.io import StoreCalls
from podmap.engine.orders import TrialQueue
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.timing import TIMING, Timing
from podmap.engine.trial import run_trial
from podmap.errors import LedgerGoneError, PodmapError, StoreError, UnreachableError
from podmap.ledger.run_state import RunState

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
        self._queue = TrialQueue(planned.plan.count)
        self._workers = _Workers(lambda: self._queue.waiting)
        self._session: RunSession | None = None
        self._growing: asyncio.Task[None] | None = None
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
        workers = self._workers
        at_once = "://" not in self._planned.ledger.run_uri
        most = IO_THREADS if at_once else FAR_THREADS
        with (
            ThreadPoolExecutor(most, thread_name_prefix="podmap-io") as threads,
            ThreadPoolExecutor(1, thread_name_prefix="podmap-urgent") as urgent,
        ):
            session = await open_session(
                self._planned,
                self._backend,
                StoreCalls(threads, urgent=urgent, at_once=at_once),
                alone=self._alone,
                events=self._events,
                on_limit=workers.enlarge,
                on_state=self._note_state,
                timing=self._timing,
            )
            self._session = session
            keep_board(self._events, self._planned, session.coordinator)
            workers.begin(lambda: self._run_trials(session, on_line, patience_s))
            try:
                await workers.finished()
                while await self._has_more(session):
                    workers.enlarge()
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
        self, session: RunSession, on_line: OnLine | None, patience_s: float
    ) -> None:
        """The work of one worker: the trials that no other one has begun."""
        while (number := self._queue.take()) is not None:
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

    def _note_state(self, state: RunState) -> None:
        """Has workers for what was asked for since."""
        self._queue.note(state)
        added, session = (state.trials or 0) > self._planned.plan.count, self._session
        if added and session is not None and (self._growing is None or self._growing.done()):
            self._growing = spawn(self._grow(session))
        self._workers.enlarge()

    async def _grow(self, session: RunSession) -> None:
        """Has workers for the trials that were added since."""
        try:
            await session.call(self._planned.grow)
        except (StoreError, PodmapError) as error:
            log.warning("what was added to the run is not known: %s", error)
        self._queue.grow(self._planned.plan.count)
        self._workers.enlarge()

    async def _has_more(self, session: RunSession) -> bool:
        """Whether more was asked for until this moment; if not, the run has ended from now on.

        That is decided by one write: who asks for more either comes before it, or sees that the
        run has ended.
        """
        if self._interrupted or self._error is not None:
            return False

        def change(state: RunState) -> Mapping[str, Any]:
            more = (state.trials or 0) > self._planned.plan.count or self._queue.news(state)
            return {} if more else {"finished": iso(utc_now())}

        try:
            state = await session.store.call_urgent(self._planned.ledger.change_state, change)
        except StoreError as error:
            log.warning("not noted that the run has ended: %s", error)
            return False
        if state.finished is None:
            self._note_state(state)
            await self._grow(session)
        return self._queue.waiting > 0

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

    def __init__(self, waiting: Callable[[], int]) -> None:
        """Nobody works yet.

        Args:
            waiting: How many pieces of work nobody has begun.
        """
        self._waiting = waiting
        self._work: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def enlarge(self, count: int = 0) -> None:
        """Has at least so many work, or as many as before, as far as there is work for them."""
        self._count = max(self._count, count)
        if self._work is not None:
            alive = sum(not task.done() for task in self._tasks)
            for _ in range(min(self._count - alive, self._waiting())):
                self._tasks.add(asyncio.ensure_future(self._work()))

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self.enlarge()

    async def finished(self) -> None:
        """Returns once all have ended.

        Raises:
            Exception: What the first worker has raised, as soon as it has.
        """
        while self._tasks:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in self._tasks if task.done()]:
                task.result()  # what others raised at the same time is left to `end`
                self._tasks.remove(task)

    async def end(self) -> None:
        self._work = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
