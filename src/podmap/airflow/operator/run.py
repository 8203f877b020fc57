"""A planned run whose pods an Airflow operator makes: what it is, and whether it still goes on.

There is no coordinator in this runtime. What a user decides for a run (`run.json`) is looked at
before each attempt, and what one trial's failure means for the others is written there.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping

from podmap.clock import parse_iso, utc_now
from podmap.engine.planned import PlannedRun
from podmap.engine.settlement import Settlement
from podmap.errors import UnreachableError
from podmap.ledger.run_state import Decisions
from podmap.records import TrialState


class PausedError(UnreachableError):
    """The run is paused: ask again later."""


_opening = threading.Lock()


def open_run(run: Mapping[str, str]) -> PlannedRun:
    """The run that `plan` has left, read once a process and plan.

    Args:
        run: The XCom `run` of `plan`.

    Raises:
        StoreError: The ledger cannot be read.
        UsageError: There is no such run.
    """
    with _opening:
        return _open_run(run["uri"], run["version"])


@functools.lru_cache(maxsize=64)
def _open_run(uri: str, version: str) -> PlannedRun:
    return PlannedRun.open(uri)


def stopped(run: PlannedRun, *, anew: bool) -> str:
    """Why the run starts no more attempts; empty while it does.

    Args:
        run: The run.
        anew: Whether a user has cleared a trial that failed or was cancelled: then what such an
            end meant for the others is forgotten.

    Raises:
        PausedError: It starts none for now.
        StoreError: The store cannot be read.
    """
    state, planned = run.ledger.read_state(), run.ledger.read_manifest().planned
    if state.stopped is not None:
        return state.stopped or "the run was stopped"
    if state.decided.stop and state.decided.planned == planned:
        if not anew:
            return state.decided.stop
        run.ledger.update_state(decided=Decisions(planned))
    wall_s = run.sweep.budget.wall if run.sweep.budget else None
    if wall_s is not None and (utc_now() - parse_iso(planned)).total_seconds() > wall_s:
        return "the run's time is over (budget.wall)"
    if state.paused:
        raise PausedError("the run is paused")
    return ""


def note_end(run: PlannedRun, settlement: Settlement) -> None:
    """Stops the run if the end of one of its trials means that for the others.

    Raises:
        StoreError: The store cannot be written.
    """
    record = settlement.record
    if record.state is not TrialState.FAILED:
        return
    reason = ""
    if settlement.stops_run:
        diagnosis = settlement.attempt.diagnosis
        reason = f"trial {record.number} cannot run: {diagnosis.summary if diagnosis else ''}"
    elif run.sweep.failures is not None:
        allowed = run.sweep.failures.allow.limit(run.manifest.count)
        reason = _too_many(run, record.number, allowed)
    if reason:
        run.ledger.update_state(decided=Decisions(run.ledger.read_manifest().planned, reason))


def _too_many(run: PlannedRun, number: int, allowed: int) -> str:
    """Why the run ends with the failure of this trial; empty if it goes on."""
    planned = run.ledger.read_manifest().planned
    others = sum(
        record.state is TrialState.FAILED and (record.finished or "") >= planned
        for record in run.ledger.records()
        if record.number != number
    )
    failed = others + 1
    if failed <= allowed:
        return ""
    return f"{failed} trials failed, {allowed} were allowed (failures.allow)"
