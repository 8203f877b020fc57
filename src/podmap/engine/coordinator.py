"""What is decided for a whole run: by one process, published in `run.json`, applied by all.

The process that holds the run's lease is its coordinator. It decides from how all trials end; all
others read that every few seconds. What only one process can know, that a trial's pod can never
start, it puts there itself, and the coordinator makes it its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from podmap.aio import KeptRunning, set_within
from podmap.backends.base import Backend
from podmap.clock import iso, utc_now
from podmap.engine.gatekeeper import Role, RunGates
from podmap.engine.io import StoreCalls
from podmap.engine.others import OtherTrials
from podmap.engine.planned import PlannedRun
from podmap.engine.slots import Slots
from podmap.engine.tally import Stop, Tally, decided_about, with_stop
from podmap.engine.timing import TIMING, Timing
from podmap.errors import RecordError, StoreError
from podmap.ledger.run_state import Decisions, RunState
from podmap.names import epoch_time
from podmap.records import Record

log = logging.getLogger(__name__)


class Coordinator:
    """One process's part in what is decided for a run, with the slots and gates it decides on.

    What an earlier activity has left in `run.json` is no order: whoever gets the lease without
    having followed another holder clears it. A holder that follows another one goes on with what
    that has published. A trial that is asked for after a stop lifts it for all: whoever asks
    knows of it. A user's stop and the run's time hold on.

    Attributes:
        slots: This process's slots.
        gates: The gates of the run's attempts; None where there are none, and each process decides.
    """

    def __init__(
        self,
        planned: PlannedRun,
        backend: Backend,
        store: StoreCalls,
        *,
        tally: Tally,
        other_trials: OtherTrials,
        on_limit: Callable[[int], None] = lambda count: None,
        on_state: Callable[[RunState], None] = lambda state: None,
        timing: Timing = TIMING,
        alone: bool = False,
    ) -> None:
        """Nothing is read yet.

        Args:
            planned: The run.
            backend: Where its attempts live.
            store: Makes the calls to the ledger.
            tally: What is known of the run's trials.
            other_trials: Reads how the trials of other processes end.
            on_limit: Called when what was read is applied, with the number of trials that are
                worth being worked on at the same time.
            on_state: Called with what was read, once it is obeyed.
            timing: How long to wait.
            alone: Whether no other process is at work on the run.
        """
        self._ledger = planned.ledger
        self._planned = planned.manifest.planned
        self._parallelism = planned.sweep.parallelism
        self._store = store
        self._other_trials = other_trials
        self._on_limit, self._on_state = on_limit, on_state
        self._timing = timing
        self._own: Counter[int] = Counter()
        self._followed = self._leads = False
        self._published = Decisions(self._planned)
        self._since = ""
        self._expected = ""  # the stop that the coordinator has left in run.json
        self._left = ""  # the stop that was there at first
        self._order: Stop | None = None
        self._others, self._withdrawn = False, set[str]()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Lock()
        self._task: KeptRunning | None = None
        self._trouble, self._read_s = "", 0.0
        self.gates = self._make_gates(planned, backend)
        self.slots = self._make_slots(backend, tally, planned.manifest.run_id)
        self._publishes = self.gates is not None or not alone

    def _make_gates(self, planned: PlannedRun, backend: Backend) -> RunGates | None:
        gates = backend.gates(planned.manifest.run_id)
        if gates is None:
            return None
        return RunGates(
            backend,
            gates,
            parallelism=self._parallelism,
            most_ready=planned.most_ready,
            on_role=self._changed.set,
            on_open=self._note_opened,
            timing=self._timing,
        )

    def _make_slots(self, backend: Backend, tally: Tally, run_id: str) -> Slots:
        return Slots(
            backend,
            parallelism=self._parallelism,
            tally=tally,
            spare=self.gates.spare if self.gates else lambda: 0,
            unstarted_names=lambda: backend.unstarted(run_id),
            on_change=self._publish_soon,
            timing=self._timing,
        )

    async def start(self, state: RunState, *, alive: Iterable[str]) -> None:
        """Begins to read and to publish.

        Args:
            state: The run's state, just read.
            alive: Names of the run's attempts that are alive.

        Raises:
            BackendError: The backend could not be asked.
        """
        if self.gates is not None:
            await self.gates.start()
        self.slots.adopt(alive)
        self._left = state.decided.stop
        self._note_published(state)
        self._apply(state, self._role)
        self._task = KeptRunning("what is decided for the run", self._run)

    @property
    def limit(self) -> int:
        """How many trials are worth being worked on at the same time."""
        return self.slots.parallelism + (self.gates.spare() if self.gates else 0)

    @contextlib.contextmanager
    def running_trial(self, number: int) -> Iterator[None]:
        """While the body runs, this process itself sees how the trial goes."""
        self._own[number] += 1
        try:
            yield
        finally:
            self._own[number] -= 1
            if not self._own[number]:
                del self._own[number]

    def count_record(self, record: Record) -> None:
        """Counts how one of this process's trials stands."""
        self._other_trials.mark_seen(record)
        self.slots.count_record(record)

    async def stop(self, reason: str) -> str:
        """Stops the run in all its processes; the reason for which it is stopped now.

        Args:
            reason: Why; where another process was first, its reason stands.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        async with self._stopping:
            standing = self.slots.stopped_reason
            if not standing:
                stop = await self._store.call_urgent(self._write_stop, reason)
                self.slots.adopt_stop(stop)
                self._expected = standing = stop.reason
        return standing

    async def lift_stop_for(self, epoch: str) -> None:
        """Lifts the run's stop if a trial was asked for after it, as far as the epoch tells.

        Args:
            epoch: Which asking it is.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        asked = iso(at) if (at := epoch_time(epoch)) else ""
        if self._is_lifted_by(asked):
            async with self._stopping:
                if self._is_lifted_by(asked):
                    await self._lift_stop(asked)

    def _is_lifted_by(self, asked: str) -> bool:
        published = self._published
        stops = self.slots.stops + ([Stop.published(published)] if published.stop else [])
        return bool(stops) and not any(stop.holds(asked) for stop in stops)

    async def _lift_stop(self, asked: str) -> None:
        def change(state: RunState) -> Mapping[str, Any]:
            current = self._current(state)
            if self._is_outdated(state) or (current.stop and Stop.published(current).holds(asked)):
                return {}
            return {"decided": replace(with_stop(current, None), since=max(current.since, asked))}

        if self.gates is None:
            self.slots.lift_stops(asked)
            return
        state = await self._store.call_urgent(self._ledger.change_state, change)
        self._note_published(state)
        self._apply(state, self._role)

    async def close(self) -> None:
        """Publishes what is not yet, reads no more, and lets another process decide."""
        self.slots.close()
        if self._task is not None:
            await self._task.close()
            if self._has_unpublished:
                try:
                    await self._publish()
                except (StoreError, RecordError) as error:
                    log.warning("not published for the run's other processes: %s", error)
        if self.gates is not None:
            await self.gates.close()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._update(self._role)
                self._trouble = ""
            except (StoreError, RecordError) as error:
                if str(error) != self._trouble:
                    log.warning("what is decided for the run is not known: %s", error)
                self._trouble = str(error)
            least_s = self._timing.read_share * self._read_s
            await set_within(self._changed, max(self._timing.read_state_s, least_s))

    async def _update(self, role: Role) -> None:
        """Reads what is published, applies it, and publishes what was decided here."""
        began = time.monotonic()
        try:
            state = await self._store.call_urgent(self._ledger.read_state)
        except RecordError:
            if role is not Role.COORDINATOR:
                raise  # whatever the coordinator changes, the file is begun anew
            state = await self._store.call_urgent(self._ledger.change_state, lambda _: {})
        self._read_s = time.monotonic() - began
        self._note_published(state)
        self._obey(state)  # at once: there may be many records to read first
        if role is Role.COORDINATOR:
            await self._count_other_trials()
            self._adopt_decisions(self._published)
        else:
            self._leads = False
        self._followed = self._followed or role is Role.FOLLOWER
        self._apply(state, role)
        if self._has_unpublished:
            await self._publish()

    @property
    def _role(self) -> Role:
        return self.gates.role if self.gates is not None else Role.UNKNOWN

    def _current(self, state: RunState) -> Decisions:
        return decided_about(state, self._planned, lifted=self._since)

    def _is_outdated(self, state: RunState) -> bool:
        """Whether the run was planned anew since: what is decided here is not about that."""
        return state.decided.planned > self._planned

    def _note_published(self, state: RunState) -> None:
        self._published = self._current(state)
        if self._published.since > self._since:
            self._since = self._published.since
            self._order, self._expected = None, ""
            self.slots.lift_stops(self._since)

    def _adopt_decisions(self, published: Decisions) -> None:
        """Makes this process's own what another one has put into `run.json`."""
        if self._leads or self._followed:
            if published.stop not in ("", self._expected) and self._decision() is None:
                self.slots.adopt_stop(Stop.published(published))
        else:
            self._expected = published.stop
        self._leads = True

    def _apply(self, state: RunState, role: Role) -> None:
        """Has slots and gates keep to what was decided, here, elsewhere or by a user."""
        current = self._current(state)
        self.slots.tally.learn_memory(current.memory)
        if role is not Role.UNKNOWN:
            follows = role is Role.FOLLOWER and current.stop
            self._order = Stop.published(current) if follows else None
        elif current.lasts and current.stop != self._left:
            self._order = Stop.published(current)
        self._obey(state)
        self.slots.end_unstarted()
        self._withdraw_outgrown()
        self._on_limit(self.limit)

    def _obey(self, state: RunState) -> None:
        """Has slots and gates keep to what a user or another process says."""
        self.slots.apply_orders(
            Stop.steered(state) or self._order,
            parallelism=self._parallelism if state.parallelism is None else state.parallelism,
            paused=state.paused,
        )
        self._limit_gates()
        self._on_state(state)

    def _limit_gates(self) -> None:
        if self.gates is not None:
            self.gates.set_limit(self.slots.parallelism, halted=self.slots.halted)

    def _withdraw_outgrown(self) -> None:
        """Has those of this process's gated attempts made anew that have too little memory."""
        tally = self.slots.tally
        if self.gates is None or not tally.memory or self.slots.stopped_reason:
            return
        for gated in self.gates.gated_attempts():
            own = gated.number in self._own and gated.name not in self._withdrawn
            small = own and (gated.memory_bytes or math.inf) < tally.memory_needed(gated.number)
            if small and self.slots.withdraw(gated.name):
                self._withdrawn.add(gated.name)  # once: an admission may lower what is asked for

    async def _count_other_trials(self) -> None:
        tally = self.slots.tally
        counts = self.gates is not None and tally.needs_other_trials
        if counts and (self._others or self._followed):
            read, own = self._other_trials.read_new, set(self._own)
            again = tally.failed - own if tally.stop is not None else ()
            for record in await self._store.call(lambda: read(own=own, again=again)):
                self.slots.count_record(record)

    def _note_opened(self, number: int) -> None:
        self._others = self._others or number not in self._own

    def _publish_soon(self) -> None:
        """Follows a change of the slots or the tally at once, and has it published soon."""
        self._limit_gates()
        self._withdraw_outgrown()
        if self._has_unpublished:
            self._changed.set()

    def _decision(self) -> Stop | None:
        return self.slots.own_stop or self.slots.tally.stop

    def _report(self) -> Stop | None:
        """The stop that this process tells of though it does not lead, a reached target first."""
        return self.slots.tally.reached or (self.slots.own_stop if self.gates else None)

    @property
    def _has_unpublished(self) -> bool:
        return self._publishes and self._wanted(self._published) != self._published

    def _wanted(self, published: Decisions) -> Decisions:
        """What `run.json` should have, as far as it is this process's to say."""
        if not self._leads:
            stop = self._report()
            return published if stop is None or published.stop else with_stop(published, stop)
        stop = self._decision()
        if stop is None and published.stop not in ("", self._expected):
            stop = Stop.published(published)  # came just now: it is adopted at the next update
        memory = {**published.memory, **self.slots.tally.memory}
        return replace(with_stop(published, stop), memory=memory)

    async def _publish(self) -> None:
        decision = self._decision()

        def change(state: RunState) -> Mapping[str, Any]:
            current = self._current(state)
            if self._is_outdated(state) or current.since > self._since:
                return {}
            wanted = self._wanted(current)
            return {} if wanted == current else {"decided": wanted}

        state = await self._store.call_urgent(self._ledger.change_state, change)
        self._published = self._current(state)
        if self._leads:
            self._expected = decision.reason if decision else ""

    def _write_stop(self, reason: str) -> Stop:
        """The stop of the run: for this reason, if there is no other."""
        stop = Stop(reason, at=iso(utc_now()))
        if self.gates is None:
            return stop
        trusted = self._leads or self._followed or self._role is Role.FOLLOWER

        def change(state: RunState) -> Mapping[str, Any]:
            current = self._current(state)
            if self._is_outdated(state) or (current.stop and trusted):
                return {}
            return {"decided": with_stop(current, stop)}

        current = self._current(self._ledger.change_state(change))
        return Stop.published(current) if current.stop else stop
