"""Attempts that ended with their worker, so that nobody could say how."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from podmap.clock import iso, utc_now
from podmap.engine.result import Outcome
from podmap.engine.settlement import close, reason_of, settle_attempt
from podmap.engine.trial_ledger import TrialBook
from podmap.errors import AttemptExistsError
from podmap.names import attempt_name
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

if TYPE_CHECKING:
    from podmap.engine.session import RunSession
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

LOST = Diagnosis(
    Category.NODE_LOST,
    "the worker ended before its trial did, and left no word of why",
    resolution="If it was a pod: `kubectl describe` it if it is still there, or read the "
    "scheduler's log. It may have been evicted, preempted, out of memory (Airflow's own processes "
    "count too), or its node was lost.",
)
_ASKED_ANEW = Diagnosis(Category.CANCELLED, "its trial was asked for anew")
KILLED = "its task was ended in Airflow"


async def note_lost(session: RunSession, number: int, epoch: str) -> str | None:
    """Writes down the attempt that an earlier try has begun, if it is gone without an end.

    Attempts that still run are left to be adopted, and those that ended to be settled.

    Returns:
        What was found, for the log; None if nothing is lost.
    """
    ledger, manifest = session.planned.ledger, session.planned.manifest
    found = await session.backend.list(manifest.run_id, number=number)
    record = await session.call(ledger.read_record, number)
    if record is None or record.state is not TrialState.RUNNING:
        return None
    if any(seen.epoch == record.epoch for seen in found):
        return None
    if record.epoch != epoch:
        attempt = _lost_attempt(ledger, manifest, record, _ASKED_ANEW)
        with contextlib.suppress(AttemptExistsError):
            await session.call(ledger.write_attempt, number, attempt)
        return None
    rules = TrialBook(session.planned, number, epoch, result_path=session.backend.result_path).rules
    attempt = _lost_attempt(ledger, manifest, record, LOST)
    settlement = settle_attempt(
        record,
        attempt,
        Outcome(TrialState.FAILED, diagnosis=LOST),
        tail=b"",
        rules=rules,
        interrupted=False,
    )
    await session.call(ledger.write_end, attempt, settlement.record)
    return f"attempt {attempt.number} is lost: {LOST.summary}"


def close_open(ledger: Ledger, manifest: Manifest) -> int:
    """Ends the records of trials whose tasks have ended without them; returns how many.

    Call it when no task of the run will be tried again: then a record that is still open was left
    by a worker that is gone.
    """
    left = [record for record in ledger.records() if not record.state.terminal]
    for record in left:
        last = record.attempts[-1].diagnosis if record.attempts else None
        if record.state is TrialState.RUNNING:
            attempt = _lost_attempt(ledger, manifest, record, LOST)
            record = replace(record, attempts=(*record.attempts, attempt))
            ended = close(record, TrialState.FAILED, reason_of(LOST))
            ledger.write_end(attempt, ended)
        elif last is not None and last.category is not Category.CANCELLED:
            ledger.write_record(close(record, TrialState.FAILED, reason_of(last)))
        else:
            ledger.write_record(close(record, TrialState.CANCELLED, KILLED))
    return len(left)


def _lost_attempt(
    ledger: Ledger, manifest: Manifest, record: Record, diagnosis: Diagnosis
) -> Attempt:
    number = ledger.next_attempt_number(record.number, kept=record.attempts)
    return Attempt(
        number=number,
        pod=attempt_name(manifest.sweep, manifest.run_id, record.number, number),
        started=None if record.attempts else record.started,
        finished=iso(utc_now()),
        diagnosis=diagnosis,
    )
