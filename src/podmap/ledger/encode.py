"""JSON of the ledger's files: compact, in a stable order, strict, and of bounded size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from podmap import names
from podmap.errors import RecordError
from podmap.json_kinds import TEXT, check_kinds, list_of
from podmap.ledger.manifest import Manifest
from podmap.ledger.precedence import RecordHead
from podmap.ledger.store_errors import MAX_BYTES, too_large
from podmap.records import Attempt, Record, TrialState

T = TypeVar("T")

LOG_TAIL_BYTES = 4096
RECORD_BYTES = 16 * 1024 * 1024
"""Of a record, an attempt or `run.json`: results have a megabyte at most, params little more."""
DETAIL_BYTES = 4096
_OLDER_DETAIL_BYTES = 512
_LINE_BYTES = 1024
_CUT = "[…] "

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dump(data: Any, *, what: str) -> bytes:
    """The JSON text of a value; numbers that JSON lacks (NaN, infinity) become null.

    Args:
        data: Anything JSON can hold.
        what: What messages call it, for example "the record of trial 3".

    Raises:
        RecordError: It holds something that JSON cannot.
    """
    try:
        try:
            text = _encode(data)
        except ValueError:
            text = _encode(_finite(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{what} cannot be written as JSON: {error}") from error
    # Lone surrogates, as in file names that are not UTF-8, come out as JSON's own escapes.
    return text.encode("utf-8", "backslashreplace")


def parse(raw: bytes, *, uri: str, limit_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in a file's bytes.

    Args:
        raw: The file.
        uri: What messages call it.
        limit_bytes: The most that is taken apart: a small text can become a large value.

    Raises:
        RecordError: It is not a JSON object; the message names `uri`.
    """
    if len(raw) > limit_bytes:
        raise too_large(uri, limit_bytes)
    try:
        data = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{uri} is not JSON: {error!s:.200}") from error
    if not isinstance(data, dict):
        raise RecordError(f"{uri} holds no JSON object but {type(data).__name__}")
    return data


def dump_manifest(manifest: Manifest) -> bytes:
    """The bytes of a manifest's file.

    Raises:
        RecordError: It holds something that JSON cannot.
    """
    return dump(manifest.to_json(), what="the manifest")


def parse_manifest(raw: bytes, *, run_uri: str) -> Manifest:
    """The manifest in a file's bytes.

    Args:
        raw: The file.
        run_uri: The run in whose folder it is.

    Raises:
        RecordError: It is not a manifest, or names a run of another folder.
    """
    uri = f"{run_uri}/{names.MANIFEST}"
    manifest = _parse_as("a manifest", Manifest.from_json, raw, uri)
    _, sweep, run_id = names.split_run_uri(run_uri)
    if (manifest.sweep, manifest.run_id) != (sweep, run_id):
        raise RecordError(
            f"{uri} is of the run {manifest.sweep}/{manifest.run_id}, but its folder is that of "
            f"{sweep}/{run_id}: a run's folder keeps its name, whoever moves it"
        )
    return manifest


def dump_record(record: Record, *, former: tuple[str, ...] = ()) -> bytes:
    """The bytes of a record's file, its texts cut so that no trial can bloat it.

    Args:
        record: The record; all details but the last attempt's are cut further, since
            `attempts/` keeps them whole.
        former: The epochs this record takes the place of.

    Raises:
        RecordError: It holds something that JSON cannot.
    """
    data = record.to_json()
    data["log_tail"] = keep_end(record.log_tail, LOG_TAIL_BYTES)
    data["reason"] = keep_end(record.reason, DETAIL_BYTES)
    last = len(record.attempts) - 1
    for index, attempt in enumerate(data["attempts"]):
        _cut_diagnosis(attempt, DETAIL_BYTES if index == last else _OLDER_DETAIL_BYTES)
    if former:
        data["former_epochs"] = former
    return dump(data, what=f"the record of trial {record.number}")


def parse_record(raw: bytes, *, uri: str) -> Record:
    """The record in a file's bytes.

    Raises:
        RecordError: It is not a record; the message names `uri`.
    """
    return _parse_as("a record", Record.from_json, raw, uri, limit_bytes=RECORD_BYTES)


def parse_head(raw: bytes, *, uri: str) -> RecordHead:
    """The epoch, state and former epochs in a record's file.

    Raises:
        RecordError: It is not a record; the message names `uri`.
    """
    return _parse_as("a record", _head, raw, uri, limit_bytes=RECORD_BYTES)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _head(data: Mapping[str, Any]) -> RecordHead:
    check_kinds(data, {"epoch": TEXT, "former_epochs": list_of(TEXT)})
    former = tuple(data.get("former_epochs", ()))
    return RecordHead(data["epoch"], TrialState(data["state"]), former)


def dump_attempt(attempt: Attempt, *, number: int) -> bytes:
    """The bytes of an attempt's file.

    Raises:
        RecordError: It holds something that JSON cannot.
    """
    data = attempt.to_json()
    _cut_diagnosis(data, DETAIL_BYTES)
    return dump(data, what=f"attempt {attempt.number} of trial {number}")


def parse_attempt(raw: bytes, *, uri: str) -> Attempt:
    """The attempt in a file's bytes.

    Raises:
        RecordError: It is not an attempt; the message names `uri`.
    """
    return _parse_as("an attempt", Attempt.from_json, raw, uri, limit_bytes=RECORD_BYTES)


def _parse_as(
    what: str,
    make: Callable[[Mapping[str, Any]], T],
    raw: bytes,
    uri: str,
    *,
    limit_bytes: int = MAX_BYTES,
) -> T:
    data = parse(raw, uri=uri, limit_bytes=limit_bytes)
    try:
        return make(data)
    except (
        RecordError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        missing = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RecordError(f"{uri} is not {what}: {one_line(missing)}") from error


def one_line(text: str) -> str:
    """The text of an error in one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= _LINE_BYTES else line[: _LINE_BYTES - 1] + "…"


def keep_end(text: str, max_bytes: int) -> str:
    """The text, or its last part behind a mark, in at most `max_bytes` of UTF-8."""
    if len(text) * 4 <= max_bytes:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= max_bytes:
        return text
    kept = max_bytes - len(_CUT.encode())
    return _CUT + encoded[-kept:].decode("utf-8", "ignore")


def _cut_diagnosis(attempt: dict[str, Any], detail_bytes: int) -> None:
    diagnosis = attempt["diagnosis"]
    if diagnosis is not None:
        diagnosis["detail"] = keep_end(diagnosis["detail"], detail_bytes)
        for name in ("summary", "resolution"):
            diagnosis[name] = keep_end(diagnosis[name], _LINE_BYTES)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
