"""The files of a run's records: each is replaced only if it is still as it was last seen."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from podmap import names
from podmap.ledger import encode
from podmap.ledger.deletion import DeletionGuard
from podmap.ledger.precedence import may_replace
from podmap.ledger.store import Store
from podmap.records import Record

_KNOWN = 8192
"""Of so many trials it is known what their file is, which are more than run at once."""


class RecordFiles:
    """Writes records without reading them first, where this process knows what is there.

    What it knows may be old: the store compares it, and only what was refused is read anew.
    """

    def __init__(self, store: Store, deletion: DeletionGuard) -> None:
        """Knows of no file yet.

        Args:
            store: Of the run's folder.
            deletion: Knows whether the run was deleted.
        """
        self._store = store
        self._deletion = deletion
        self._guard = threading.Lock()
        self._known: OrderedDict[int, bytes | None] = OrderedDict()

    def read(self, number: int) -> bytes | None:
        """The record's file; None if there is none."""
        return self._store.read(names.record_path(number))

    def note(self, number: int, raw: bytes | None, *, ended: bool) -> None:
        """Notes what a file is.

        Args:
            number: The trial.
            raw: The file; None if there is none.
            ended: Whether the record is terminal, so that it is hardly written again.
        """
        with self._guard:
            self._known.pop(number, None)
            if not ended:
                self._known[number] = raw
                if len(self._known) > _KNOWN:
                    self._known.popitem(last=False)

    def write(self, record: Record, *, claims: bool) -> bool:
        """As `Ledger.write_record`."""
        path = names.record_path(record.number)
        self._deletion.check(is_cheap_only=True)
        with self._guard:
            fresh = record.number not in self._known
            raw = self._known.pop(record.number, None)
        if fresh:
            raw = self._store.read(path)
        while True:
            self._deletion.check(is_cheap_only=raw is not None or not record.state.terminal)
            data = self._replacing(record, raw, claims=claims)
            done = data == raw
            if fresh and (data is None or done):
                return done
            if data is not None and not done and self._store.replace(path, raw, data):
                self.note(record.number, data, ended=record.state.terminal)
                return True
            raw, fresh = self._store.read(path), True

    def delete(self, number: int, *, keep: Callable[[bytes], object]) -> None:
        """Removes a file, if there is one.

        Args:
            number: The trial.
            keep: Called before with what it is; again, if it changes meanwhile.
        """
        path = names.record_path(number)
        self.note(number, None, ended=True)
        while True:
            raw = self._store.read(path)
            if raw is None:
                return
            keep(raw)
            if self._store.remove(path, raw):
                return

    def _replacing(self, record: Record, raw: bytes | None, *, claims: bool) -> bytes | None:
        """The file of a record that takes the place of another's; None if that must stand."""
        if raw is None:
            return encode.dump_record(record)
        uri = f"{self._store.uri}/{names.record_path(record.number)}"
        current = encode.parse_head(raw, uri=uri)
        data = encode.dump_record(record, former=current.replaced_by(record.epoch))
        may = may_replace(current, epoch=record.epoch, state=record.state, claims=claims)
        return data if may or data == raw else None


def list_attempts(store: Store) -> dict[int, int]:
    """Trial number to the number of its last attempt in a run's folder."""
    last: dict[int, int] = {}
    for found in map(names.parse_attempt_file, store.list(names.ATTEMPTS)):
        if found:
            number, attempt = found
            last[number] = max(last.get(number, 0), attempt)
    return last


def with_log(record: Record, attempt: int, uri: str) -> Record:
    """The record, with the place of an attempt's log where it lacks one."""
    attempts = (
        replace(known, log_uri=known.log_uri or uri) if known.number == attempt else known
        for known in record.attempts
    )
    return replace(record, attempts=tuple(attempts))


def run_both(first: Callable[[], object], second: Callable[[], object], *, at_once: bool) -> None:
    """Makes two calls, at the same time if each is a request to somewhere else."""
    if not at_once:
        first()
        second()
        return
    # A thread that ends with the call: one of a pool would be missing after a fork.
    with ThreadPoolExecutor(1, thread_name_prefix="podmap-log") as beside:
        done = beside.submit(first)
        second()
        done.result()
