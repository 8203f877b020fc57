"""One run in one process: what its trials share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.backends.base import Backend, Confirm, Launch, Observation, Phase
from podmap.clock import parse_iso, utc_now
from podmap.engine.coordinator import Coordinator
from podmap.engine.events import RunEvents
from podmap.engine.io import StoreCalls
from podmap.engine.others import OtherTrials
from podmap.engine.slots import Slots
from podmap.engine.tally import Tally
from podmap.engine.timing import TIMING, Timing
from podmap.records import Attempt, Category, TrialState
from podmap.spec.template import memory_of

if TYPE_CHECKING:
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.run_state import RunState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
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
    """

    planned: PlannedRun
    backend: Backend
    coordinator: Coordinator
    store: StoreCalls
    events: RunEvents
    timing: Timing = TIMING
    alone: bool = False
    left: frozenset[int] = frozenset()

    @property
    def slots(self) -> Slots:
        """The run's slots in this process."""
        return self.coordinator.slots

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a call that reads or writes the store, off the event loop if it may be long."""
        return await self.store.call(function, *args)

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

    async def remove_attempt(self, attempt: Attempt) -> None:
        """Removes what is left of an attempt whose end is in the ledger, unless it is to be kept.

        Raises:
            BackendError: The backend could not be asked.
        """
        if self._keeps(attempt):
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
        await self.coordinator.close()


async def open_session(
    planned: PlannedRun,
    backend: Backend,
    store: StoreCalls,
    *,
    alone: bool = False,
    events: RunEvents | None = None,
    on_limit: Callable[[int], None] = lambda count: None,
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
        timing: How long to wait for what.

    Raises:
        StoreError: The ledger cannot be read.
        RecordError: A record cannot be understood.
        BackendError: The backend cannot be asked what is alive.
    """
    known = await store.call(_read, planned)
    found = await backend.list(planned.manifest.run_id)
    coordinator = Coordinator(
        planned,
        backend,
        store,
        tally=_tally(planned, known.failed),
        other_trials=OtherTrials(planned.ledger, known.attempts),
        on_limit=on_limit,
        timing=timing,
    )
    alive = [seen.name for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING)]
    await coordinator.start(known.state, alive=alive)
    _limit_time(coordinator.slots, planned)
    return RunSession(
        planned=planned,
        backend=backend,
        coordinator=coordinator,
        store=store,
        events=events or RunEvents(),
        timing=timing,
        alone=alone and coordinator.gates is None,
        left=frozenset(seen.number for seen in found),
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """What the ledger says of a run at the start of a session."""

    attempts: dict[int, int]
    failed: dict[int, str]
    state: RunState


def _read(planned: PlannedRun) -> _Read:
    ledger = planned.ledger
    state = ledger.read_state()
    return _Read(
        attempts=dict(ledger.last_attempts()),  # before the records, so that none is missed
        failed=dict(_failures(planned, state)) if planned.sweep.failures else {},
        state=state,
    )


def _failures(planned: PlannedRun, state: RunState) -> Iterator[tuple[int, str]]:
    """The trials whose failures count, and when they failed.

    Those from before the run was planned, or from before a time that was forgiven, do not.
    """
    at, decided = planned.manifest.planned, state.decided
    since = max(at, decided.since if decided.planned == at else "")
    for record in planned.ledger.records():
        if record.state is TrialState.FAILED and (record.finished or "") >= since:
            yield record.number, record.finished or ""


def _tally(planned: PlannedRun, failed: dict[int, str]) -> Tally:
    plan, failures = planned.plan, planned.sweep.failures
    return Tally(
        allowed_failures=failures.allow.limit(plan.count) if failures else None,
        cancel=failures is not None and failures.on_exceed == "cancel",
        failed=failed,
        oom=planned.sweep.retries.oom,
        memory_of=lambda number: memory_of(planned.template(plan.trial(number))),
    )


def _limit_time(slots: Slots, planned: PlannedRun) -> None:
    budget, manifest = planned.sweep.budget, planned.manifest
    if budget is not None and budget.wall is not None:
        since = parse_iso(manifest.planned or manifest.created)
        slots.stop_after(
            budget.wall - (utc_now() - since).total_seconds(),
            "the run's time is over (budget.wall)",
            cancel=budget.on_exceed == "cancel",
        )
