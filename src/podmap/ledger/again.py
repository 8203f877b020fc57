"""Trials that are run again, in a run that goes on or after its end: what failed is put aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from podmap.clock import iso, utc_now
from podmap.errors import UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import Decisions, RunState
from podmap.records import Record, TrialState

LOST = (TrialState.FAILED, TrialState.CANCELLED)


def lost_trials(ledger: Ledger) -> list[int]:
    """The numbers of the trials that are FAILED or CANCELLED, ascending.

    Raises:
        StoreError: The ledger cannot be read.
    """
    return [record.number for record in ledger.board().records() if record.state in LOST]


def why_not_again(record: Record | None, number: int) -> str:
    """Why a trial is not run again; empty if it may be."""
    if record is not None and record.state in LOST:
        return ""
    if record is None or not record.state.terminal:
        state = "waiting" if record is None else record.state.value.lower()
        return f"trial {number} has not ended, it is {state}"
    return f"trial {number} is {record.state.value.lower()}; podmap reset gives its result up"


def retry_trials(ledger: Ledger, manifest: Manifest, numbers: Iterable[int]) -> RunState:
    """Has trials run again: their records are kept as former ones, and their attempts stay.

    Failures until now count no more for `failures`, since whoever retries knows of them. What
    another call has put aside a moment ago stays so.

    Args:
        ledger: Of the run.
        manifest: Of the run.
        numbers: Of trials that are FAILED or CANCELLED.

    Returns:
        The run's state before: with `finished` in it, nobody works on the run any more.

    Raises:
        UsageError: One of them has begun anew meanwhile.
        StoreError: The ledger cannot be read or written.
    """

    def check(record: Record) -> None:
        wrong = why_not_again(record, record.number)
        if wrong:
            raise UsageError(wrong)

    chosen = sorted(set(numbers))
    for number in chosen:  # before they are asked for: a trial without a record is run
        ledger.delete_record(number, check=check)
    seen: list[RunState] = []

    def change(state: RunState) -> Mapping[str, Any]:
        seen.append(state)
        there = state.decided if state.decided.planned == manifest.planned else None
        decided = replace(
            there or Decisions(manifest.planned),
            stop="",
            cancel=False,
            at="",
            lasts=False,
            since=iso(utc_now()),
        )
        asked = {str(number): state.again.get(str(number), 0) + 1 for number in chosen}
        return {"finished": None, "again": {**state.again, **asked}, "decided": decided}

    if chosen:
        ledger.change_state(change)
    return seen[-1] if seen else ledger.read_state()
