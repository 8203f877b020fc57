"""The files of what was added to a run: named by the first trial's number, and never changed."""

from __future__ import annotations

import re

from podmap import names
from podmap.additions import Addition, folder_of, path_of
from podmap.errors import RecordError
from podmap.ledger import encode
from podmap.ledger.manifest import Manifest
from podmap.ledger.store import Store, whole

_FILE = re.compile(r"(0|[1-9][0-9]*)\.json")


def read_additions(store: Store, manifest: Manifest) -> tuple[Addition, ...]:
    """What was added to a run since it was planned, in order of the trials.

    Args:
        store: Of the run's folder.
        manifest: The run's.

    Raises:
        RecordError: An addition cannot be understood, or does not follow those before it.
        StoreError: The store could not be asked.
    """
    listed = map(_FILE.fullmatch, store.list(folder_of(manifest.planned)))
    numbers = sorted(int(match[1]) for match in listed if match)
    paths = [path_of(manifest.planned, number) for number in numbers]
    found: list[Addition] = []
    following = manifest.count
    for number, (path, raw) in zip(numbers, store.read_many(paths), strict=True):
        if raw is None:
            continue
        addition = _parsed(whole(raw), uri=f"{store.uri}/{path}")
        if (addition.first, number) != (following, following):
            raise RecordError(f"{store.uri}/{path} does not follow trial {following - 1}")
        found.append(addition)
        following = addition.end
    return tuple(found)


def create_addition(store: Store, manifest: Manifest, addition: Addition) -> bool:
    """Adds trials to a run; False, and nothing is done, if others have added some first."""
    raw = encode.dump(addition.to_json(), what="what is added")
    added = store.create(path_of(manifest.planned, addition.first), raw)
    if added:
        store.delete(names.SUMMARY)
    return added


def _parsed(raw: bytes, *, uri: str) -> Addition:
    data = encode.parse(raw, uri=uri)
    try:
        return Addition.from_json(data)
    except RecordError as error:
        raise RecordError(f"{uri}: {error}") from error
