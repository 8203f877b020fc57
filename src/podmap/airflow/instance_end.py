"""How a mapped instance ends with its trials: its state, and the XComs that it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from podmap.airflow.links import RECORD_KEY
from podmap.records import Record, TrialState

FAILURE_KEY = "failure"
"""XCom of a failed instance: what the exception of its callbacks is made of."""
REASON_KEY = "reason"
"""XCom of an instance with one trial that is not COMPLETE."""
TIMES_KEY = "times"
"""XCom of an instance with one trial."""
TIMES = ("started", "finished", "queued_s", "duration_s")
DETAIL_CHARS = 2000


def end_state(records: Iterable[Record], *, lost: bool = False) -> str:
    """How an instance ends with its trials: "failed", "skipped" or "success".

    Args:
        records: Of its trials.
        lost: Whether a trial has no record.
    """
    states = {record.state for record in records}
    if lost or TrialState.FAILED in states:
        return "failed"
    return "skipped" if states == {TrialState.CANCELLED} else "success"


def end_xcoms(
    records: Sequence[Record],
    objectives: Sequence[str],
    *,
    lost: bool = False,
    link: str = "",
) -> dict[str, Any]:
    """XComs of an ended instance.

    Of one with one trial they are the objectives, or the reason of its end, and its times: for
    Airflow it began when it was deferred, and a trigger cannot say otherwise.

    Args:
        records: Of its trials.
        objectives: Names of metrics.
        lost: Whether a trial has no record.
        link: Where a browser finds the record of the first; empty if nowhere.
    """
    xcoms: dict[str, Any] = {}
    if len(records) == 1 and not lost:
        (record,) = records
        metrics = record.metrics
        xcoms = {name: metrics[name] for name in objectives if name in metrics}
        if record.state is not TrialState.COMPLETE:
            xcoms[REASON_KEY] = record.reason
        if record.started:
            xcoms[TIMES_KEY] = {name: getattr(record, name) for name in TIMES}
    if link:
        xcoms[RECORD_KEY] = link
    if failure := _failure(records):
        xcoms[FAILURE_KEY] = failure
    return xcoms


def _failure(records: Sequence[Record]) -> dict[str, Any]:
    """What the exception of a failed instance is made of; empty if no attempt says why."""
    failed = [record for record in records if record.state is TrialState.FAILED]
    for record in failed:
        last = record.attempts[-1] if record.attempts else None
        if last is not None and last.diagnosis is not None:
            diagnosis = last.diagnosis.to_json()
            return {
                "number": record.number,
                "attempt": last.number,
                "diagnosis": {**diagnosis, "detail": diagnosis["detail"][-DETAIL_CHARS:]},
                "others": [each.number for each in failed if each is not record],
            }
    return {}
