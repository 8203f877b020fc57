"""How long a run was at work: the time in which it had trials, without the time it lay idle."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator

from podmap.clock import parse_iso
from podmap.records import Attempt, Category, Record


class BusyTime:
    """The time in which a run had trials that ran or waited, over any number of records.

    What lies between an interrupt and a resume counts for nothing, nor does a trial that was
    reused: the run did not do it. That pods wait for room is a part of the run's time.
    """

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._starts, self._ends, self._interrupted = array("d"), array("d"), array("b")

    def add(self, record: Record) -> None:
        """Counts a trial's part."""
        for start, end, interrupted in _spans(record):
            self._starts.append(start)
            self._ends.append(max(start, end))
            self._interrupted.append(interrupted)

    def seconds(self) -> float | None:
        """What it comes to; None if nothing has run."""
        if not self._starts:
            return None
        spans = sorted(zip(self._starts, self._ends, self._interrupted, strict=True))
        total, until, idle = 0.0, spans[0][0], False
        for start, end, interrupted in spans:
            if end > until:
                total += end - (max(start, until) if idle else until)
                until, idle = end, bool(interrupted)
        return round(total, 3)


def attempts_s(record: Record) -> float | None:
    """Seconds that the attempts ran, where there were several: a pause between is no work."""
    if record.duration_s is None or len(record.attempts) < 2:
        return record.duration_s
    spans = [
        max(0.0, _seconds(attempt.finished) - _seconds(attempt.started))
        for attempt in record.attempts
        if attempt.started and attempt.finished
    ]
    return round(math.fsum(spans), 3) if spans else record.duration_s


def interrupted_attempts(record: Record) -> int:
    """How many attempts were ended from outside, so that the next one is no retry."""
    return sum(map(_was_interrupted, record.attempts))


def _spans(record: Record) -> Iterator[tuple[float, float, bool]]:
    """From when to when the trial was under way, and whether an interrupt was the end."""
    start = record.started
    end: str | None = None
    for attempt in record.attempts:
        start, end = start or attempt.started, attempt.finished
        if _was_interrupted(attempt):
            if start and end:
                yield _seconds(start), _seconds(end), True
            start = end = None
    if start and (end or record.finished):
        yield _seconds(start), _seconds(record.finished or end or start), False


def _was_interrupted(attempt: Attempt) -> bool:
    return attempt.diagnosis is not None and attempt.diagnosis.category is Category.CANCELLED


def _seconds(text: str) -> float:
    return parse_iso(text).timestamp()
