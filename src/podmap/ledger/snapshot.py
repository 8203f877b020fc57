"""`board.json.gz`: all trials that have ended in one small file, so that few records are read.

It says nothing of its own. Each trial in it carries the version that its record's file had when it
was read (an ETag; locally time, size and inode): where the file is another one now, the file is
read. So a snapshot that is old or missing costs time alone, and it can always be made anew.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from podmap import names
from podmap.errors import RecordError
from podmap.json_kinds import TEXT, WHOLE, check_kinds, list_of
from podmap.ledger import encode
from podmap.ledger.store import Store, whole
from podmap.ledger.store_errors import log_left_out
from podmap.records import SCHEMA, Record

log = logging.getLogger(__name__)

LEAST_TRIALS = 50
"""So few records are read as quickly without a snapshot."""
FILE_BYTES = 32 * 1024 * 1024
TEXT_BYTES = 64 * 1024 * 1024
_REASON_LENGTH = 400
_VERSION_BYTES = 6
_KEPT = ("number", "state", "started", "finished", "duration_s")
_KEPT_IF_ANY = ("params", "metrics", "repeat", "shard", "gpu_seconds", "queued_s")
_SAME = 0
"""In place of an attempt's time: the record has the same."""

Parse = Callable[[bytes, int], Record]
Row = tuple[str, bytes]
"""A record file's version, and what is kept of the record, as JSON."""


class Board:
    """What is known of a run's trials: of those that have ended, what lists and results need.

    Every call reads the store and blocks; one at a time.
    """

    def __init__(self, store: Store, parse: Parse) -> None:
        """Nothing is read yet.

        Args:
            store: The run's folder.
            parse: Makes a trial's record of its file and number, or raises a `RecordError`.
        """
        self._store = store
        self._parse = parse
        self._rows: dict[int, Row] | None = None
        self._written: dict[int, Row] = {}

    def records(
        self, *, on_broken: Callable[[RecordError], None] = log_left_out
    ) -> Iterator[Record]:
        """All records by ascending number: whole while a trial goes on, else `brief`.

        Args:
            on_broken: Called with the error of each that cannot be understood, and is left out;
                by default it is logged.

        Raises:
            StoreError: The store could not be asked.
        """
        for record, is_whole in self._each(self.versions(), on_broken):
            yield brief(record) if is_whole and record.state.terminal else record

    def versions(self) -> dict[int, str]:
        """Trial number to what changes whenever its record's file does, by ascending number.

        An empty text where the store knows nothing of the kind. What is known of trials that are
        not among them any more is forgotten.

        Raises:
            StoreError: The store could not be asked.
        """
        found = {}
        for name, version in self._store.versions(names.TRIALS):
            number = names.parse_record_file(name)
            if number is not None:
                found[number] = _short(version)
        rows = self._known(len(found))
        self._rows = {number: row for number, row in rows.items() if number in found}
        return dict(sorted(found.items()))

    def read(
        self,
        versions: Mapping[int, str],
        *,
        on_broken: Callable[[RecordError], None] = log_left_out,
    ) -> Iterator[Record]:
        """The records of some trials: `brief` if the snapshot has them, else whole.

        Args:
            versions: Some of those that `versions` has given.
            on_broken: As for `records`.

        Raises:
            StoreError: The store could not be asked.
        """
        return (record for record, _ in self._each(versions, on_broken))

    def _each(
        self, versions: Mapping[int, str], on_broken: Callable[[RecordError], None]
    ) -> Iterator[tuple[Record, bool]]:
        """Records, and whether each is whole."""
        rows = self._known(len(versions))
        fresh = {n for n, version in versions.items() if _is_of(rows.get(n), version)}
        newer = [number for number in versions if number not in fresh]
        files = self._store.read_many(map(names.record_path, newer))
        for number, version in versions.items():
            record = _unpacked(rows[number][1]) if number in fresh else None
            is_whole = record is None
            if is_whole:
                rows.pop(number, None)
                own = [names.record_path(number)]
                raw = next(self._store.read_many(own) if number in fresh else files)[1]
                record = None if raw is None else self._read(raw, number, version, on_broken)
            if record is not None:
                yield record, is_whole

    def steps(self, number: int) -> int | None:
        """How many steps an ended trial has reported that was read; None if it is not known.

        So it is of trials that go on, and where a snapshot of an earlier version is all there is.
        """
        row = (self._rows or {}).get(number)
        steps = json.loads(row[1]).get("steps") if row else None
        return steps if isinstance(steps, int) else None

    def write(self) -> None:
        """Writes the snapshot, if it would say more than before; of few trials there is none.

        Raises:
            StoreError: The store could not be asked.
        """
        for _ in self.records(on_broken=lambda error: None):
            pass
        rows = self._rows or {}
        if len(rows) < LEAST_TRIALS or rows == self._written:
            return
        self._store.write(names.BOARD, dump(rows, run=self._run))
        self._written = dict(rows)

    @property
    def _run(self) -> str:
        return "/".join(names.split_run_uri(self._store.uri)[1:])

    def _known(self, count: int) -> dict[int, Row]:
        """What is known already: from before, else from the file."""
        if self._rows is None:
            self._rows = self._load() if count >= LEAST_TRIALS else {}
            self._written = dict(self._rows)
        return self._rows

    def _load(self) -> dict[int, Row]:
        try:
            raw = self._store.read(names.BOARD)
            return {} if raw is None else parse(raw, run=self._run)
        except RecordError as error:
            log.warning("the snapshot %s/%s is not used: %s", self._store.uri, names.BOARD, error)
            return {}

    def _read(
        self,
        raw: bytes | RecordError,
        number: int,
        version: str,
        on_broken: Callable[[RecordError], None],
    ) -> Record | None:
        try:
            record = self._parse(whole(raw), number)
        except RecordError as error:
            on_broken(error)
            return None
        if record.state.terminal and version and self._rows is not None:
            self._rows[number] = version, _packed(record)
        return record


def brief(record: Record) -> Record:
    """A record as the snapshot gives it: without keys, logs, outputs, reports, most of attempts."""
    return _unpacked(_packed(record)) or record


def dump(rows: Mapping[int, Row], *, run: str) -> bytes:
    """The file of a snapshot, in columns: what is alike lies together.

    Args:
        rows: Trial number to version and JSON.
        run: The sweep and the run's id.
    """
    shapes: dict[tuple[Any, ...], int] = {}
    columns: dict[str, list[Any]] = {}
    own: list[int] = []
    for _, packed in rows.values():
        cells = list(_cells(json.loads(packed), ()))
        own.append(shapes.setdefault(tuple(path for path, _ in cells), len(shapes)))
        for path, value in cells:
            columns.setdefault(json.dumps(path), []).append(value)
    head = {
        "schema": SCHEMA,
        "run": run,
        "versions": [version for version, _ in rows.values()],
        "shapes": [list(map(list, shape)) for shape in shapes],
        "own": own,
    }
    # One at a time: while a large value is made JSON, no other thread gets on.
    parts = [b"%s:%s" % (_dumped(key), _dumped(cells)) for key, cells in columns.items()]
    text = b'%s,"columns":{%s}}' % (_dumped(head)[:-1], b",".join(parts))
    if len(text) > TEXT_BYTES:
        raise RecordError(f"a snapshot of {len(rows)} trials would be too large to be read")
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # as gzip, without a time in it
    return packer.compress(text) + packer.flush()


def _dumped(value: Any) -> bytes:
    return encode.dump(value, what="the snapshot")


def parse(raw: bytes, *, run: str) -> dict[int, Row]:
    """The rows of a snapshot's file.

    Raises:
        RecordError: It cannot be understood, or is of another run.
    """
    data = encode.parse(_unzipped(raw), uri="it", limit_bytes=TEXT_BYTES)
    if data.get("schema") != SCHEMA or data.get("run") != run:
        raise RecordError(f"it is of run {data.get('run')!r:.80}, schema {data.get('schema')!r:.9}")
    check_kinds(data, {"versions": list_of(TEXT), "own": list_of(WHOLE)})
    try:
        shapes = [[tuple(path) for path in shape] for shape in data["shapes"]]
        columns = {tuple(json.loads(key)): iter(cells) for key, cells in data["columns"].items()}
        rows = {}
        for version, shape in zip(data["versions"], data["own"], strict=True):
            row: dict[str, Any] = {}
            for path in shapes[shape]:
                _put(row, path, next(columns[path]))
            rows[row["number"]] = version, encode.dump(row, what="a trial")
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise RecordError(f"its columns do not fit each other ({type(error).__name__})") from error
    return rows


def _unzipped(raw: bytes) -> bytes:
    if len(raw) > FILE_BYTES:
        raise RecordError(f"it has more than {FILE_BYTES} bytes")
    unpacker = zlib.decompressobj(31)
    try:
        text = unpacker.decompress(raw, TEXT_BYTES)
    except zlib.error as error:
        raise RecordError(f"it is no gzip file ({error})") from error
    if not unpacker.eof:
        raise RecordError("it is cut, or too large")
    return text


def _cells(value: Mapping[str, Any] | Sequence[Any], path: tuple[Any, ...]) -> Iterator[Any]:
    """The values in a row with their paths; those of params and metrics stay as they are."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, each in pairs:
        leaf = len(path) == 1 and path[0] in ("params", "metrics")
        if not leaf and each and isinstance(each, (dict, list)):
            yield from _cells(each, (*path, key))
        else:
            yield (*path, key), each


def _put(row: Any, path: Sequence[Any], value: Any) -> None:
    """Puts a value to its path; lists grow in order."""
    for key, following in itertools.pairwise(path):
        made: Any = [] if type(following) is int else {}
        if isinstance(row, list):
            if key == len(row):
                row.append(made)
            row = row[key]
        else:
            row = row.setdefault(key, made)
    if isinstance(row, list):
        row.append(value)
    else:
        row[path[-1]] = value


def _packed(record: Record) -> bytes:
    data = record.to_json()
    row = {name: data[name] for name in _KEPT}
    row |= {name: data[name] for name in _KEPT_IF_ANY if data[name]}
    if record.reason:
        row["reason"] = record.reason[:_REASON_LENGTH]
    if record.objective is not None:
        row["objective"] = _as_metrics(record.objective, record.metrics)
    row["steps"] = len(record.reports)
    if record.attempts:
        row["attempts"] = [_attempt(each, data) for each in data["attempts"]]
    return encode.dump(row, what=f"trial {record.number}")


def _as_metrics(value: Any, metrics: Mapping[str, Any]) -> Any:
    """An objective by the names of the metrics that have its values, where there are such."""
    if isinstance(value, (list, tuple)):
        return [_as_metrics(each, metrics) for each in value]
    return next((name for name, known in metrics.items() if known == value), value)


def _attempt(attempt: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"number": attempt["number"]}
    for name in ("started", "finished"):
        if attempt[name] is not None:
            found[name] = _SAME if attempt[name] == record[name] else attempt[name]
    if attempt["node"]:
        found["node"] = attempt["node"]
    if attempt["diagnosis"] is not None:
        found["why"] = attempt["diagnosis"]["category"]
    return found


def _unpacked(packed: bytes) -> Record | None:
    """The record of a row; None if it is none."""
    try:
        row = json.loads(packed)
        metrics = row.get("metrics", {})
        row["attempts"] = [_restored(each, row) for each in row.get("attempts", ())]
        row["objective"] = _values(row.get("objective"), metrics)
        record = Record.from_json({"schema": SCHEMA, "key": "", "epoch": "", **row})
    except (RecordError, LookupError, TypeError, ValueError, AttributeError):
        return None
    return record if record.state.terminal else None


def _restored(attempt: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    found = {"pod": "", "number": attempt["number"], "node": attempt.get("node", "")}
    for name in ("started", "finished"):
        time = attempt.get(name)
        found[name] = record[name] if time == _SAME and time is not None else time
    if "why" in attempt:
        found["diagnosis"] = {"category": attempt["why"], "summary": ""}
    return found


def _values(objective: Any, metrics: Mapping[str, Any]) -> Any:
    if isinstance(objective, list):
        return [_values(each, metrics) for each in objective]
    return metrics[objective] if isinstance(objective, str) else objective


def _short(version: str) -> str:
    """A version of a few letters; empty for none."""
    digest = hashlib.blake2b(version.encode(), digest_size=_VERSION_BYTES)
    return digest.hexdigest() if version else ""


def _is_of(row: Row | None, version: str) -> bool:
    return row is not None and bool(version) and row[0] == version
