"""What earlier runs of a sweep say of its trials: how long they take, how often they fail."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap.clock import parse_iso
from podmap.engine.settlement import took_s
from podmap.errors import RecordError, StoreError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.runs import find_run
from podmap.ledger.store import open_store
from podmap.names import digest, is_run_id, run_uri
from podmap.records import Attempt, Category, Record, TrialState

MOST_RUNS = 50
"""So many runs are looked at for the newest one: each costs a request."""
_WELL = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True, slots=True)
class History:
    """How trials go.

    Attributes:
        source: Where it is from, for a person.
        took_s: Seconds of attempts that ended well, as they come.
        failed_s: Seconds of attempts that failed.
        by_params: What trials took, by `params_text` of their params.
        failing: The part of attempts that fails, from 0 to 1.
        start_s: Seconds in a slot from the end of one attempt to the start of the next.
        first_s: Seconds from the planning of a run to its first start.
    """

    source: str
    took_s: Sequence[float]
    failed_s: Sequence[float] = ()
    by_params: Mapping[str, float] = field(default_factory=dict)
    failing: float = 0.0
    start_s: float = 0.0
    first_s: float = 0.0


def find_history(store: str, sweep: str, run: str | None = None) -> History | None:
    """What the newest run of a sweep says that has a result; None if there is none.

    Args:
        store: The store's URI.
        sweep: The sweep's name.
        run: The run to look at; None for the newest of this sweep.

    Raises:
        UsageError: There is no such run, or it has no result.
        StoreError: The store cannot be asked.
        RecordError: The run that was named cannot be understood.
    """
    if run is not None:
        ledger = Ledger.open(find_run(store, run))
        return history_of(ledger.read_manifest(), list(ledger.board().records()))
    for manifest, ledger in _newest_first(store, sweep):
        found = history_of(manifest, list(ledger.board().records()))
        if found is not None:
            return found
    return None


def _newest_first(store: str, sweep: str) -> Iterable[tuple[Manifest, Ledger]]:
    ids = [name for name in open_store(store).folders(sweep) if is_run_id(name)]
    found = []
    for run_id in ids[:MOST_RUNS]:
        ledger = Ledger.open(run_uri(store, sweep, run_id))
        try:
            found.append((ledger.read_manifest(), ledger))
        except (RecordError, StoreError):
            continue  # of which there is nothing to learn
    return sorted(found, key=lambda pair: pair[0].planned, reverse=True)


def history_of(manifest: Manifest, records: Sequence[Record]) -> History | None:
    """What the records of a run say; None if none of its trials has a result.

    Args:
        manifest: The run's.
        records: Of its trials, as the snapshot has them.
    """
    attempts = [each for one in records for each in one.attempts if each.started and each.finished]
    well = [each for each in attempts if each.diagnosis is None]
    if not well:
        return None
    bad = [each for each in attempts if _failed(each)]
    starts_s = sorted(_s(each.started) for each in attempts)
    ends_s = sorted(_s(each.finished) for each in attempts)
    return History(
        source=f"run {manifest.run_id}",
        took_s=tuple(map(took_s, well)),
        failed_s=tuple(map(took_s, bad)),
        by_params={
            params_text(one.params): took_s(one.attempts[-1]) for one in records if _is_well(one)
        },
        failing=len(bad) / (len(bad) + len(well)),
        start_s=_turnover_s(starts_s, ends_s),
        first_s=max(0.0, starts_s[0] - _s(manifest.planned)),
    )


def params_text(params: Mapping[str, Any]) -> str:
    """Params as a text that is the same for the same params; a snapshot keeps no keys of trials."""
    return digest(dict(params))


def _is_well(record: Record) -> bool:
    return record.state in _WELL and bool(record.attempts)


def _failed(attempt: Attempt) -> bool:
    found = attempt.diagnosis
    return found is not None and found.category is not Category.CANCELLED


def _turnover_s(starts_s: Sequence[float], ends_s: Sequence[float]) -> float:
    """The usual time from an end to the start that takes its place.

    So many attempts as had started before the first end took no other's place. After them the k-th
    start takes the place of the k-th end.
    """
    first = sum(1 for start in starts_s if start < ends_s[0])
    gaps = [start - end for start, end in zip(starts_s[first:], ends_s, strict=False)]
    return max(0.0, statistics.median(gaps)) if gaps else 0.0


def _s(moment: str | None) -> float:
    return parse_iso(moment or "").timestamp()
