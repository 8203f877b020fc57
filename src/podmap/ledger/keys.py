"""Finished trials by key, so that `reuse: sweep` finds them in any run of the sweep."""

from __future__ import annotations

import re
from dataclasses import dataclass

from podmap import names
from podmap.errors import RecordError, UsageError
from podmap.json_kinds import shown
from podmap.ledger import encode
from podmap.ledger.store import Store, open_store
from podmap.records import Record, TrialState

_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")


@dataclass(frozen=True, slots=True)
class IndexedRecord:
    """A finished trial that was found by its key.

    Attributes:
        uri: Where its record is kept.
        record: The record; it is COMPLETE.
    """

    uri: str
    record: Record


class KeyIndex:
    """Key to finished trial, for all runs of one sweep.

    Each entry is a pointer to a record, so dropping the record or its run drops the entry.
    Thread-safe; any number of processes may use it.
    """

    def __init__(self, store: Store) -> None:
        """The index in the store of a sweep's `keys` folder; `open` is the usual way."""
        self._store = store

    @classmethod
    def open(cls, store: str, sweep: str) -> KeyIndex:
        """The index of a sweep; nothing is made or asked yet.

        Args:
            store: The store's URI.
            sweep: The sweep's name.

        Raises:
            StoreError: The URI's protocol is not known, or a package for it is missing.
        """
        return cls(open_store(names.keys_uri(open_store(store).uri, sweep)))

    def add_record(self, record: Record, *, record_uri: str) -> bool:
        """Points the record's key at it; the newest of equal keys is the one found.

        Args:
            record: Only COMPLETE ones are pointed at.
            record_uri: As `Ledger.record_uri` gives it.

        Returns:
            Whether it is pointed at now.

        Raises:
            StoreError: The store could not be asked.
        """
        if record.state is not TrialState.COMPLETE:
            return False
        pointer = {"record_uri": record_uri}
        self._store.write(_key_path(record.key), encode.dump(pointer, what="the key"))
        return True

    def find_record(self, key: str) -> IndexedRecord | None:
        """The COMPLETE record with this key; None if there is none any more.

        Raises:
            StoreError: The store could not be asked.
            RecordError: What is kept under the key cannot be understood.
        """
        raw = self._store.read(_key_path(key))
        if raw is None:
            return None
        uri = encode.parse(raw, uri=f"{self._store.uri}/{key}").get("record_uri", "")
        place = names.split_record_uri(uri) if isinstance(uri, str) else None
        if place is None or not names.is_run_id(place[0]):
            raise RecordError(f"{self._store.uri}/{key} points at {shown(uri)}, which is no record")
        # Whatever the file says, a key stands for a trial of this very sweep.
        run_uri = f"{self._store.uri.rpartition('/')[0]}/{place[0]}"
        kept = open_store(run_uri).read(place[1])
        if kept is None:
            return None
        uri = f"{run_uri}/{place[1]}"
        record = encode.parse_record(kept, uri=uri)
        fits = record.key == key and record.state is TrialState.COMPLETE
        return IndexedRecord(uri, record) if fits else None


def _key_path(key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise UsageError(f"{key!r} cannot be a key: letters, digits, '-' and '_' only")
    return key
