"""What is kept of a trial: plain frozen values, and their JSON form."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from podmap.errors import RecordError
from podmap.json_kinds import (
    NUMBER,
    SHALLOW,
    TEXT,
    TIME,
    WHOLE,
    Kind,
    check_kinds,
    is_number,
    list_of,
    objects_of,
    optional,
)

SCHEMA = 1


class TrialState(str, enum.Enum):
    """Where a trial stands. `UNKNOWN` means "could not ask" and is never terminal."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        """Whether the trial has ended, in this epoch."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED, TrialState.CANCELLED}
)


class Category(str, enum.Enum):
    """Why an attempt did not end well, or, as `QUOTA` does, why it only waits."""

    USER_EXIT = "user_exit"
    USER_TIMEOUT = "user_timeout"
    OOM = "oom"
    EVICTED = "evicted"
    PREEMPTED = "preempted"
    NODE_LOST = "node_lost"
    NODE_REJECTED = "node_rejected"
    IMAGE_PULL = "image_pull"
    UNSCHEDULABLE = "unschedulable"
    QUOTA = "quota"
    CREATE_ERROR = "create_error"
    NO_RESULT = "no_result"
    BAD_RESULT = "bad_result"
    CANCELLED = "cancelled"
    PRUNED = "pruned"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an attempt did not end well, in words for a person.

    Attributes:
        category: The kind, which decides the retry budget.
        summary: One line.
        detail: What was seen: exit code, message, the last lines of the log.
        resolution: What to do about it.
        own: Whether it comes of what this trial alone has, so says nothing of the others.
    """

    category: Category
    summary: str
    detail: str = ""
    resolution: str = ""
    own: bool = False

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as a JSON object."""
        data = {**_values(self), "category": self.category.value}
        if not self.own:
            del data["own"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Diagnosis:
        """The diagnosis in a JSON object made by `to_json`."""
        detail, resolution = data.get("detail", ""), data.get("resolution", "")
        check_kinds(data, _DIAGNOSIS)
        own = data.get("own") is True
        return cls(Category(data["category"]), data["summary"], detail, resolution, own)


@dataclass(frozen=True, slots=True)
class Shard:
    """The piece of data that defines a trial.

    Attributes:
        uri: The piece's URI, or its absolute path where paths were asked for; a folder's ends
            with a slash.
        name: The last part of the URI, without the slash.
        index: The piece's place in the sorted list, from 0.
        version: What changes when the data change: an etag, or size and mtime.
    """

    uri: str
    name: str
    index: int
    version: str = ""

    def to_json(self) -> dict[str, Any]:
        """The shard as a JSON object."""
        return _values(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Shard:
        """The shard in a JSON object made by `to_json`."""
        check_kinds(data, _SHARD)
        return cls(data["uri"], data["name"], data["index"], data.get("version", ""))


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of params to be tried.

    Attributes:
        number: Dense from 0 within the run.
        key: Stable content hash; equal keys mean equal work.
        seed: What the training code gets as `PODMAP_SEED`; from 0 to 2**31 - 1.
        params: Name to value: number, text, boolean, None, or lists of these.
        shard: The piece of data, for `shards` searches.
        patch: The list item's own `trial:` differences, as written; empty if none.
        repeat: Which of the trials with these params it is, from 0; see `search.repeats`.
        example: Whether the params are only an example of what it may get: a search that learns
            is asked for them when the trial can start.
    """

    number: int
    key: str
    seed: int
    params: Mapping[str, Any]
    shard: Shard | None = None
    patch: Mapping[str, Any] = field(default_factory=dict)
    repeat: int = 0
    example: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One pod or process of a trial, as kept in the ledger.

    Attributes:
        number: From 1 within the trial; never that of another attempt that was kept, whatever
            the epoch. One that vanished before anybody saw it lends its number to the next.
        pod: Name of the pod or process.
        node: Node or host name.
        image_id: The image's digest; empty for processes.
        started: UTC ISO 8601; None if it never started.
        finished: UTC ISO 8601.
        exit_code: From 0 to 255, 128 + n where signal n ended it; None if unknown.
        diagnosis: Why it did not end well; None when it did.
        memory_bytes: The memory it was given; None if unlimited.
        log_uri: Where the tail of its log is kept.
    """

    number: int
    pod: str
    node: str = ""
    image_id: str = ""
    started: str | None = None
    finished: str | None = None
    exit_code: int | None = None
    diagnosis: Diagnosis | None = None
    memory_bytes: int | None = None
    log_uri: str = ""

    def to_json(self) -> dict[str, Any]:
        """The attempt as a JSON object."""
        data = _values(self)
        data["diagnosis"] = self.diagnosis.to_json() if self.diagnosis else None
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attempt:
        """The attempt in a JSON object made by `to_json`.

        Raises:
            RecordError: The object is not an attempt.
        """
        values = _known(cls, data, "attempt")
        check_kinds(values, _ATTEMPT)
        if values.get("diagnosis") is not None:
            values["diagnosis"] = Diagnosis.from_json(values["diagnosis"])
        return cls(**values)


Report = tuple[int, Mapping[str, float | None]]
"""A step, and what was reported at it: metric name to number, None where it was NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a trial. Times are UTC ISO 8601, durations in seconds.

    Attributes:
        number: The trial's number.
        key: The trial's content hash.
        epoch: The asking this record answers.
        state: Where the trial stands.
        params: As `Trial.params`.
        seed: As `Trial.seed`.
        repeat: As `Trial.repeat`; `number - repeat` is the first trial with these params.
        shard: As `Trial.shard`.
        metrics: Metric name to number; None where the trial gave NaN.
        objective: The objective's value; a list where there are several; None if none.
        outputs: Name to URI of what the trial left.
        attempts: Oldest first.
        reason: For a person: why it failed, or what to be warned of.
        log_tail: The last lines of the last attempt's log.
        started: When the first attempt of this epoch started.
        finished: When the trial ended.
        duration_s: From `started` to `finished`.
        queued_s: From the asking to the first start of a container or process; while the trial
            runs, to when its first attempt was asked for. None if none has started.
        gpu_seconds: GPUs times the seconds they were held, over all attempts.
        reports: What its attempts have reported, by step; at most about 200 steps, spread evenly.
    """

    number: int
    key: str
    epoch: str
    state: TrialState
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    repeat: int = 0
    shard: Shard | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    objective: float | list[float] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    reason: str = ""
    log_tail: str = ""
    started: str | None = None
    finished: str | None = None
    duration_s: float | None = None
    queued_s: float | None = None
    gpu_seconds: float = 0.0
    reports: tuple[Report, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as the JSON object of `trials/<number>.json`."""
        data = {"schema": SCHEMA, **_values(self)}
        data["state"] = self.state.value
        data["params"] = dict(self.params)
        data["metrics"] = dict(self.metrics)
        data["outputs"] = dict(self.outputs)
        data["shard"] = self.shard.to_json() if self.shard else None
        data["attempts"] = [attempt.to_json() for attempt in self.attempts]
        data["reports"] = [[step, dict(values)] for step, values in self.reports]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """The record in a JSON object made by `to_json`.

        Raises:
            RecordError: The object is not a record, or of a newer schema.
        """
        if data.get("schema") != SCHEMA:
            raise RecordError(
                f"record schema {data.get('schema')!r} is not {SCHEMA}: "
                "it was written by another version of podmap"
            )
        values = _known(cls, data, "record")
        check_kinds(values, _RECORD)
        values["state"] = TrialState(values["state"])
        if values.get("shard") is not None:
            values["shard"] = Shard.from_json(values["shard"])
        values["attempts"] = tuple(Attempt.from_json(a) for a in values.get("attempts", ()))
        values["reports"] = tuple((step, known) for step, known in values.get("reports", ()))
        return cls(**values)


@functools.cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(cls))


def _values(value: object) -> dict[str, Any]:
    kind: type = type(value)
    return {name: getattr(value, name) for name in _names(kind)}


def _is_report(value: Any) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    step, known = value
    return type(step) is int and abs(step) < 2**63 and objects_of(optional(NUMBER))[1](known)


def _known(cls: type, data: Mapping[str, Any], what: str) -> dict[str, Any]:
    values = {name: data[name] for name in _names(cls) if name in data}
    if "number" not in values:
        raise RecordError(f"not a {what}: it has no number")
    return values


_DIAGNOSIS: dict[str, Kind] = {"summary": TEXT, "detail": TEXT, "resolution": TEXT}
_SHARD: dict[str, Kind] = {"uri": TEXT, "name": TEXT, "index": WHOLE, "version": TEXT}
_ATTEMPT: dict[str, Kind] = {
    **dict.fromkeys(("pod", "node", "image_id", "log_uri"), TEXT),
    **dict.fromkeys(("started", "finished"), optional(TIME)),
    "number": ("a whole number from 1", lambda value: WHOLE[1](value) and value > 0),
    **dict.fromkeys(("exit_code", "memory_bytes"), optional(WHOLE)),
    "diagnosis": optional(SHALLOW),
}
_RECORD: dict[str, Kind] = {
    **dict.fromkeys(("key", "epoch", "reason", "log_tail"), TEXT),
    **dict.fromkeys(("started", "finished"), optional(TIME)),
    **dict.fromkeys(("number", "seed", "repeat"), WHOLE),
    **dict.fromkeys(("duration_s", "queued_s"), optional(NUMBER)),
    "gpu_seconds": NUMBER,
    "params": SHALLOW,
    "shard": optional(SHALLOW),
    "metrics": objects_of(optional(NUMBER)),
    "objective": (
        "a finite number, a list of them, or null",
        lambda value: value is None or is_number(value) or list_of(NUMBER)[1](value),
    ),
    "outputs": objects_of(TEXT),
    "attempts": list_of(("objects", lambda value: isinstance(value, Mapping))),
    "reports": list_of(("pairs of a step and its metrics", _is_report)),
}
