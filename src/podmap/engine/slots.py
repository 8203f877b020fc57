"""The slots of a run in one process: which trial may start next, and when none may any more."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from podmap.aio import set_within, spawn
from podmap.backends.base import Backend, Observation, Phase
from podmap.clock import iso, utc_now
from podmap.engine.settlement import OUTGROWN
from podmap.engine.tally import Stop, Tally
from podmap.engine.timing import TIMING, Timing
from podmap.errors import BackendError, PodmapError
from podmap.records import Category, Diagnosis, Record

log = logging.getLogger(__name__)


class RunStoppedError(PodmapError):
    """The run starts no more attempts; the text says why."""


class Slot:
    """The right to run one attempt: bind it to the attempt, or give it back."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._open = True

    def bind(self, name: str) -> None:
        """The attempt was created, or may have been: the slot is its own until it has ended."""
        if self._open:
            self._open = False
            self._slots._bind(name)

    def give_back(self) -> None:
        """No attempt was created; does nothing once bound."""
        if self._open:
            self._open = False
            self._slots._unbind()


class Slots:
    """The slots and budgets of one run, within one process and event loop.

    A slot belongs to a living attempt, not to who asked for it: it is given back when the backend
    says that the attempt has ended, also when the trial's own task is gone by then. Waiting trials
    get slots in the order of their numbers.

    Attributes:
        tally: The failures of the run's trials, and the memory that they need.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        parallelism: int,
        tally: Tally | None = None,
        spare: Callable[[], int] = lambda: 0,
        unstarted_names: Callable[[], Iterable[str]] = tuple,
        on_change: Callable[[], None] = lambda: None,
        timing: Timing = TIMING,
    ) -> None:
        """All slots are free.

        Args:
            backend: Where the attempts live.
            parallelism: Attempts alive at once.
            tally: What is known of the run's trials; None to begin a new one.
            spare: How many attempts more may be created now, to stand ready at a gate.
            unstarted_names: The names of the attempts that have not started: any stop takes them
                back.
            on_change: Called when the run was stopped here, or when it is known how a trial
                stands.
            timing: How long to wait.
        """
        self.tally = tally or Tally()
        self._on_change = on_change
        self._timing = timing
        self._backend = backend
        self._parallelism = parallelism
        self._most: float = math.inf
        self._paused = False
        self._spare = spare
        self._unstarted_names = unstarted_names
        self._alive: dict[str, asyncio.Future[Observation]] = {}
        self._adopted_again: set[str] = set()  # since somebody began to wait for their ends
        self._unbound = 0  # slots of trials whose attempt is not created yet
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()
        self._timers: list[asyncio.TimerHandle] = []
        self._watchers: set[asyncio.Task[None]] = set()
        self._ending: set[str] = set()
        self._own: Stop | None = None
        self._ordered: Stop | None = None
        self._interrupt: Stop | None = None
        self._interruption = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def parallelism(self) -> int:
        """How many attempts may be alive at once, unless the run is paused or stopped."""
        return self._parallelism

    @property
    def halted(self) -> bool:
        """Whether no more attempts are started, for now or for good."""
        return self._paused or bool(self.stops)

    @property
    def alive(self) -> int:
        """How many attempts hold a slot."""
        return len(self._alive)

    @property
    def interrupted(self) -> bool:
        """Whether the run is to be left as it is, for a later resume."""
        return self._interruption.is_set()

    @property
    def stopped_reason(self) -> str:
        """Why no more attempts are started; empty while they are."""
        stops = self.stops
        return stops[0].reason if stops else ""

    @property
    def given_up(self) -> str:
        """Why a user has ended all that runs; empty if none has."""
        order = self._ordered
        return order.reason if order and order.by_user and order.cancel else ""

    @property
    def own_stop(self) -> Stop | None:
        """The stop that this process has decided on for the whole run; None if it has not."""
        return self._own

    @property
    def stops(self) -> list[Stop]:
        """Why no more attempts are started; empty while they are."""
        each = (self._own, self.tally.stop, self._ordered, self._interrupt)
        return [stop for stop in each if stop is not None]

    def acquire_now(self) -> Slot | None:
        """A slot at once; None if that would mean waiting, or if the run is stopped."""
        if self.stopped_reason or self._waiting or not self._has_room():
            return None
        self._unbound += 1
        return Slot(self)

    async def acquire(self, *, order: int) -> Slot:
        """A slot, once there is a free one and no trial of a lower order waits.

        Raises:
            RunStoppedError: The run starts no more attempts.
        """
        self.check_open()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._ticket), turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._unbind()
            raise
        return Slot(self)

    def check_open(self) -> None:
        """Makes sure that attempts may be started.

        Raises:
            RunStoppedError: They may not.
        """
        reason = self.stopped_reason
        if reason:
            raise RunStoppedError(reason)

    def _has_room(self) -> bool:
        if self._paused:
            return False
        return len(self._alive) + self._unbound < self._parallelism + self._spare()

    def _hand_out(self) -> None:
        while self._waiting and self._has_room():
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._unbound += 1
                turn.set_result(None)

    def _bind(self, name: str) -> None:
        self._unbound -= 1
        self.adopt([name])
        self.end_unstarted()
        self._hand_out()  # the attempt may have been adopted before

    def _unbind(self) -> None:
        self._unbound -= 1
        self._hand_out()

    def adopt(self, names: Iterable[str]) -> None:
        """Counts attempts that are alive already, even if they are more than the slots."""
        for name in names:
            if name in self._alive:
                self._adopted_again.add(name)
            else:
                self._alive[name] = asyncio.get_running_loop().create_future()
                watcher = spawn(self._watch(name))
                self._watchers.add(watcher)
                watcher.add_done_callback(self._watchers.discard)
                ending = [stop.reason for stop in self.stops if stop.cancel]
                if ending:
                    self._begin_end(name, ending[0])

    async def wait_end(self, name: str) -> Observation:
        """The observation of an attempt once it has ended or is gone.

        Raises:
            BackendError: The backend could not be asked; the attempt keeps its slot.
        """
        end = self._alive.get(name)
        if end is None:
            return await self._backend.wait(name)
        return await asyncio.shield(end)

    async def _watch(self, name: str) -> None:
        try:
            seen = await self._wait(name)
        except BaseException as error:
            end = self._alive.pop(name)
            if isinstance(error, Exception):
                _refuse(end, error)  # a bug: whoever waits is told, and the slot is free again
            else:
                end.cancel()
            self._hand_out()
            raise
        self._alive.pop(name).set_result(seen)
        self._hand_out()

    async def _wait(self, name: str) -> Observation:
        while True:
            self._adopted_again.discard(name)
            try:
                seen = await self._backend.wait(name)
                # A creation that failed may have been asked about before the next one, of its name.
                if seen.phase is not Phase.GONE or name not in self._adopted_again:
                    self._adopted_again.discard(name)
                    return seen
            except BackendError as error:
                log.warning("cannot ask about %s, its slot stays taken: %s", name, error)
                _refuse(self._alive[name], error)
                self._alive[name] = asyncio.get_running_loop().create_future()
                await asyncio.sleep(self._timing.ask_again_s)

    def count_record(self, record: Record) -> None:
        """Counts how a trial stands, be it run here or, as the ledger has it, elsewhere."""
        before = self.tally.stop
        self.tally.count_record(record)
        stop = self.tally.stop
        if stop is not None and (before is None or before.lasts != stop.lasts):
            self._apply_stop(stop)
        self._on_change()

    def reopen_trial(self, number: int) -> None:
        """Counts a trial that is run again as one that has not failed."""
        self.tally.reopen_trial(number)

    def limit_to(self, most: int) -> None:
        """Has never more attempts alive than there is room for, whatever is ordered."""
        self._most = most
        self._parallelism = min(self._parallelism, most)

    def apply_orders(self, order: Stop | None, *, parallelism: int, paused: bool) -> None:
        """Applies what was decided elsewhere; later calls replace earlier ones.

        Args:
            order: That the run is stopped; None while it is not.
            parallelism: Attempts alive at once.
            paused: Whether none are started for now.
        """
        self._parallelism, self._paused = int(min(parallelism, self._most)), paused
        before, self._ordered = self._ordered, order
        if order is not None and order != before:
            self._apply_stop(order)
            self._hurry.set()
            self._hurry.clear()
        self._hand_out()

    def stop_after(self, seconds: float, reason: str, *, cancel: bool) -> None:
        """Stops the run when a time has passed."""
        loop = asyncio.get_running_loop()
        stop = Stop(reason, cancel, lasts=True)
        self._timers.append(loop.call_later(max(0.0, seconds), self.adopt_stop, stop))

    def stop(self, reason: str, *, cancel: bool) -> None:
        """Starts no more attempts; with `cancel`, ends those that run."""
        self.adopt_stop(Stop(reason, cancel, iso(utc_now())))

    def lift_stops(self, asked: str) -> None:
        """Forgets the stops and failures from before a time, at which a trial was asked for."""
        if self._own is not None and not self._own.holds(asked):
            self._own = None
        if self._ordered is not None and not self._ordered.holds(asked):
            self._ordered = None
        self.tally.forgive_failures(asked)

    def adopt_stop(self, stop: Stop) -> None:
        """Stops the run as was decided; without a time of the decision it is decided now."""
        own = self._own or replace(stop, at=stop.at or iso(utc_now()))
        self._own = replace(own, cancel=own.cancel or stop.cancel, lasts=own.lasts or stop.lasts)
        self._apply_stop(stop)
        self._on_change()

    def interrupt(self, reason: str) -> None:
        """Ends what runs and starts no more, but leaves all that has not ended to be resumed."""
        self._interruption.set()
        self._hurry.set()
        self._interrupt = Stop(reason, cancel=True, lasts=True)
        self._apply_stop(self._interrupt)
        self._on_change()

    async def sleep(self, seconds: float) -> None:
        """Returns after a time, or once the run is interrupted, or stopped in these seconds."""
        if not self.interrupted:
            await set_within(self._hurry, seconds)

    def _refuse_waiting(self, reason: str) -> None:
        while self._waiting:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_exception(RunStoppedError(reason))

    def _apply_stop(self, stop: Stop) -> None:
        self._refuse_waiting(stop.reason)
        if not stop.cancel:
            self.end_unstarted()
            return
        for name in self._alive:
            self._begin_end(name, stop.reason)

    def end_unstarted(self) -> None:
        """Ends the attempts that have not started, at a gate or not, if the run is stopped."""
        reason = self.stopped_reason
        if reason:
            for name in self._unstarted_names():
                if name in self._alive:
                    self._begin_end(name, reason)

    def withdraw(self, name: str) -> bool:
        """Ends an attempt that waits at a gate, so that it is made anew with more memory.

        Returns:
            Whether it is ended; False while its creation is not over.
        """
        if name not in self._alive:
            return False
        self._begin_end(name, OUTGROWN)
        return True

    def prune(self, name: str, reason: str) -> None:
        """Ends an attempt whose trial is hopeless, and leaves all others alone."""
        if name in self._alive:
            self._begin_end(name, reason, Category.PRUNED)

    def _begin_end(self, name: str, reason: str, category: Category = Category.CANCELLED) -> None:
        if name not in self._ending:
            self._ending.add(name)
            ending = spawn(self._end(name, Diagnosis(category, reason)))
            ending.add_done_callback(lambda _: self._ending.discard(name))

    async def _end(self, name: str, why: Diagnosis) -> None:
        while name in self._alive:
            try:
                await self._backend.kill(name, reason=why, grace_s=self._timing.kill_grace_s)
                return
            except BackendError as error:
                pause_s = self._timing.longest_pause_s if error.forbidden else 0.0
                log.error("%s could not be ended, trying again: %s", name, error)
                await asyncio.sleep(max(pause_s, self._timing.ask_again_s))

    def close(self) -> None:
        """Forgets the timers and stops watching; attempts go on."""
        for timer in self._timers:
            timer.cancel()
        for watcher in self._watchers:
            watcher.cancel()


def _refuse(end: asyncio.Future[Observation], error: Exception) -> None:
    end.set_exception(error)
    end.exception()  # nobody may be waiting; asyncio would complain that it was never looked at
