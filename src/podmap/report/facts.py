"""What the view keeps of a trial between two refreshes, ready to be put into columns."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.records import Attempt, Category, Record, Report, TrialState
from podmap.report.plain import cut, epoch_s, plain_metrics, plain_number, plain_value
from podmap.report.rows import TrialRow

CURVE_STEPS = 60
"""Steps that are kept of a trial's reports; longer ones are thinned evenly, the last one stays."""
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class ReportedCurve:
    """What a trial has reported, thinned.

    Attributes:
        steps: Ascending.
        values: Metric to one value a step; NaN where there is none.
    """

    steps: Sequence[int]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """An attempt, in seconds since 1970.

    Attributes:
        number: From 1.
        asked: When it was asked for, or what is the nearest to it.
        started: None if it has not, or never did.
        finished: None while it goes on.
        end: The category of its diagnosis; empty if it ended well or goes on.
        node: Where it ran; empty if that is not known.
    """

    number: int
    asked: float | None
    started: float | None
    finished: float | None
    end: str
    node: str

    @property
    def ran_s(self) -> float:
        """Seconds from start to end; 0 if one of them is not known."""
        if self.started is None or self.finished is None:
            return 0.0
        return max(0.0, self.finished - self.started)


@dataclass(frozen=True, slots=True)
class TrialFacts:
    """A trial as the view has it.

    Attributes:
        row: As the leaderboard has it.
        params: Name to scalar; texts are cut.
        metrics: Name to a finite number or None.
        started: Seconds since 1970.
        finished: Seconds since 1970.
        queued_s: From the asking to the first start.
        gpu_s: GPUs times the seconds they were held.
        reason: Cut.
        attempts: Oldest first; the last one may go on.
        curve: What it has reported; None if nothing.
        epoch: The asking that its record answers; empty where the snapshot was read.
        hourly_price: What its attempts cost an hour; None if that is not known.
    """

    row: TrialRow
    params: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    started: float | None
    finished: float | None
    queued_s: float | None
    gpu_s: float
    reason: str
    attempts: tuple[AttemptFacts, ...]
    curve: ReportedCurve | None = None
    epoch: str = ""
    hourly_price: float | None = None

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.row.number

    @property
    def state(self) -> TrialState:
        """Where it stands."""
        return self.row.state

    @property
    def is_pending(self) -> bool:
        """Whether it has begun, and its attempt has not started yet."""
        last = self.attempts[-1] if self.attempts else None
        return self.state is TrialState.RUNNING and (last is None or last.started is None)

    @property
    def is_tried_again(self) -> bool:
        """Whether an attempt of it has ended, and another one is to come."""
        return self.state is TrialState.WAITING and bool(self.attempts)

    @property
    def ran_s(self) -> float:
        """Seconds that its ended attempts ran, all together."""
        return sum(attempt.ran_s for attempt in self.attempts)

    @property
    def wasted_s(self) -> float:
        """Those of the attempts that did not end well."""
        return sum(attempt.ran_s for attempt in self.attempts if attempt.end in _WASTED)

    @property
    def wasted_gpu_s(self) -> float:
        """GPU-seconds of the attempts that did not end well."""
        ran_s = self.ran_s
        return self.gpu_s * self.wasted_s / ran_s if self.gpu_s and ran_s else 0.0


def trial_facts(record: Record, row: TrialRow, *, hourly_price: float | None = None) -> TrialFacts:
    """What the view keeps of a record.

    Args:
        record: Whole, or as the snapshot has it, without reports.
        row: Its row in the leaderboard.
        hourly_price: What its attempts cost an hour; None if that is not known.
    """
    started = epoch_s(record.started)
    return TrialFacts(
        row=row,
        params={cut(name): plain_value(value) for name, value in record.params.items()},
        metrics=plain_metrics(record.metrics),
        started=started,
        finished=epoch_s(record.finished),
        queued_s=plain_number(record.queued_s),
        gpu_s=record.gpu_seconds,
        reason=cut(record.reason),
        attempts=tuple(_attempts(record, started)),
        curve=thinned(record.reports),
        epoch=record.epoch,
        hourly_price=hourly_price,
    )


def thinned(reports: Sequence[Report], steps: int = CURVE_STEPS) -> ReportedCurve | None:
    """Reports as a curve of at most so many steps; None if there are none."""
    if not reports:
        return None
    kept = [reports[place] for place in even_places(len(reports), steps)]
    metrics = dict.fromkeys(name for _, values in kept for name in values)
    return ReportedCurve(
        array("q", (step for step, _ in kept)),
        {
            cut(name): array("d", (_or_nan(values.get(name)) for _, values in kept))
            for name in metrics
        },
    )


def even_places(count: int, most: int) -> list[int]:
    """Places from 0 to `count - 1`, at most so many, spread evenly, with the first and the last."""
    if count <= most:
        return list(range(count))
    if most < 2:
        return [count - 1]
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _or_nan(value: float | None) -> float:
    number = plain_number(value)
    return _NAN if number is None else float(number)


def _attempts(record: Record, started: float | None) -> list[AttemptFacts]:
    queued_s = plain_number(record.queued_s) or 0.0
    asked = None if started is None else round(started - queued_s, 3)
    found = []
    for attempt in record.attempts:
        one = _attempt(attempt, asked)
        found.append(one)
        asked = one.finished if one.finished is not None else asked
    if record.state is TrialState.RUNNING:
        number = found[-1].number + 1 if found else 1
        since = None if found else started
        found.append(AttemptFacts(number, asked, since or asked, None, "", ""))
    return found


def _attempt(attempt: Attempt, asked: float | None) -> AttemptFacts:
    started, finished = epoch_s(attempt.started), epoch_s(attempt.finished)
    if asked is None or (started is not None and asked > started):
        asked = started
    end = attempt.diagnosis.category.value if attempt.diagnosis else ""
    return AttemptFacts(attempt.number, asked, started, finished, end, cut(attempt.node))


_WASTED = frozenset(each.value for each in Category) - {Category.PRUNED.value}
