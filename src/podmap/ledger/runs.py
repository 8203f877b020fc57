"""Finding runs in a store: by id, by URI, or all of them."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from podmap import names
from podmap.errors import RecordError, UsageError
from podmap.ledger import encode
from podmap.ledger.store import Store, open_store, resolve_uri

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger

DEFAULT_STORE = "~/.podmap/runs"
_NEAR = 5


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
    """

    run_uri: str
    sweep: str
    run_id: str
    created: str = ""
    count: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    finished: str | None = None
    problem: str = ""


def default_store(explicit: str | None = None) -> str:
    """The store to use: the one given, else PODMAP_STORE's, else `~/.podmap/runs`."""
    return resolve_uri(explicit or os.environ.get("PODMAP_STORE") or DEFAULT_STORE)


def find_run(store: str, run: str) -> str:
    """The URI of a run.

    Args:
        store: The store's URI.
        run: A run's URI or path, its id, the first characters of its id if no other run's
            begins so, or `<sweep>/<id>`.

    Raises:
        UsageError: There is no such run, or several; the message lists near ones.
        StoreError: The store could not be asked.
    """
    if "/" in run:
        return _find_by_path(store, run)
    place = open_store(store)
    found = list(_run_ids(place))
    matches = [pair for pair in found if pair[1] == run]
    matches = matches or [pair for pair in found if run and pair[1].startswith(run)]
    if len(matches) == 1:
        return names.run_uri(place.uri, *matches[0])
    if matches:
        uris = ", ".join(names.run_uri(place.uri, *pair) for pair in matches[:_NEAR])
        raise UsageError(f"{run!r} stands for {len(matches)} runs: {uris}; say which")
    raise UsageError(
        f"there is no run {run!r} in the store {place.uri}; {_near(run, found, place.uri)}"
    )


def _find_by_path(store: str, run: str) -> str:
    candidates = [resolve_uri(run)]
    if "://" not in run and run[0] not in "/.~":
        candidates.append(f"{resolve_uri(store)}/{run.rstrip('/')}")
    for candidate in candidates:
        if open_store(candidate).exists(names.MANIFEST):
            return candidate
    raise no_such_run(candidates[-1])


def iter_runs(store: str) -> Iterator[RunSummary]:
    """All runs of a store, by sweep, then by id.

    A run whose files cannot be understood is listed with its `problem`.

    Raises:
        StoreError: The store could not be asked.
    """
    place = open_store(store)
    for sweep, run_id in _run_ids(place):
        uri = names.run_uri(place.uri, sweep, run_id)
        try:
            summary = _summarise(uri, sweep, run_id)
        except RecordError as error:
            summary = RunSummary(uri, sweep, run_id, problem=str(error))
        except UsageError:
            continue
        yield summary


def run_ids(store: str) -> Iterator[tuple[str, str]]:
    """Sweep and id of all runs of a store, of which nothing is read.

    Raises:
        StoreError: The store could not be asked.
    """
    return _run_ids(open_store(store))


def no_such_run(run_uri: str) -> UsageError:
    """The error for a URI at which no run is, with the ids that are near it."""
    parent, _, run_id = run_uri.rpartition("/")
    sweep = parent.rpartition("/")[2]
    siblings = [(sweep, name) for name in open_store(parent or "/").folders()]
    siblings = [pair for pair in siblings if names.is_run_id(pair[1])]
    near = _near(run_id, siblings, parent)
    return UsageError(f"there is no run at {run_uri}; {near}")


def _near(run: str, found: list[tuple[str, str]], where: str) -> str:
    if not found:
        return f"there are no runs in {where}; see --store and PODMAP_STORE"
    ids = [run_id for _, run_id in found]
    near = difflib.get_close_matches(run, ids, n=_NEAR, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    listed = ", ".join(f"{sweep}/{run_id}" for sweep, run_id in found[:_NEAR])
    return f"there are {len(found)}, for example {listed}"


def _run_ids(place: Store) -> Iterator[tuple[str, str]]:
    for sweep in sorted(place.folders()):
        for run_id in sorted(place.folders(sweep)):
            if names.is_run_id(run_id):
                yield sweep, run_id


def _summarise(uri: str, sweep: str, run_id: str) -> RunSummary:
    from podmap.ledger.ledger import Ledger

    ledger = Ledger.open(uri)
    manifest = ledger.read_manifest()
    return RunSummary(
        uri,
        sweep,
        run_id,
        created=manifest.created,
        count=manifest.count,
        counts=_counts(ledger, manifest.count),
        finished=ledger.read_state().finished,
    )


def _counts(ledger: Ledger, planned: int) -> Mapping[str, int]:
    raw = ledger.read_file(names.SUMMARY)
    if raw is not None:
        summary: dict[str, Any] = encode.parse(raw, uri=f"{ledger.run_uri}/{names.SUMMARY}")
        counts = summary.get("counts")
        if isinstance(counts, dict) and sum(counts.values()) >= planned:
            return counts
    counted = Counter(record.state.value for record in ledger.records())
    unwritten = planned - sum(counted.values())
    if unwritten > 0:
        counted["WAITING"] += unwritten
    return dict(counted)
