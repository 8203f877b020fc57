"""What holds for a whole run, in all its processes: decided by one, published, obeyed by all.

One process holds the run's lease. It decides from how all trials end, and publishes that in the
ledger's `run.json`; all others read it every few seconds. What only one process can know, that a
trial's pod can never start, it puts there itself, and the one in charge makes it its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, TypeVar

from podmap.aio import set_within, spawn
from podmap.clock import iso, utc_now
from podmap.engine.gatekeeper import Charge, Gate
from podmap.engine.others import Survey
from podmap.engine.slots import Coordinator
from podmap.engine.tally import Stop
from podmap.errors import RecordError, StoreError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_state import Decisions, RunState
from podmap.names import epoch_time
from podmap.records import Record

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 3.0
SHARE = 20
"""The ledger is asked for at most one part in so many of the time."""


class RunWide:
    """One process's part in what is decided for a run.

    What an earlier activity has left in `run.json` is no order: whoever gets the lease without
    having followed another holder clears it. A holder that follows another one goes on with what
    that has published. A trial that is asked for after a stop lifts it for all: whoever asks
    knows of it. A user's stop and the run's time hold on.

    Attributes:
        on_obeyed: Called when what was read has been obeyed.
    """

    def __init__(
        self,
        ledger: Ledger,
        coordinator: Coordinator,
        gate: Gate | None,
        io: Executor,
        *,
        planned: str,
        parallelism: int,
        survey: Survey,
    ) -> None:
        """Nothing is read yet.

        Args:
            ledger: The run's records.
            coordinator: This process's slots.
            gate: Tells who is in charge; None where each process decides for itself.
            io: Threads in which the store is read and written.
            planned: The planning that decisions are about, as in the manifest.
            parallelism: The spec's.
            survey: Finds how the trials of others end.
        """
        self.on_obeyed: Callable[[], None] = lambda: None
        self._ledger = ledger
        self._coordinator = coordinator
        self._gate = gate
        self._io = io
        self._planned = planned
        self._parallelism = parallelism
        self._survey = survey
        self._own: Counter[int] = Counter()
        self._followed = False
        self._leads = False
        self._there = Decisions(planned)
        self._since = ""
        self._expected = ""  # the stop that the one in charge has left in run.json
        self._order: Stop | None = None
        self._others = False
        self._withdrawn: set[str] = set()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    def start(self, state: RunState) -> None:
        """Begins to read and to publish.

        Args:
            state: The run's state, just read.
        """
        self._take_in(state)
        self._obey(state, self._charge)
        self._coordinator.on_change = self._note
        if self._gate is not None:
            self._gate.on_charge = self._changed.set
            self._gate.on_open = self._note_opened
        self._task = spawn(self._keep())

    @contextlib.contextmanager
    def at_work(self, number: int) -> Iterator[None]:
        """While the body runs this process sees itself how a trial goes."""
        self._own[number] += 1
        try:
            yield
        finally:
            self._own[number] -= 1
            if not self._own[number]:
                del self._own[number]

    def settled(self, record: Record) -> None:
        """Takes note of how one of this process's trials stands."""
        self._survey.pass_over(record)
        self._coordinator.settled(record)

    async def stop(self, reason: str) -> str:
        """Stops the run in all its processes; the reason for which it is stopped now.

        Args:
            reason: Why; where another process was first, its reason stands.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        async with self._stopping:
            standing = self._coordinator.stopped_reason
            if not standing:
                shared = self._gate is not None
                put = self._put_stop
                stop = await self._call(put, reason) if shared else Stop(reason, at=_now())
                standing = stop.reason
                self._coordinator.stop(standing, cancel=stop.cancel, at=stop.at)
                self._expected = standing
        return standing

    async def asked_for(self, epoch: str) -> None:
        """Lifts the run's stop if a trial was asked for after it, as far as the epoch tells.

        Args:
            epoch: Which asking it is.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        time_asked = epoch_time(epoch)
        asked = iso(time_asked) if time_asked else ""
        if self._is_lifted_by(asked):
            async with self._stopping:
                if self._is_lifted_by(asked):
                    await self._lift(asked)

    def _is_lifted_by(self, asked: str) -> bool:
        there = self._there
        stops = self._coordinator.stops + ([_stop_of(there)] if there.stop else [])
        return bool(stops) and not any(stop.holds(asked) for stop in stops)

    async def _lift(self, asked: str) -> None:
        def change(state: RunState) -> Mapping[str, Any]:
            there = self._current(state)
            if self._is_outdated(state) or (there.stop and _stop_of(there).holds(asked)):
                return {}
            lifted = replace(there, stop="", cancel=False, at="", since=max(there.since, asked))
            return {"decided": lifted}

        if self._gate is None:
            self._coordinator.lift(asked)
            return
        state = await self._call(self._ledger.change_state, change)
        self._take_in(state)
        self._obey(state, self._charge)

    async def close(self) -> None:
        """Publishes what is not yet, and reads no more."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._has_news:
            try:
                await self._publish()
            except (StoreError, RecordError) as error:
                log.warning("not published for the run's other processes: %s", error)

    async def _call(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._io, function, *args)

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            self._changed.clear()
            try:
                await self._step(self._charge)
                self._trouble = ""
            except (StoreError, RecordError) as error:
                if str(error) != self._trouble:
                    log.warning("what is decided for the run is not known: %s", error)
                self._trouble = str(error)
            took_s = time.monotonic() - began
            await set_within(self._changed, max(LOOK_EVERY_S, SHARE * took_s))

    async def _step(self, charge: Charge) -> None:
        state = await self._call(self._ledger.read_state)
        self._take_in(state)
        if charge is Charge.OURS:
            await self._look_at_others()
            self._take_charge(self._there)
        else:
            self._leads = False
        self._followed = self._followed or charge is Charge.THEIRS
        self._obey(state, charge)
        if self._has_news:
            await self._publish()

    @property
    def _charge(self) -> Charge:
        return self._gate.charge if self._gate is not None else Charge.UNKNOWN

    def _current(self, state: RunState) -> Decisions:
        """What was decided about this planning."""
        decided = state.decided
        if decided.planned != self._planned:
            return Decisions(self._planned)
        since = max(decided.since, self._since)
        if decided.at < since:  # it was read, or written, by one who did not know of the lifting
            return replace(decided, stop="", cancel=False, at="", since=since)
        return decided

    def _is_outdated(self, state: RunState) -> bool:
        """Whether the run was planned anew since: what is decided here is not about that."""
        return state.decided.planned > self._planned

    def _take_in(self, state: RunState) -> None:
        self._there = self._current(state)
        if self._there.since > self._since:
            self._since = self._there.since
            self._order, self._expected = None, ""
            self._coordinator.lift(self._since)

    def _take_charge(self, there: Decisions) -> None:
        """Makes this process's own what another one has put into `run.json`."""
        if self._leads or self._followed:
            if there.stop not in ("", self._expected) and self._decision() is None:
                self._coordinator.stop(there.stop, cancel=there.cancel, at=there.at)
        else:
            self._expected = there.stop
        self._leads = True

    def _obey(self, state: RunState, charge: Charge) -> None:
        there = self._current(state)
        self._coordinator.tally.learn(there.memory)
        if charge is not Charge.UNKNOWN:
            theirs = charge is Charge.THEIRS and there.stop
            self._order = _stop_of(there) if theirs else None
        self._coordinator.obey(
            Stop(state.stopped, lasts=True) if state.stopped else self._order,
            parallelism=self._parallelism if state.parallelism is None else state.parallelism,
            paused=state.paused,
        )
        self._regulate()
        self._coordinator.end_unstarted()
        self._withdraw_outgrown()
        self.on_obeyed()

    def _regulate(self) -> None:
        if self._gate is not None:
            self._gate.allow(self._coordinator.parallelism, halted=self._coordinator.halted)

    def _withdraw_outgrown(self) -> None:
        """Has those made anew, of this process's that stand ready, that have too little memory."""
        tally = self._coordinator.tally
        if self._gate is None or not tally.memory or self._coordinator.stopped_reason:
            return
        for held in self._gate.waiting():
            mine = held.number in self._own and held.name not in self._withdrawn
            small = mine and (held.memory_bytes or math.inf) < tally.memory_needed(held.number)
            if small and self._coordinator.withdraw(held.name):
                self._withdrawn.add(held.name)  # once: an admission may lower what is asked for

    async def _look_at_others(self) -> None:
        tally, gate = self._coordinator.tally, self._gate
        if gate is None or not tally.asks_others:
            return
        if self._others or self._followed:
            own = set(self._own)
            again = tally.failed - own if tally.stop is not None else ()
            for record in await self._call(lambda: self._survey.look(own=own, again=again)):
                self._coordinator.settled(record)

    def _note_opened(self, number: int) -> None:
        self._others = self._others or number not in self._own

    def _note(self) -> None:
        """Something has changed here."""
        self._regulate()
        self._withdraw_outgrown()
        if self._has_news:
            self._changed.set()

    def _decision(self) -> Stop | None:
        return self._coordinator.own_stop or self._coordinator.tally.stop

    @property
    def _has_news(self) -> bool:
        return self._gate is not None and self._wanted(self._there) != self._there

    def _wanted(self, there: Decisions) -> Decisions:
        """What `run.json` should have, as far as it is this process's to say."""
        if not self._leads:
            stop = self._coordinator.own_stop
            return there if stop is None or there.stop else _with(there, stop)
        stop = self._decision()
        if stop is None and there.stop not in ("", self._expected):
            stop = _stop_of(there)  # came just now: to be taken in next time
        memory = {**there.memory, **self._coordinator.tally.memory}
        return replace(_with(there, stop), memory=memory)

    async def _publish(self) -> None:
        decision = self._decision()

        def change(state: RunState) -> Mapping[str, Any]:
            there = self._current(state)
            if self._is_outdated(state) or there.since > self._since:
                return {}
            wanted = self._wanted(there)
            return {} if wanted == there else {"decided": wanted}

        self._there = self._current(await self._call(self._ledger.change_state, change))
        if self._leads:
            self._expected = decision.reason if decision else ""

    def _put_stop(self, reason: str) -> Stop:
        """The stop of the run: for this reason, if there is no other."""
        stop = Stop(reason, at=_now())
        trusted = self._leads or self._followed or self._charge is Charge.THEIRS

        def change(state: RunState) -> Mapping[str, Any]:
            there = self._current(state)
            if self._is_outdated(state) or (there.stop and trusted):
                return {}
            return {"decided": _with(there, stop)}

        there = self._current(self._ledger.change_state(change))
        return _stop_of(there) if there.stop else stop


def _stop_of(there: Decisions) -> Stop:
    return Stop(there.stop, there.cancel, there.at)


def _with(there: Decisions, stop: Stop | None) -> Decisions:
    if stop is None:
        return replace(there, stop="", cancel=False, at="")
    return replace(there, stop=stop.reason, cancel=stop.cancel, at=stop.at)


def _now() -> str:
    return iso(utc_now())
