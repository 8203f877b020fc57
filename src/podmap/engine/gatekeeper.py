"""The hard limit of a run whose attempts wait at gates: which gates are opened, by whom, and when.

Any number of processes create attempts of a run, each held back by a gate. Of these processes one
holds the run's lease and is its coordinator; it alone opens gates.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
from collections.abc import Callable, Sequence

from podmap.aio import Backoff, KeptRunning, set_within, spawn
from podmap.backends.base import Backend, Confirm, GatedAttempt, Observation, RunLease, SlotGates
from podmap.backends.launch import Launch
from podmap.engine.timing import TIMING, Timing
from podmap.errors import BackendError, ConflictError

log = logging.getLogger(__name__)

OPEN_LIMIT_S = 5.0
"""How long one opening of a gate may take; less when less is left of the lease."""
OPEN_AT_ONCE = 16
"""So many openings are sent at once: more would wait in the server's queue, on their time."""
MARGIN_S = 1.0
"""An opening must be over so long before the lease may pass to another."""


class Gatekeeper:
    """Opens gates while this process holds the run's lease.

    At no time are more than `parallelism` attempts of the run open and unfinished, whoever created
    them and whatever dies:

    - Opened counts from the moment the request is sent, not from when the watch shows it, and for
      as long as it is not known how the request ended.
    - After getting the lease a consistent list comes first: what the holder before has opened
      may not have been seen yet.
    - A request never outlives the lease, and opens only what is still as it was seen, so that a
      late one cannot add to what the next holder opens.

    Where leases are forbidden, every process keeps the gates for itself: then the limit holds as
    long as one process runs the trials.
    """

    def __init__(
        self,
        gates: SlotGates,
        *,
        parallelism: int,
        on_open: Callable[[int], None] = lambda number: None,
        timing: Timing = TIMING,
    ) -> None:
        """Opens nothing yet.

        Args:
            gates: The run's attempts.
            parallelism: Attempts open and unfinished at once.
            on_open: Called with the trial's number before a gate is opened.
            timing: How long to wait.
        """
        self._gates = gates
        self._on_open = on_open
        self._parallelism = parallelism
        self._timing = timing
        self._sent: set[str] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(OPEN_AT_ONCE)
        self._closing = False
        self._term = 0
        self._changed = asyncio.Event()
        self._not_before = -math.inf

    def set_limit(self, parallelism: int) -> None:
        """Changes how many attempts may be open; those that are too many go on."""
        if parallelism != self._parallelism:
            self._parallelism = parallelism
            self.check_soon()

    def check_soon(self) -> None:
        """Has the gates looked at again: an attempt has changed, or the lease was got or lost."""
        self._changed.set()

    async def run(self, lease: RunLease) -> None:
        """Opens gates while the lease is held, until it is cancelled.

        Args:
            lease: The run's lease; call `check_soon` when it was got or lost.
        """
        self._lease = lease
        end = self._gates.subscribe(self.check_soon)
        try:
            while True:
                if self._may_open and await self._begin_term():
                    while self._may_open:
                        self._open_free()
                        await self._next_change()
                else:
                    await self._next_change()
        finally:
            end()

    @property
    def _may_open(self) -> bool:
        return self._lease.held or self._lease.forbidden

    async def _begin_term(self) -> bool:
        """Lists the attempts as they are since the lease was got; whether it is still held then."""
        # The requests of the term before are over, so the list shows what they did. Openings that
        # still wait for their turn belong to that term, and are not sent any more.
        self._sent.clear()
        self._term += 1
        backoff = self._backoff()
        while self._may_open:
            try:
                await self._gates.relist()
                return self._may_open
            except BackendError as error:
                log.warning("the run's attempts could not be listed: %s", error)
                await backoff.pause()
        return False

    async def finish_openings(self) -> None:
        """Begins no more openings, and returns once all that were begun are over."""
        self._closing = True
        while self._opening:
            await asyncio.wait(self._opening)

    async def _next_change(self) -> None:
        await set_within(self._changed, self._timing.check_gates_s)
        self._changed.clear()

    def _backoff(self) -> Backoff:
        return Backoff(self._timing.first_gate_pause_s, self._timing.longest_gate_pause_s)

    def _open_free(self) -> None:
        """Begins to open as many gates as there are free slots, lowest numbers first."""
        # What is shown as open, or is not alive any more, needs no memory of having been sent.
        self._sent = {name for name in self._sent if self._waits(name)}
        free = self._parallelism - self._gates.opened() - len(self._sent)
        if free <= 0 or asyncio.get_running_loop().time() < self._not_before:
            return  # so it is at most changes: nothing is gone through for them
        attempts = (each for each in self._gates.attempts() if each.alive and each.gated)
        waiting = [each for each in attempts if each.openable and each.name not in self._sent]
        for attempt in sorted(waiting, key=lambda a: (a.number, a.name))[:free]:
            self._sent.add(attempt.name)
            self._on_open(attempt.number)
            opening = spawn(self._open(attempt, self._term))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def _open(self, attempt: GatedAttempt, term: int) -> None:
        """Opens one gate: tries until it is known how a try ended, or the lease is lost."""
        backoff = self._backoff()
        while True:
            try:
                await self._send(attempt, term)
                return  # it stays counted until the watch shows it
            except ConflictError:
                current = self._current(attempt.name)
                if current is None or not current.gated:
                    break
                pause_s = backoff.next_s()
                if current.resource_version == attempt.resource_version:
                    await asyncio.sleep(pause_s)  # the watch does not show the change yet
                attempt = current
            except (BackendError, asyncio.TimeoutError) as error:
                if getattr(error, "forbidden", False):
                    self._wait_for_right(error)
                    break  # it was not carried out
                log.warning("not known whether %s was let go: %r", attempt.name, error)
                if self._closing:
                    await asyncio.sleep(OPEN_LIMIT_S)  # so long the server may still carry it out
                    return
                await backoff.pause()
                attempt = self._current(attempt.name) or attempt
        self._sent.discard(attempt.name)
        self._changed.set()

    def _wait_for_right(self, error: BaseException) -> None:
        """Has no gate tried for a while: the right to open them is missing."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._not_before:
            log.warning("no attempt is let go: %s", error)
        self._not_before = loop.time() + self._timing.longest_pause_s

    async def _send(self, attempt: GatedAttempt, term: int) -> None:
        """Opens a gate as it was seen, unless that is not this term's to do any more.

        Raises:
            ConflictError: Nothing was done: it has changed or is gone, or too little is left of
                the lease.
            BackendError: It is not known whether it was opened; TimeoutError likewise.
        """
        async with self._turns:  # what waits for its turn has not been sent
            if term != self._term or self._closing:
                return
            limit_s = OPEN_LIMIT_S
            if not self._lease.forbidden:
                limit_s = min(limit_s, self._lease.remaining_s - MARGIN_S)
            if not self._may_open or limit_s <= 0:
                raise ConflictError("too little is left of the lease")
            await asyncio.wait_for(self._gates.open(attempt, limit_s=limit_s), limit_s)

    def _current(self, name: str) -> GatedAttempt | None:
        attempt = self._gates.attempt(name)
        return attempt if attempt is not None and attempt.alive else None

    def _waits(self, name: str) -> bool:
        attempt = self._current(name)
        return attempt is not None and attempt.gated


class Role(enum.Enum):
    """What a process is in a run that several may work on."""

    COORDINATOR = "coordinator"
    FOLLOWER = "follower"
    UNKNOWN = "unknown"


READY_SHARE = 2
"""One attempt stands ready for so many slots: trials that began together often end together."""


class RunGates:
    """The gates of one run as this process has them, with its gatekeeper and the run's lease."""

    def __init__(
        self,
        backend: Backend,
        gates: SlotGates,
        *,
        parallelism: int,
        most_ready: int,
        on_role: Callable[[], None] = lambda: None,
        on_open: Callable[[int], None] = lambda number: None,
        timing: Timing = TIMING,
    ) -> None:
        """Nothing runs yet.

        Args:
            backend: Where the attempts live.
            gates: The gates of the run's attempts.
            parallelism: Attempts open and unfinished at once.
            most_ready: How many attempts may stand ready at their gates.
            on_role: Called whenever the lease was got or lost.
            on_open: Called with the trial's number before a gate is opened, whoever made the
                attempt.
            timing: How long to wait.
        """
        self._backend = backend
        self._most_ready = most_ready
        self._parallelism = parallelism
        self._gates = gates
        self._gatekeeper = Gatekeeper(
            gates, parallelism=parallelism, on_open=on_open, timing=timing
        )
        self._on_role = on_role
        self._lease: RunLease | None = None
        self._task: KeptRunning | None = None

    async def start(self) -> None:
        """Begins to try for the lease, and to open gates while it is held.

        Raises:
            BackendError: The backend could not be asked.
        """
        lease = self._lease = await self._gates.lease(self._lease_changed)
        self._task = KeptRunning("letting attempts go", lambda: self._gatekeeper.run(lease))
        lease.start()

    def _lease_changed(self) -> None:
        self._gatekeeper.check_soon()
        self._on_role()

    @property
    def role(self) -> Role:
        """What this process is in the run now."""
        if self._lease is None:
            return Role.UNKNOWN
        if self._lease.held or self._lease.forbidden:
            return Role.COORDINATOR
        return Role.FOLLOWER if self._lease.held_by_other else Role.UNKNOWN

    def gated_attempts(self) -> Sequence[GatedAttempt]:
        """The attempts that wait at their gates."""
        return [each for each in self._gates.attempts() if each.alive and each.gated]

    def set_limit(self, parallelism: int, *, halted: bool) -> None:
        """Changes how many attempts may be open.

        Args:
            parallelism: Attempts open and unfinished at once.
            halted: Whether none are opened any more, for now or for good.
        """
        self._parallelism = parallelism
        self._gatekeeper.set_limit(0 if halted else parallelism)

    def spare(self) -> int:
        """How many attempts more than there are slots may stand ready at their gates."""
        if self._backend.short_of_quota:
            return 0
        return min(self._most_ready, max(1, self._parallelism // READY_SHARE))

    async def create(self, launch: Launch, *, confirm: Confirm) -> Observation:
        """Creates an attempt that waits at its gate.

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            WithdrawnError: `confirm` said no.
        """
        return await self._backend.create(launch, confirm=confirm, gated=True)

    async def close(self) -> None:
        """Opens no more gates and lets another process do it at once."""
        if self._task is not None:
            await self._task.close()
        await self._gatekeeper.finish_openings()
        if self._lease is not None:
            await self._lease.close()
