"""The one owner of names: ids, pods, labels, the files of a run, and URIs in a store."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

LABEL_PREFIX = "podmap.io"
SWEEP_LABEL = f"{LABEL_PREFIX}/sweep"
RUN_LABEL = f"{LABEL_PREFIX}/run"
TRIAL_LABEL = f"{LABEL_PREFIX}/trial"
ATTEMPT_LABEL = f"{LABEL_PREFIX}/attempt"
EPOCH_LABEL = f"{LABEL_PREFIX}/epoch"
MANAGED_BY = "app.kubernetes.io/managed-by"
MAX_SWEEP_NAME = 40
RUN_ID_LENGTH = 8
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_UUID_LENGTH = 36
_RUN_ID = re.compile(r"[0-9a-f]{8}")
_ATTEMPT_NAME = re.compile(
    r"[a-z0-9][-a-z0-9]*-(?P<run>[0-9a-f]{8})-(?P<number>[0-9]+)-a(?P<attempt>[0-9]+)"
)
_RECORD_FILE = re.compile(r"(0|[1-9][0-9]*)\.json")
_ATTEMPT_FILE = re.compile(r"(0|[1-9][0-9]*)-a([1-9][0-9]*)\.json")
_REPORT_FILE = re.compile(r"([0-9a-f]{8})-(0|[1-9][0-9]{0,8})\.jsonl")
_RECORD_URI = re.compile(r"(?:.*/)?(?P<run>[^/]+)/(?P<path>trials/[0-9]+\.json)", re.DOTALL)

TRIALS = "trials"
ATTEMPTS = "attempts"
KEYS = "keys"
ADDED = "added"
REPORTS = "reports"
MANIFEST = "manifest.json"
RUN_STATE = "run.json"
SUMMARY = "summary.json"
BOARD = "board.json.gz"
LEADERBOARD = "leaderboard.csv"
REPORT = "report.html"
CALLED = "called.json"


def is_dns_label(text: str, *, max_length: int = 63) -> bool:
    """Whether `text` is a DNS label (RFC 1123) of at most `max_length` characters."""
    return len(text) <= max_length and _DNS_LABEL.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Whether `text` has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def digest(value: Any, *, length: int = 16) -> str:
    """A stable hexadecimal content hash of a JSON value, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def content_digest(raw: bytes) -> str:
    """The digest of a file's bytes, by which it is known again."""
    return hashlib.sha256(raw).hexdigest()


def new_run_id() -> str:
    """A fresh run id, for runs started by the command line."""
    return secrets.token_hex(RUN_ID_LENGTH // 2)


def run_id_for(*parts: str) -> str:
    """The run id of an owner, for example of (deployment, dag_id, run_id, group_id)."""
    return digest(list(parts), length=RUN_ID_LENGTH)


def new_epoch() -> str:
    """A fresh epoch, for invocations of the command line."""
    return secrets.token_hex(8)


def epoch_time(epoch: str) -> datetime | None:
    """When a trial was asked for, as far as its epoch tells: one that ends with a UUID 7 does.

    Airflow's ids of task instances are such.
    """
    try:
        made = uuid.UUID(epoch[-_UUID_LENGTH:])
    except ValueError:
        return None
    if made.version != 7:
        return None
    return datetime.fromtimestamp((made.int >> 80) / 1000, timezone.utc)


def is_older_epoch(epoch: str, other: str) -> bool:
    """Whether one asking is known to be older than another: both epochs carry their time."""
    asked, asked_other = epoch_time(epoch), epoch_time(other)
    return asked is not None and asked_other is not None and asked < asked_other


def attempt_name(sweep: str, run_id: str, number: int, attempt: int) -> str:
    """The name of an attempt's pod or process, at most 63 characters."""
    return f"{sweep}-{run_id}-{number}-a{attempt}"


@functools.lru_cache(maxsize=1024)
def parse_attempt_name(name: str) -> tuple[str, int, int]:
    """The run id, trial number and attempt number in a name made by `attempt_name`.

    Raises:
        ValueError: The text is not such a name.
    """
    match = _ATTEMPT_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"not the name of an attempt: {name!r}")
    return match["run"], int(match["number"]), int(match["attempt"])


def attempt_labels(
    *, sweep: str, run_id: str, number: int, attempt: int, epoch: str
) -> Mapping[str, str]:
    """The labels that tell whose an attempt is."""
    return {
        MANAGED_BY: "podmap",
        SWEEP_LABEL: sweep,
        RUN_LABEL: run_id,
        TRIAL_LABEL: str(number),
        ATTEMPT_LABEL: str(attempt),
        EPOCH_LABEL: epoch,
    }


def run_labels(run_id: str) -> dict[str, str]:
    """The labels of all that podmap manages for a run."""
    return {MANAGED_BY: "podmap", RUN_LABEL: run_id}


def is_own_key(key: str) -> bool:
    """Whether the key of a label or annotation is under podmap's own prefix."""
    return key.startswith(f"{LABEL_PREFIX}/")


def record_path(number: int) -> str:
    """The path of a trial's record inside its run."""
    return f"trials/{number}.json"


def former_path(number: int, count: int) -> str:
    """The path, inside its run, of a record that was taken away so that the trial is run again."""
    return f"former/{number}-{count}.json"


def former_state_path(raw: bytes) -> str:
    """The path, inside its run, of a `run.json` that could not be understood.

    Args:
        raw: Its bytes.
    """
    return f"former/run-{content_digest(raw)[:8]}.json"


def parse_record_file(name: str) -> int | None:
    """The trial whose record a file in `TRIALS` is; None if it is none."""
    match = _RECORD_FILE.fullmatch(name)
    return int(match[1]) if match else None


def attempt_path(number: int, attempt: int) -> str:
    """The path of an attempt's file inside its run."""
    return f"attempts/{number}-a{attempt}.json"


def parse_attempt_file(name: str) -> tuple[int, int] | None:
    """The trial and the attempt that a file in `ATTEMPTS` is about; None if it is none."""
    match = _ATTEMPT_FILE.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def report_path(writer: str, part: int) -> str:
    """The path of a part of what one process tells of reports, inside its run."""
    return f"{REPORTS}/{writer}-{part}.jsonl"


def parse_report_file(name: str) -> tuple[str, int] | None:
    """The writer and the part of a file in `REPORTS`; None if it is none."""
    match = _REPORT_FILE.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def log_path(number: int, attempt: int) -> str:
    """The path of the tail of an attempt's log inside its run."""
    return f"logs/{number}-a{attempt}.log"


def log_piece_path(number: int, attempt: int, piece: int) -> str:
    """The path of a piece of an attempt's whole log inside its run, from 0."""
    return f"logs/{number}-a{attempt}.{piece:04d}.log"


def run_uri(store: str, sweep: str, run_id: str) -> str:
    """The URI of a run in a store, without a trailing slash."""
    return f"{store.rstrip('/')}/{sweep}/{run_id}"


def split_run_uri(uri: str) -> tuple[str, str, str]:
    """The store, sweep and run id in a URI made by `run_uri`."""
    folder, _, run_id = uri.rstrip("/").rpartition("/")
    store, _, sweep = folder.rpartition("/")
    return store, sweep, run_id


def split_record_uri(uri: str) -> tuple[str, str] | None:
    """The id of a record's run, and the path inside it; None if it is no record's URI."""
    match = _RECORD_URI.fullmatch(uri)
    return (match["run"], match["path"]) if match else None


def keys_uri(store: str, sweep: str) -> str:
    """The URI of the folder that has a sweep's finished trials by key."""
    return f"{store.rstrip('/')}/{sweep}/{KEYS}"
