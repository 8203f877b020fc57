"""One run in one process: what its trials share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.backends.base import Backend, Phase
from podmap.engine.coordinator import Coordinator
from podmap.records import TrialState, parse_iso, utc_now
from podmap.search.plan import Plan
from podmap.spec.load import load

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.spec.model import Sweep

T = TypeVar("T")

STREAM_AT_MOST = 200
"""Up to this many attempts at once, `logs: auto` streams their output."""


@dataclass(frozen=True, slots=True)
class RunSession:
    """One run in one process and event loop.

    Attributes:
        ledger: The run's records.
        manifest: What the run is.
        sweep: The effective spec.
        plan: Number to trial.
        backend: What runs the attempts.
        coordinator: The run's slots and budgets.
        io: The bounded pool in which the store is read and written.
    """

    ledger: Ledger
    manifest: Manifest
    sweep: Sweep
    plan: Plan
    backend: Backend
    coordinator: Coordinator
    io: Executor

    @property
    def streams(self) -> bool:
        """Whether trial output is streamed while it comes."""
        if self.sweep.logs == "auto":
            return self.sweep.parallelism <= STREAM_AT_MOST
        return self.sweep.logs == "stream"

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a call that reads or writes the store, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.io, function, *args)


async def open_session(
    ledger: Ledger, manifest: Manifest, backend: Backend, io: Executor
) -> RunSession:
    """The session of a run, with its living attempts counted.

    Raises:
        StoreError: The ledger cannot be read.
        BackendError: The backend cannot be asked what is alive.
        SpecError: The manifest's spec is not valid in this version.
    """
    loop = asyncio.get_running_loop()

    def read() -> tuple[Sweep, Plan, int]:
        sweep = load(manifest.spec, search_required=False).sweep
        plan = Plan.from_json(manifest.plan, sweep)
        return sweep, plan, _count_failures(ledger) if sweep.failures else 0

    sweep, plan, failures = await loop.run_in_executor(io, read)
    coordinator = Coordinator(
        backend,
        parallelism=sweep.parallelism,
        allowed_failures=sweep.failures.allow.limit(plan.count) if sweep.failures else None,
        cancel_on_failures=bool(sweep.failures and sweep.failures.on_exceed == "cancel"),
        failures=failures,
    )
    found = await backend.list(manifest.run_id)
    coordinator.adopt(seen.name for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING))
    if sweep.budget and sweep.budget.wall is not None:
        spent_s = (utc_now() - parse_iso(manifest.created)).total_seconds()
        coordinator.stop_after(
            sweep.budget.wall - spent_s,
            "the run's time is over (budget.wall)",
            cancel=sweep.budget.on_exceed == "cancel",
        )
    return RunSession(
        ledger, manifest, sweep, plan, backend, coordinator, io)


def _count_failures(ledger: Ledger) -> int:
    return sum(record.state is TrialState.FAILED for record in ledger.records())
