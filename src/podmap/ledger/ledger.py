"""The records of one run, in one folder of a store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from podmap import names
from podmap.additions import Addition
from podmap.errors import AttemptExistsError, ManifestChangedError, OwnerError, RecordError
from podmap.ledger import encode
from podmap.ledger.addition_files import create_addition, read_additions
from podmap.ledger.claim import RunClaim
from podmap.ledger.deletion import DeletionGuard, inside_run, keep_former
from podmap.ledger.manifest import Manifest
from podmap.ledger.record_files import RecordFiles, list_attempts, run_both, with_log
from podmap.ledger.run_state import RunState
from podmap.ledger.runs import no_such_run
from podmap.ledger.snapshot import Board
from podmap.ledger.state_file import change_state, read_state
from podmap.ledger.store import Store, open_store, whole
from podmap.ledger.store_errors import log_left_out
from podmap.records import Attempt, Record


class Ledger:
    """The records of one run.

    Every call asks the store and may block: never call it on an event loop. Thread-safe, and
    any number of processes may write the same run. Every method raises `StoreError` when the
    store could not be asked, and `RecordError`, naming the file, when a file in it is not what
    it should be.
    """

    def __init__(self, store: Store) -> None:
        """The ledger in the store of one run's folder; `Ledger.open` is the usual way."""
        self._store = store
        self._lock = threading.Lock()
        self._last_attempts: dict[int, int] | None = None
        self._deletion = DeletionGuard(store)
        self._records = RecordFiles(store, self._deletion)

    @classmethod
    def open(cls, run_uri: str) -> Ledger:
        """The ledger of the run at a URI; nothing is made or asked yet.

        Raises:
            UsageError: The URI is empty.
            StoreError: The URI's protocol is not known, or a package for it is missing.
        """
        return cls(open_store(run_uri))

    @property
    def is_shared(self) -> bool:
        """Whether any number of processes may write the run."""
        return self._store.compares

    @property
    def run_uri(self) -> str:
        """The run's folder, without a trailing slash; an absolute path if it is local."""
        return self._store.uri

    def record_uri(self, number: int) -> str:
        """Where a trial's record is kept, whether it is there or not."""
        return f"{self.run_uri}/{names.record_path(number)}"

    def log_uri(self, number: int, attempt: int) -> str:
        """Where the tail of an attempt's log is kept, whether it is there or not."""
        return f"{self.run_uri}/{names.log_path(number, attempt)}"

    def write_manifest(self, manifest: Manifest) -> Manifest:
        """Starts the run, or joins it: the manifest that is there, or this one, now there.

        Raises:
            OwnerError: The run was started by another owner.
        """
        raw = encode.dump_manifest(manifest)
        if self._store.create(names.MANIFEST, raw):
            self._store.check_compares(names.MANIFEST, raw)
            self._deletion.expect_run()
            return manifest
        existing = self.read_manifest()
        if dict(existing.owner) != dict(manifest.owner):
            raise OwnerError(
                f"the run {self.run_uri} belongs to {existing.describe_owner()}, "
                f"not to {manifest.describe_owner()}; start a run of your own, or remove "
                f"that one with: podmap clean {self.run_uri}"
            )
        return existing

    def replace_manifest(self, manifest: Manifest) -> Manifest:
        """Starts the run, or plans the owner's run anew: the manifest that is now there.

        The time of creation stays; spec and plan are the new ones.

        Raises:
            OwnerError: The run was started by another owner.
        """
        while True:
            existing = self.write_manifest(manifest)
            manifest = replace(manifest, created=existing.created)
            raw, there = encode.dump_manifest(manifest), self._store.read(names.MANIFEST)
            if raw == there or self._store.replace(names.MANIFEST, there, raw):
                return manifest

    def read_manifest(self, claim: RunClaim | None = None) -> Manifest:
        """The run's manifest.

        Args:
            claim: What the caller knows of the run, to be compared; None for nothing.

        Raises:
            UsageError: There is no such run.
            RecordError: It cannot be understood, or names a run of another folder.
            ManifestChangedError: It is not the one that is claimed.
            OwnerError: The run is not the one that is claimed.
        """
        raw = self._store.read(names.MANIFEST)
        if raw is None:
            raise no_such_run(self.run_uri)
        self._deletion.expect_run()
        manifest = encode.parse_manifest(raw, run_uri=self.run_uri)
        if claim is not None:
            if claim.digest and names.content_digest(raw) != claim.digest:
                raise ManifestChangedError(self.run_uri)
            claim.check(manifest)
        if manifest.owner.get("kind") == "airflow":  # whose mapped tasks are as many as planned
            return manifest
        return replace(manifest, added=read_additions(self._store, manifest))

    def add(self, manifest: Manifest, addition: Addition) -> bool:
        """Adds trials to a run; False, and nothing is done, if others have added some first."""
        self._deletion.check()
        return create_addition(self._store, manifest, addition)

    def read_record(self, number: int) -> Record | None:
        """The trial's record; None if there is none."""
        raw = self._records.read(number)
        record = None if raw is None else self._parsed(raw, number)
        self._records.note(number, raw, ended=record is not None and record.state.terminal)
        return record

    def write_record(self, record: Record, *, claims: bool = True) -> bool:
        """Writes the trial's record, unless the one that is there must stand.

        `precedence.may_replace` decides, and nothing gets between its reading and the write. What
        this process has read or written last is taken for what is there, until the store says
        otherwise: so it is mostly one request.
        Writing the same record again is the same as writing it once.

        Args:
            record: The record.
            claims: Whether the trial becomes one of the record's epoch; False to conclude one that
                is not another epoch's.

        Returns:
            Whether the ledger now holds this record; False if another one stands.

        Raises:
            RecordError: The record holds something that JSON cannot.
        """
        return self._records.write(record, claims=claims)

    def record_numbers(self) -> list[int]:
        """The numbers of the trials that have a record, ascending."""
        found = map(names.parse_record_file, self._store.list(names.TRIALS))
        return sorted(number for number in found if number is not None)

    def records(
        self, *, on_broken: Callable[[RecordError], None] = log_left_out
    ) -> Iterator[Record]:
        """All records by ascending number, one at a time in memory.

        Args:
            on_broken: Called with the error of each that cannot be understood, and is left out;
                by default it is logged.
        """
        numbers = self.record_numbers()
        files = self._store.read_many(map(names.record_path, numbers))
        for number, (_, raw) in zip(numbers, files, strict=True):
            if raw is None:
                continue
            try:
                record = self._parsed(whole(raw), number)
            except RecordError as error:
                on_broken(error)
            else:
                yield record

    def board(self) -> Board:
        """What lists and results need of the records, most of it from the run's snapshot."""
        return Board(self._store, self._parsed)

    def _parsed(self, raw: bytes, number: int) -> Record:
        uri = self.record_uri(number)
        record = encode.parse_record(raw, uri=uri)
        if record.number != number:
            raise RecordError(f"{uri} is the record of trial {record.number}")
        return record

    def write_attempt(self, number: int, attempt: Attempt) -> None:
        """Writes an attempt of a trial, once.

        Raises:
            AttemptExistsError: An attempt of this number was written before.
        """
        if not self._create_attempt(number, attempt):
            raise AttemptExistsError(
                f"attempt {attempt.number} of trial {number} is already in {self.run_uri}; "
                f"the next free number is {self.next_attempt_number(number)}"
            )

    def attempts(self, number: int) -> tuple[Attempt, ...]:
        """The attempts of a trial that were written, oldest first, of every epoch.

        Those that cannot be understood are logged and left out.
        """
        last = self.next_attempt_number(number, kept=())
        paths = [names.attempt_path(number, attempt) for attempt in range(1, last)]
        found = []
        for path, raw in self._store.read_many(paths):
            try:
                if raw is not None:
                    found.append(encode.parse_attempt(whole(raw), uri=f"{self.run_uri}/{path}"))
            except RecordError as error:
                log_left_out(error)
        return tuple(found)

    def next_attempt_number(self, number: int, *, kept: Sequence[Attempt] | None = None) -> int:
        """One more than the number of any attempt of the trial that was ever kept.

        It reads the folder of attempts once; after that a call costs a file or two, so numbers
        that other processes write later are seen as long as they leave no gaps.

        Args:
            number: The trial's number.
            kept: The attempts in its record, if the caller has just read it; None to read it.
        """
        if kept is None:
            record = self.read_record(number)
            kept = record.attempts if record else ()
        known = max((attempt.number for attempt in kept), default=0)
        following = max(known, self._listed_attempts().get(number, 0)) + 1
        while self._store.exists(names.attempt_path(number, following)):
            following += 1
        return following

    def last_attempts(self) -> Mapping[int, int]:
        """Trial number to the number of its last attempt that was written, asked anew."""
        last = list_attempts(self._store)
        with self._lock:
            self._last_attempts = last
        return dict(last)

    def write_log(self, number: int, attempt: int, data: bytes) -> str:
        """Writes the tail of an attempt's log and returns its URI."""
        self._store.write(names.log_path(number, attempt), data)
        return self.log_uri(number, attempt)

    def read_log(self, number: int, attempt: int) -> bytes | None:
        """The tail of an attempt's log; None if none was written."""
        return self._store.read(names.log_path(number, attempt))

    def write_end(self, attempt: Attempt, record: Record, log: bytes | None = None) -> bool:
        """Writes what the end of an attempt leaves, in one call: log, attempt, record.

        An attempt that is already there stands, since two processes may see the same one end.
        With a `log`, an empty `log_uri` of the attempt is filled in, in the record as well.

        Args:
            attempt: The attempt that ended.
            record: The trial's record after it, terminal or not.
            log: The tail of the attempt's log; None for none.

        Returns:
            As `write_record`.
        """
        self._deletion.check(is_cheap_only=True)
        number = record.number
        if log is None:
            self._create_attempt(number, attempt)
            return self.write_record(record)
        if not attempt.log_uri:
            uri = self.log_uri(number, attempt.number)
            attempt = replace(attempt, log_uri=uri)
            record = with_log(record, attempt.number, uri)
        run_both(
            partial(self.write_log, number, attempt.number, log),
            partial(self._create_attempt, number, attempt),
            at_once="://" in self.run_uri,
        )
        return self.write_record(record)

    def delete_record(self, number: int, *, check: Callable[[Record], None] | None = None) -> None:
        """Takes the record, kept as a former one, and the summary away: the trial is run again.

        Args:
            number: The trial's number.
            check: Called with what is there, before; what it raises leaves it there. None for a
                record that may be one that nobody understands.
        """

        def keep(raw: bytes) -> None:
            if check is not None:
                check(self._parsed(raw, number))
            self._keep_attempts(number, raw)
            keep_former(self._store, number, raw)

        self._records.delete(number, keep=keep)
        self._store.delete(names.SUMMARY)

    def write_file(self, name: str, data: bytes) -> str:
        """Writes a file of the run, such as the report, and returns its URI.

        Raises:
            UsageError: The name leads out of the run's folder.
        """
        self._deletion.check()
        self._store.write(inside_run(name), data)
        return f"{self.run_uri}/{name}"

    def read_file(self, name: str) -> bytes | None:
        """A file of the run; None if it is not there.

        Raises:
            UsageError: The name leads out of the run's folder.
        """
        return self._store.read(inside_run(name))

    def read_state(self, *, on_broken: Callable[[RecordError], None] | None = None) -> RunState:
        """What is decided for the whole run; the defaults if nothing was.

        Args:
            on_broken: Called with the error if the file cannot be understood: then it is as if
                nothing was decided; None to have that error raised.
        """
        try:
            return read_state(self._store)
        except RecordError as error:
            if on_broken is None:
                raise
            on_broken(error)
            return RunState()

    def update_state(self, **changes: Any) -> RunState:
        """Changes some values of the run's state and returns all of it.

        Raises:
            UsageError: A name is not a value of a run's state.
        """
        return self.change_state(lambda state: changes)

    def change_state(self, change: Callable[[RunState], Mapping[str, Any]]) -> RunState:
        """As `update_state`, with changes that depend on what is there.

        A file that cannot be understood is kept below `former`, and begun anew.

        Args:
            change: From the state that is there to the new values; empty to leave it so. It is
                called again if another process changes the state meanwhile.
        """
        return change_state(self._store, change)

    def delete(self) -> None:
        """Removes the run and all that was kept of it; nothing happens if it is not there."""
        self._deletion = DeletionGuard(self._store)
        self._records = RecordFiles(self._store, self._deletion)
        self._store.delete_all()
        with self._lock:
            self._last_attempts = None

    def _create_attempt(self, number: int, attempt: Attempt) -> bool:
        raw = encode.dump_attempt(attempt, number=number)
        return self._store.create(names.attempt_path(number, attempt.number), raw)

    def _keep_attempts(self, number: int, raw: bytes) -> None:
        # The numbers must stay taken even if only the record knows them.
        try:
            record = encode.parse_record(raw, uri=self.record_uri(number))
        except RecordError:
            return
        for attempt in record.attempts:
            self._create_attempt(number, attempt)

    def _listed_attempts(self) -> dict[int, int]:
        with self._lock:
            if self._last_attempts is None:
                self._last_attempts = list_attempts(self._store)
            return self._last_attempts
