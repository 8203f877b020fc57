"""What a list of runs says of each: how many trials there are, and in which states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from podmap import names
from podmap.errors import RecordError, StoreError, UsageError
from podmap.json_kinds import NUMBER, WHOLE, check_kinds, objects_of, optional
from podmap.ledger import encode
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import RunState
from podmap.ledger.runs import run_ids
from podmap.ledger.store import open_store
from podmap.records import TrialState

_KINDS = {
    "counts": objects_of(WHOLE),
    "best": ("an object or null", lambda value: value is None or isinstance(value, Mapping)),
    "duration_s": optional(NUMBER),
}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a store, for a list of runs.

    Attributes:
        run_uri: The run's folder.
        sweep: The sweep's name.
        run_id: The run's id.
        created: UTC ISO 8601; empty if the manifest cannot be understood.
        count: How many trials are planned.
        counts: State to number of trials in it; planned trials without a record count as
            WAITING.
        finished: UTC ISO 8601 of the run's end; None while it goes on.
        problem: Why the run cannot be understood; empty if it can.
        left_out: Of files that were left out, since they cannot be understood, why.
        manifest: What the run is; None if it cannot be understood.
        state: What is decided for it; None as `manifest`.
        results: What `summary.json` says, where that is of all its trials; else empty.
    """

    run_uri: str
    sweep: str
    run_id: str
    created: str = ""
    count: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: str | None = None
    problem: str = ""
    left_out: tuple[str, ...] = ()
    manifest: Manifest | None = field(default=None, compare=False)
    state: RunState | None = field(default=None, compare=False)
    results: Mapping[str, Any] = field(default_factory=dict, compare=False)


def iter_runs(store: str) -> Iterator[RunSummary]:
    """All runs of a store, by sweep, then by id.

    A run whose files cannot be read or understood is listed with its `problem`; so is a sweep's
    folder that cannot be read, without a run's id.

    Raises:
        StoreError: The store could not be asked.
    """
    place = open_store(store).uri
    unread: list[tuple[str, StoreError]] = []
    for sweep, run_id in run_ids(place, on_error=lambda *found: unread.append(found)):
        uri = names.run_uri(place, sweep, run_id)
        try:
            summary = _summarise(uri, sweep, run_id)
        except (RecordError, StoreError) as error:
            summary = RunSummary(uri, sweep, run_id, problem=str(error))
        except UsageError:
            continue
        yield summary
    for sweep, reason in unread:
        yield RunSummary(f"{place}/{sweep}", sweep, "", problem=str(reason))


def _summarise(uri: str, sweep: str, run_id: str) -> RunSummary:
    ledger = Ledger.open(uri)
    manifest = ledger.read_manifest()
    broken: list[RecordError] = []
    state = ledger.read_state(on_broken=broken.append)
    results = _results(ledger, manifest.total)
    return RunSummary(
        uri,
        sweep,
        run_id,
        created=manifest.created,
        count=manifest.total,
        counts=results["counts"] if results else _counts(ledger, manifest.total),
        finished=state.finished,
        left_out=tuple(map(str, broken)),
        manifest=manifest,
        state=state,
        results=results,
    )


def _counts(ledger: Ledger, planned: int) -> Mapping[str, int]:
    broken: list[RecordError] = []
    records = ledger.board().records(on_broken=broken.append)
    counted = Counter(record.state.value for record in records)
    if broken:
        counted[TrialState.UNKNOWN.value] += len(broken)
    unwritten = planned - sum(counted.values())
    if unwritten > 0:
        counted["WAITING"] += unwritten
    return dict(counted)


def _results(ledger: Ledger, planned: int) -> Mapping[str, Any]:
    """What `summary.json` says; nothing if it is not there, not whole, or not understood."""
    try:
        raw = ledger.read_file(names.SUMMARY)
        data = encode.parse(raw or b"{}", uri=names.SUMMARY, limit_bytes=encode.RECORD_BYTES)
        counts = data.get("counts", {})
        check_kinds({**data, "counts": counts}, _KINDS)
    except RecordError:
        return {}
    known = {state.value for state in TrialState}
    whole = bool(counts) and sum(counts.values()) >= planned
    return data if whole and counts.keys() <= known else {}
