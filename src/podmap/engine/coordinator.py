"""What is decided for a whole run: who may start, and when nobody may any more."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Iterable

from podmap.backends.base import Backend
from podmap.engine.spawning import spawn
from podmap.errors import BackendError, PodmapError
from podmap.records import Category, Diagnosis, Record, TrialState

log = logging.getLogger(__name__)

ASK_AGAIN_S = 2.0
KILL_GRACE_S = 10.0


class RunStoppedError(PodmapError):
    """The run starts no more attempts; the text says why."""


class Slot:
    """The right to run one attempt: bind it to the attempt, or give it back."""

    def __init__(self, coordinator: Coordinator, *, waited: bool) -> None:
        self._coordinator = coordinator
        self._open = True
        self.waited = waited

    def bind(self, name: str) -> None:
        """The attempt was created: the slot is its own until it has ended."""
        if self._open:
            self._open = False
            self._coordinator._bind(name)

    def give_back(self) -> None:
        """No attempt was created; does nothing once bound."""
        if self._open:
            self._open = False
            self._coordinator._unbind()


class Coordinator:
    """The slots and budgets of one run, within one process and event loop.

    A slot belongs to a living attempt, not to who asked for it: it is given back when the backend
    says that the attempt has ended, also when the trial's own task is gone by then. Waiting trials
    get slots in the order of their numbers.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        parallelism: int,
        allowed_failures: int | None = None,
        cancel_on_failures: bool = False,
        failures: int = 0,
    ) -> None:
        """Makes a coordinator with all slots free.

        Args:
            backend: Where the attempts live.
            parallelism: Attempts alive at once.
            allowed_failures: Trials that may end FAILED; None for any number.
            cancel_on_failures: Whether running attempts are ended when more fail.
            failures: Trials that have ended FAILED already.
        """
        self._backend = backend
        self._parallelism = parallelism
        self._allowed_failures = allowed_failures
        self._cancel_on_failures = cancel_on_failures
        self._failures = failures
        self._alive: set[str] = set()
        self._unbound = 0  # slots of trials whose attempt is not created yet
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._ticket = itertools.count()
        self._timers: list[asyncio.TimerHandle] = []
        self.stopped_reason = ""
        self.interrupted = False
        self._check_failures()

    @property
    def alive(self) -> int:
        """How many attempts hold a slot."""
        return len(self._alive)

    @property
    def full(self) -> bool:
        """Whether the next `acquire` has to wait."""
        taken = len(self._alive) + self._unbound
        return bool(self._waiting) or taken >= self._parallelism

    def adopt(self, names: Iterable[str]) -> None:
        """Counts attempts that are alive already, even if they are more than the slots."""
        for name in names:
            if name not in self._alive:
                self._alive.add(name)
                spawn(self._release_at_end(name))

    async def acquire(self, *, order: int) -> Slot:
        """A slot, once there is a free one and no trial of a lower order waits.

        Raises:
            RunStoppedError: The run starts no more attempts.
        """
        if self.stopped_reason:
            raise RunStoppedError(self.stopped_reason)
        if not self.full:
            self._unbound += 1
            return Slot(self, waited=False)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (order, next(self._ticket), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._unbound -= 1
                self._hand_out()
            raise
        return Slot(self, waited=True)

    def _hand_out(self) -> None:
        while self._waiting and len(self._alive) + self._unbound < self._parallelism:
            *_, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._unbound += 1
                turn.set_result(None)

    def _bind(self, name: str) -> None:
        self._unbound -= 1
        self.adopt([name])
        self._hand_out()

    def _unbind(self) -> None:
        self._unbound -= 1
        self._hand_out()

    async def _release_at_end(self, name: str) -> None:
        while True:
            try:
                await self._backend.wait(name)
                break
            except BackendError as error:
                log.warning("cannot ask about %s, its slot stays taken: %s", name, error)
                await asyncio.sleep(ASK_AGAIN_S)
        self._alive.discard(name)
        self._hand_out()

    def settled(self, record: Record) -> None:
        """Takes note of a trial that ended."""
        if record.state is TrialState.FAILED:
            self._failures += 1
            self._check_failures()

    def _check_failures(self) -> None:
        if self._allowed_failures is not None and self._failures > self._allowed_failures:
            self.stop(
                f"{self._failures} trials failed, {self._allowed_failures} were allowed "
                "(failures.allow)",
                cancel=self._cancel_on_failures,
            )

    def stop_after(self, seconds: float, reason: str, *, cancel: bool) -> None:
        """Stops the run when a time has passed."""
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(max(0.0, seconds), self._stop_now, reason, cancel))

    def _stop_now(self, reason: str, cancel: bool) -> None:
        self.stop(reason, cancel=cancel)

    def stop(self, reason: str, *, cancel: bool) -> None:
        """Starts no more attempts; with `cancel`, ends those that run."""
        if not self.stopped_reason:
            self.stopped_reason = reason
            while self._waiting:
                *_, turn = heapq.heappop(self._waiting)
                if not turn.done():
                    turn.set_exception(RunStoppedError(reason))
        if cancel:
            for name in list(self._alive):
                spawn(self._kill(name))

    def interrupt(self, reason: str) -> None:
        """Ends what runs and starts no more, but leaves all that has not ended to be resumed."""
        self.interrupted = True
        self.stop(reason, cancel=True)

    async def _kill(self, name: str) -> None:
        reason = Diagnosis(Category.CANCELLED, self.stopped_reason)
        try:
            await self._backend.kill(name, reason=reason, grace_s=KILL_GRACE_S)
        except BackendError as error:
            log.error("%s could not be ended: %s", name, error)

    def close(self) -> None:
        """Forgets the timers; attempts go on."""
        for timer in self._timers:
            timer.cancel()
