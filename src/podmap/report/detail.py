"""One trial on its own, as the web app shows it when its row is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Attempt, Record, TrialState
from podmap.report.busy import attempts_s
from podmap.report.plain import epoch_s, plain_number, plain_value

TEXT_LENGTH = 16 * 1024
"""Of a param or the log's tail here; longer ones are cut."""


def trial_view(
    ledger: Ledger,
    manifest: Manifest,
    number: int,
    *,
    link: str | None = None,
    pod: str | None = None,
) -> dict[str, Any] | None:
    """A trial with all that is kept of it; None if the run has no such trial.

    Args:
        ledger: Of the run.
        manifest: Of the run.
        number: The trial's number.
        link: To its page in Airflow; None for none.
        pod: The exact pod as YAML; None if that is not known here.

    Raises:
        StoreError: The store could not be asked.
        RecordError: The trial's record cannot be understood.
    """
    record = ledger.read_record(number) if number >= 0 else None
    if record is None:
        if not 0 <= number < manifest.total:
            return None
        record = Record(number, "", "", TrialState.WAITING)
    found = record_view(record, record_uri=ledger.record_uri(number))
    return {**found, "manifest": pod, "link": link}


def record_view(record: Record, *, record_uri: str) -> dict[str, Any]:
    """A record as the web app shows it.

    Args:
        record: Whole.
        record_uri: Where it is.
    """
    shard = record.shard
    return {
        "number": record.number,
        "key": record.key,
        "state": record.state.value,
        "params": {name: plain_value(value, TEXT_LENGTH) for name, value in record.params.items()},
        "seed": record.seed,
        "metrics": {name: plain_number(value) for name, value in record.metrics.items()},
        "objective": _objective(record),
        "outputs": dict(record.outputs),
        "reason": record.reason[:TEXT_LENGTH],
        "log": record.log_tail[-TEXT_LENGTH:],
        "shard": {"uri": shard.uri, "name": shard.name} if shard else None,
        "started": epoch_s(record.started),
        "finished": epoch_s(record.finished),
        "duration_s": attempts_s(record),
        "queued_s": plain_number(record.queued_s),
        "gpu_s": record.gpu_seconds,
        "attempts": [_attempt(attempt) for attempt in record.attempts],
        "reports": [[step, _finite(values)] for step, values in record.reports],
        "record_uri": record_uri,
        "manifest": None,
        "link": None,
    }


def _objective(record: Record) -> float | list[float | None] | None:
    if isinstance(record.objective, (list, tuple)):
        return [plain_number(value) for value in record.objective]
    return plain_number(record.objective)


def _finite(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: plain_number(value) for name, value in values.items()}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    why = attempt.diagnosis
    return {
        "number": attempt.number,
        "pod": attempt.pod,
        "node": attempt.node,
        "image_id": attempt.image_id,
        "started": epoch_s(attempt.started),
        "finished": epoch_s(attempt.finished),
        "exit_code": attempt.exit_code,
        "memory_bytes": attempt.memory_bytes,
        "log_uri": attempt.log_uri,
        "diagnosis": None
        if why is None
        else {
            "category": why.category.value,
            "summary": why.summary,
            "detail": why.detail[:TEXT_LENGTH],
            "resolution": why.resolution,
        },
    }
