"""Finds the runs of a store: the one of an id or URI, or the ids of all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator

from podmap import names
from podmap.errors import LedgerGoneError, StoreError, UsageError
from podmap.ledger.store import open_store, resolve_uri

DEFAULT_STORE = "~/.podmap/runs"
_NEAR = 5


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
    place = open_store(store).uri
    found = list(run_ids(place))
    matches = [pair for pair in found if pair[1] == run]
    matches = matches or [pair for pair in found if run and pair[1].startswith(run)]
    if len(matches) == 1:
        return names.run_uri(place, *matches[0])
    if matches:
        uris = ", ".join(names.run_uri(place, *pair) for pair in matches[:_NEAR])
        raise UsageError(f"{run!r} stands for {len(matches)} runs: {uris}; say which")
    raise UsageError(f"there is no run {run!r} in the store {place}; {_near(run, found, place)}")


def _find_by_path(store: str, run: str) -> str:
    candidates = [resolve_uri(run)]
    if "://" not in run and run[0] not in "/.~":
        candidates.append(f"{resolve_uri(store)}/{run.rstrip('/')}")
    for candidate in candidates:
        if open_store(candidate).exists(names.MANIFEST):
            return candidate
    raise no_such_run(candidates[-1])


def run_ids(
    store: str, *, on_error: Callable[[str, StoreError], None] = lambda sweep, error: None
) -> Iterator[tuple[str, str]]:
    """Sweep and id of all runs of a store, of which nothing is read.

    Args:
        store: The store's URI.
        on_error: Called with a sweep whose folder could not be read, and why; its runs are
            left out.

    Raises:
        StoreError: The store could not be asked.
    """
    place = open_store(store)
    for sweep in sorted(place.folders()):
        try:
            found = sorted(place.folders(sweep))
        except StoreError as error:
            on_error(sweep, error)
            continue
        for run_id in filter(names.is_run_id, found):
            yield sweep, run_id


def no_such_run(run_uri: str) -> UsageError:
    """The error for a URI at which no run is, with the ids that are near it."""
    store, sweep, run_id = names.split_run_uri(run_uri)
    folder = f"{store}/{sweep}"
    siblings = [(sweep, name) for name in open_store(folder).folders() if names.is_run_id(name)]
    near = _near(run_id, siblings, folder)
    return UsageError(f"there is no run at {run_uri}; {near}")


def deleted_in_mid_run(run_uri: str) -> LedgerGoneError:
    """The error for a run whose manifest was there, and is not any more."""
    return LedgerGoneError(
        f"the ledger {run_uri} was deleted while the run went on (its {names.MANIFEST} is gone): "
        "nothing more can be kept of this run; start a new one"
    )


def _near(run: str, found: list[tuple[str, str]], where: str) -> str:
    if not found:
        return f"there are no runs in {where}; see --store and PODMAP_STORE"
    ids = [run_id for _, run_id in found]
    near = difflib.get_close_matches(run, ids, n=_NEAR, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    listed = ", ".join(f"{sweep}/{run_id}" for sweep, run_id in found[:_NEAR])
    return f"there are {len(found)}, for example {listed}"
