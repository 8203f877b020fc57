"""What is wrong with a run's ledger and its attempts after a death, and how it is mended."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

from podmap.backends.base import Observation, Phase
from podmap.errors import RecordError
from podmap.ledger.ledger import Ledger
from podmap.records import Record, TrialState

LOST = "its attempt is gone, found by podmap repair"
"""Why a trial is open that nothing ran any more."""


class RunFaultKind(enum.Enum):
    """What can be wrong; the value is its word in JSON."""

    UNREADABLE = "unreadable"
    LOST = "lost"
    LEFT = "left"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class RunFault:
    """One thing that is wrong with a run.

    Attributes:
        kind: What kind of thing.
        what: What is wrong, in words.
        cure: What mends it, in words.
        trial: The trial; None for what concerns the whole run.
        attempt: The name of the attempt that is left; empty for none.
    """

    kind: RunFaultKind
    what: str
    cure: str
    trial: int | None = None
    attempt: str = ""


def find_faults(ledger: Ledger, found: Sequence[Observation]) -> list[RunFault]:
    """All that is wrong with a run on which nobody works; blocks.

    Args:
        ledger: The run's.
        found: Its attempts that are not removed, listed before this call.

    Raises:
        StoreError: The store could not be asked.
    """
    broken: list[RecordError] = []
    records = {each.number: each for each in ledger.records(on_broken=broken.append)}
    unreadable = sorted(set(ledger.record_numbers()) - records.keys())
    faults = [_unreadable(ledger, number, broken) for number in unreadable]
    alive = {(seen.number, seen.epoch) for seen in found}
    faults += [
        RunFault(
            RunFaultKind.LOST,
            f"trial {record.number} is running, and nothing of it is there",
            "it is made to wait, so that it is run again",
            record.number,
        )
        for record in records.values()
        if record.state is TrialState.RUNNING and (record.number, record.epoch) not in alive
    ]
    faults += [_left(seen) for seen in found if _is_left(seen, records.get(seen.number))]
    try:
        ledger.read_state()
    except RecordError as error:
        cure = (
            "it is kept in the folder former; pause, stop and parallelism are as the spec has them"
        )
        faults.append(RunFault(RunFaultKind.STATE, str(error), cure))
    return faults


def mend_file(ledger: Ledger, fault: RunFault) -> bool:
    """Mends what is wrong with a file; False if it has changed meanwhile, or cannot be. Blocks.

    Raises:
        StoreError: The store could not be asked.
    """
    if fault.trial is None:
        ledger.update_state(finished=None)  # which begins it anew
        return True
    try:
        record = ledger.read_record(fault.trial)
    except RecordError:
        return _forget_record(ledger, fault.trial)
    if fault.kind is not RunFaultKind.LOST or record is None:
        return False
    if record.state is not TrialState.RUNNING:
        return False
    return ledger.write_record(replace(record, state=TrialState.WAITING, reason=LOST), claims=False)


def _forget_record(ledger: Ledger, number: int) -> bool:
    """Keeps a record that cannot be read among the former ones; False if it is no file of ours."""
    try:
        ledger.delete_record(number)
    except RecordError:
        return False
    return True


def _unreadable(ledger: Ledger, number: int, errors: Sequence[RecordError]) -> RunFault:
    uri = ledger.record_uri(number)
    told = next((str(error) for error in errors if uri in str(error)), uri)
    cure = "it is moved to the folder former, and the trial is run again"
    return RunFault(RunFaultKind.UNREADABLE, told, cure, number)


def _is_left(seen: Observation, record: Record | None) -> bool:
    """Whether an attempt is one that nobody will look at: its trial has ended, or it itself has."""
    if record is None:
        return False
    known = any(each.number == seen.attempt for each in record.attempts)
    return known or record.state.terminal


def _left(seen: Observation) -> RunFault:
    alive = seen.phase in (Phase.PENDING, Phase.RUNNING)
    does = "is there, and may run," if alive else "is there"
    return RunFault(
        RunFaultKind.LEFT,
        f"{seen.name} {does} though the record has what became of it",
        "it is ended and removed",
        seen.number,
        seen.name,
    )
