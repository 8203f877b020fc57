"""One run in one process: what its trials share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.aio import KeptRunning, Turns
from podmap.backends.base import Backend, Confirm, Observation, Phase
from podmap.backends.launch import Launch
from podmap.engine.budget_tally import count_until_spent
from podmap.engine.coordinator import Coordinator
from podmap.engine.events import AttemptReported, RunEvents
from podmap.engine.io import StoreCalls
from podmap.engine.orders import Orders
from podmap.engine.others import OtherTrials
from podmap.engine.proposals import Learner, Proposals
from podmap.engine.pruner import Pruner
from podmap.engine.slots import Slots
from podmap.engine.tally import TIME_IS_OVER, Tally
from podmap.engine.timing import TIMING, Timing
from podmap.ledger.store_errors import log_left_out
from podmap.records import Attempt, Category, Record, Trial

if TYPE_CHECKING:
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.run_state import RunState

T = TypeVar("T")

BEGIN_IN_A_TURN = 8
"""To find out what a trial is takes the loop about a millisecond."""


@dataclass(frozen=True, slots=True, eq=False)
class RunSession:
    """One run in one process and event loop.

    Attributes:
        planned: What the run is.
        backend: What runs the attempts.
        coordinator: What is decided for the run, in all its processes.
        store: Makes the calls that read and write the store.
        events: Tells subscribers what happens in the run.
        timing: How long to wait for what.
        alone: Whether no other process can be at work on the run.
        left: Numbers of the trials of which there were attempts when the session was opened.
        pruner: Ends hopeless trials early; None if the spec does not ask for it.
        turns: Has a few trials begin in a turn of the event loop.
        counting: Counts the GPU-hours of what runs, where they are limited.
        proposals: What the search proposes; None where it does not learn.
    """

    planned: PlannedRun
    backend: Backend
    coordinator: Coordinator
    store: StoreCalls
    events: RunEvents
    timing: Timing = TIMING
    alone: bool = False
    left: frozenset[int] = frozenset()
    pruner: Pruner | None = None
    turns: Turns = field(default_factory=lambda: Turns(BEGIN_IN_A_TURN))
    counting: KeptRunning | None = None
    proposals: Proposals | None = None

    @property
    def slots(self) -> Slots:
        """The run's slots in this process."""
        return self.coordinator.slots

    def count_record(self, record: Record) -> None:
        """Counts how one of this process's trials stands."""
        self.coordinator.count_record(record)
        if self.pruner is not None:
            self.pruner.count_record(record)

    def note_report(self, seen: Observation, step: int, values: Mapping[str, Any]) -> None:
        """Tells what one of this process's attempts reports, and ends it if it is hopeless."""
        self.events.emit(AttemptReported(seen.number, seen.attempt, step, values))
        if self.pruner is not None:
            self.pruner.report(seen.name, seen.number, seen.epoch, step, values)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a call that reads or writes the store, off the event loop if it may be long."""
        return await self.store.call(function, *args)

    async def trial(self, number: int) -> Trial:
        """A trial of the run: from its record, if that is of this plan, else from the search.

        One that a search that learns has not been asked for is an `example`.

        Raises:
            StoreError: The store could not be asked.
            RecordError: The record cannot be understood.
        """
        record = await self.call(self.planned.ledger.read_record, number)
        return self.planned.trial(number, record)

    async def propose(self, number: int) -> Trial:
        """A trial with the params that the search proposes now, to be written before it is run.

        Raises:
            StoreError: The records that the search learns from could not be read.
        """
        if self.proposals is None:
            return self.planned.trial(number)
        return await self.proposals.ask(number)

    def note(self, record: Record) -> None:
        """Tells a search that learns how one of this process's trials stands."""
        if self.proposals is not None:
            self.proposals.note(record)

    async def create_attempt(self, launch: Launch, *, confirm: Confirm) -> Observation:
        """Creates an attempt within the run's limit, however many processes run its trials.

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as there may be.
            WithdrawnError: `confirm` said no.
        """
        if self.alone:  # then the slots count all, and nobody settles anything meanwhile
            return await self.backend.create(launch)
        if self.coordinator.gates is not None:
            return await self.coordinator.gates.create(launch, confirm=confirm)
        return await self.backend.create(launch, limit=self.slots.parallelism, confirm=confirm)

    async def remove_attempt(self, attempt: Attempt, *, keep: bool = False) -> None:
        """Removes what is left of an attempt whose end is in the ledger, unless it is to be kept.

        Args:
            attempt: The attempt.
            keep: Whether it holds what could not be read, so that it is kept in any case.

        Raises:
            BackendError: The backend could not be asked.
        """
        if keep or self._keeps(attempt):
            await self.backend.keep(attempt.pod)
        else:
            await self.backend.delete(attempt.pod)

    def _keeps(self, attempt: Attempt) -> bool:
        wanted = self.planned.sweep.kubernetes.keep_pods
        if attempt.diagnosis is None or wanted == "none":
            return wanted == "all"
        return attempt.diagnosis.category is not Category.CANCELLED

    async def close(self) -> None:
        """Stops watching and lets another process decide for the run; attempts go on."""
        if self.counting is not None:
            await self.counting.close()
        if self.proposals is not None:
            await self.proposals.close()
        if self.pruner is not None:
            await self.pruner.close()
        await self.coordinator.close()


async def open_session(
    planned: PlannedRun,
    backend: Backend,
    store: StoreCalls,
    *,
    alone: bool = False,
    events: RunEvents | None = None,
    on_limit: Callable[[int], None] = lambda count: None,
    on_state: Callable[[RunState], None] = lambda state: None,
    timing: Timing = TIMING,
) -> RunSession:
    """The session of a run, with its living attempts counted.

    Args:
        planned: What the run is.
        backend: What runs the attempts.
        store: Makes the calls that read and write the store.
        alone: Whether no other process can be at work on the run, which saves much looking; not
            for backends with gates.
        events: Tells what happens in the run; None if nobody wants to know.
        on_limit: Called with the number of trials that are worth being worked on at the same
            time, at first and whenever it may have changed.
        on_state: Called with `run.json` whenever it was read, at first too.
        timing: How long to wait for what.

    Raises:
        StoreError: The ledger cannot be read.
        RecordError: A record cannot be understood.
        BackendError: The backend cannot be asked what is alive.
        UsageError: The backend has no room for even one trial.
    """
    told = events or RunEvents()
    known = await store.call(_read, planned, alone)
    found = await backend.list(planned.manifest.run_id)
    coordinator = Coordinator(
        planned,
        backend,
        store,
        tally=known.tally,
        other_trials=OtherTrials(planned.ledger, known.attempts, share=timing.read_share),
        on_limit=on_limit,
        on_state=Orders(told, on_state).note,
        timing=timing,
        alone=alone,
    )
    await _limit_slots(coordinator.slots, planned, backend)
    await coordinator.start(known.state, alive=_alive(found))
    return RunSession(
        planned=planned,
        backend=backend,
        coordinator=coordinator,
        store=store,
        events=told,
        timing=timing,
        alone=alone and coordinator.gates is None,
        proposals=Proposals(Learner(planned, alone=alone)) if planned.plan.learns else None,
        left=frozenset(seen.number for seen in found),
        pruner=await Pruner.open(planned, store, coordinator.slots.prune, timing, alone=alone),
        counting=_count_gpus(coordinator.slots, planned, backend, timing),
    )


def _alive(found: Iterable[Observation]) -> list[str]:
    return [seen.name for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING)]


def _count_gpus(
    slots: Slots, planned: PlannedRun, backend: Backend, timing: Timing
) -> KeptRunning | None:
    gpus = slots.tally.gpus
    if not gpus.given:
        return None

    def end_run() -> None:
        stop = slots.tally.spent
        if stop is not None:
            slots.adopt_stop(stop)

    run_id, every_s = planned.manifest.run_id, timing.read_state_s
    return KeptRunning(
        "counting what is spent",
        lambda: count_until_spent(gpus, backend, run_id, every_s=every_s, on_spent=end_run),
    )


def _stop_in_time(slots: Slots, planned: PlannedRun) -> None:
    left_s, budget = planned.time_left_s, planned.sweep.budget
    if left_s is not None:
        cancel = budget is not None and budget.on_exceed == "cancel"
        slots.stop_after(left_s, TIME_IS_OVER, cancel=cancel)


async def _limit_slots(slots: Slots, planned: PlannedRun, backend: Backend) -> None:
    _stop_in_time(slots, planned)
    most = await backend.most_at_once(planned.most_gpus, wanted=planned.sweep.parallelism)
    if most is not None:
        slots.limit_to(most)


@dataclass(frozen=True, slots=True)
class _Read:
    """What the ledger says of a run at the start of a session."""

    attempts: dict[int, int]
    tally: Tally
    state: RunState


def _read(planned: PlannedRun, alone: bool) -> _Read:
    ledger = planned.ledger
    state = ledger.read_state(on_broken=log_left_out)
    attempts = dict(ledger.last_attempts())  # before the records, so that none is missed
    return _Read(attempts, Tally.of_run(planned, state, asked_anew=alone), state)
