"""One run in one process: what its trials share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.backends.base import Backend, Confirm, Launch, Observation, Phase
from podmap.clock import parse_iso, utc_now
from podmap.engine.coordinator import RunWide
from podmap.engine.gatekeeper import Gate
from podmap.engine.io import Shortcut
from podmap.engine.others import Survey
from podmap.engine.slots import Coordinator
from podmap.engine.tally import Tally
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
        coordinator: The run's slots and budgets.
        runwide: What is decided for the run in all its processes.
        io: The bounded pool in which the store is read and written.
        shortcut: How calls to the store go without that pool; None if they never do.
        gate: Lets attempts run that wait at a gate; None where the backend has no gates.
        alone: Whether no other process can be at work on the run.
        left: Numbers of the trials of which there were attempts when the session was opened.
    """

    planned: PlannedRun
    backend: Backend
    coordinator: Coordinator
    runwide: RunWide
    io: Executor
    shortcut: Shortcut | None = None
    gate: Gate | None = None
    alone: bool = False
    left: frozenset[int] = frozenset()

    @property
    def at_once(self) -> int:
        """How many trials are worth being worked on at the same time."""
        return self.coordinator.parallelism + (self.gate.ready() if self.gate else 0)

    async def create(self, launch: Launch, *, confirm: Confirm) -> Observation:
        """Creates an attempt within the run's limit, however many processes run its trials.

        Raises:
            BackendError: It could not be created now.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as there may be.
            WithdrawnError: `confirm` said no.
        """
        if self.alone:  # then the coordinator counts all, and nobody settles anything meanwhile
            return await self.backend.create(launch)
        if self.gate is not None:
            return await self.gate.create(launch, confirm=confirm)
        limit = self.coordinator.parallelism
        return await self.backend.create(launch, limit=limit, confirm=confirm)

    async def discard(self, attempt: Attempt) -> None:
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
        self.coordinator.close()
        await self.runwide.close()
        if self.gate is not None:
            await self.gate.close()

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a call that reads or writes the store, off the event loop if it may be long."""
        if self.shortcut is not None and self.shortcut.take():
            return await self.shortcut.call(function, *args)
        return await asyncio.get_running_loop().run_in_executor(self.io, function, *args)


async def open_session(
    planned: PlannedRun,
    backend: Backend,
    io: Executor,
    *,
    shortcut: Shortcut | None = None,
    alone: bool = False,
) -> RunSession:
    """The session of a run, with its living attempts counted.

    Args:
        planned: What the run is.
        backend: What runs the attempts.
        io: Threads in which the store is read and written.
        shortcut: How calls to the store go without them; None if they never do.
        alone: Whether no other process can be at work on the run, which saves much looking; not
            for backends with gates.

    Raises:
        StoreError: The ledger cannot be read.
        RecordError: A record cannot be understood.
        BackendError: The backend cannot be asked what is alive.
    """
    sweep, manifest = planned.sweep, planned.manifest
    known = await asyncio.get_running_loop().run_in_executor(io, _read, planned)
    found = await backend.list(manifest.run_id)
    gate = await _open_gate(backend, planned)
    coordinator = Coordinator(
        backend,
        parallelism=sweep.parallelism,
        tally=_tally(planned, known.failed),
        spare=gate.ready if gate else lambda: 0,
        unstarted=gate.unstarted if gate else tuple,
    )
    runwide = RunWide(
        planned.ledger,
        coordinator,
        gate,
        io,
        planned=manifest.planned,
        parallelism=sweep.parallelism,
        survey=Survey(planned.ledger, known.attempts),
    )
    coordinator.adopt(seen.name for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING))
    _limit_time(coordinator, planned)
    runwide.start(known.state)
    return RunSession(
        planned=planned,
        backend=backend,
        coordinator=coordinator,
        runwide=runwide,
        io=io,
        shortcut=shortcut,
        gate=gate,
        alone=alone and gate is None,
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
        failed=_failed(planned, state) if planned.sweep.failures else {},
        state=state,
    )


async def _open_gate(backend: Backend, planned: PlannedRun) -> Gate | None:
    gates = backend.gates(planned.manifest.run_id)
    if gates is None:
        return None
    sweep = planned.sweep
    queued = sweep.kubernetes.queue is not None
    gate = Gate(backend, gates, parallelism=sweep.parallelism, queued=queued)
    await gate.start()
    return gate


def _tally(planned: PlannedRun, failed: dict[int, str]) -> Tally:
    plan, failures = planned.plan, planned.sweep.failures
    return Tally(
        allowed_failures=failures.allow.limit(plan.count) if failures else None,
        cancel=failures is not None and failures.on_exceed == "cancel",
        failed=failed,
        oom=planned.sweep.retries.oom,
        memory_of=lambda number: memory_of(planned.template(plan.trial(number))),
    )


def _limit_time(coordinator: Coordinator, planned: PlannedRun) -> None:
    budget, manifest = planned.sweep.budget, planned.manifest
    if budget is not None and budget.wall is not None:
        since = parse_iso(manifest.planned or manifest.created)
        coordinator.stop_after(
            budget.wall - (utc_now() - since).total_seconds(),
            "the run's time is over (budget.wall)",
            cancel=budget.on_exceed == "cancel",
        )


def _failed(planned: PlannedRun, state: RunState) -> dict[int, str]:
    """The trials whose failures count, and when they failed.

    Those from before the run was planned, or from before a time that was forgiven, do not.
    """
    at, decided = planned.manifest.planned, state.decided
    since = max(at, decided.since if decided.planned == at else "")
    return {
        record.number: record.finished or ""
        for record in planned.ledger.records()
        if record.state is TrialState.FAILED and (record.finished or "") >= since
    }
