"""The curves of a run's trials: of each the best reported value so far, by step."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from podmap.names import is_older_epoch
from podmap.records import Record, TrialState

MOST_POINTS = 100
"""Of a curve; of more every second one is dropped."""
MOST_TABLES = 600


@dataclass(slots=True)
class Curve:
    """How good a trial has been by which step, the greater the better, in bounded memory.

    Attributes:
        epoch: The asking that it is of.
        last_step: The last step that was reported; steps that go back count for nothing.
        last: The value there; minus infinity for NaN and infinities.
        complete: Whether the trial is COMPLETE.
    """

    epoch: str = ""
    last_step: int | None = None
    last: float = -math.inf
    complete: bool = False
    _steps: list[int] = field(default_factory=list)
    _bests: list[float] = field(default_factory=list)

    def add(self, step: int, value: float) -> bool:
        """Whether the report is news: of a step after all that are known."""
        if self.last_step is not None and step <= self.last_step:
            return False
        self.last_step, self.last = step, value
        if not self._bests or value > self._bests[-1]:
            self._steps.append(step)
            self._bests.append(value)
            if len(self._steps) > MOST_POINTS:  # first and last stay
                del self._steps[1:-1:2], self._bests[1:-1:2]
        return True

    @property
    def best(self) -> float:
        """The best value so far."""
        return self._bests[-1] if self._bests else -math.inf

    @property
    def best_step(self) -> int:
        """The step of the best value; the first one if no value is a number."""
        return self._steps[-1] if self._steps else 0

    def best_by(self, step: int) -> float | None:
        """The best value up to a step; None if the trial has not come so far, or begun later."""
        if self.last_step is None or self.last_step < step:
            return None
        index = bisect.bisect_right(self._steps, step)
        return self._bests[index - 1] if index else None

    def points(self) -> list[tuple[int, float]]:
        """Steps at which it got better, with the values, and the last step with its value."""
        points = list(zip(self._steps, self._bests, strict=True))
        if self.last_step is not None and self._steps[-1] != self.last_step:
            points.append((self.last_step, self.last))
        return points


class Curves:
    """The curves of all trials of a run, and how they stand to each other at steps.

    It is made of reports in any order between trials, told once or more often, and gives the same
    for the same reports: a function of the records. Values are the greater the better: the caller
    turns those around that are to be small. Not safe to use from several threads.
    """

    def __init__(self, *, metric: str, maximize: bool, only_complete: bool = False) -> None:
        """There are no curves.

        Args:
            metric: The objective's.
            maximize: Whether greater values of it are better.
            only_complete: Whether trials count in `standings` only when they are COMPLETE.
        """
        self.metric = metric
        self._sign = 1 if maximize else -1
        self._only_complete = only_complete
        self._curves: dict[int, Curve] = {}
        self._tables: dict[int, list[float]] = {}
        self.complete = 0
        self.longest = 0

    def goodness(self, value: object) -> float:
        """A reported value as the greater the better; minus infinity where it is no number."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return -math.inf
        try:
            good = self._sign * float(value)
        except OverflowError:
            return -math.inf
        return good if math.isfinite(good) else -math.inf

    def reported(self, good: float) -> float:
        """A value of a curve as it was reported."""
        return self._sign * good

    def shown(self, good: float) -> str:
        """The same, for a person."""
        return f"{self.reported(good):.6g}" if math.isfinite(good) else "no number"

    def curve(self, number: int) -> Curve:
        """The curve of a trial; an empty one if nothing is known."""
        return self._curves.get(number) or Curve()

    def count_record(self, record: Record) -> None:
        """Counts all that a record tells."""
        for step, values in record.reports:
            if self.metric in values:
                self.add(record.number, record.epoch, step, self.goodness(values[self.metric]))
        if record.state is TrialState.COMPLETE:
            self.mark_complete(record.number, record.epoch)

    def add(self, number: int, epoch: str, step: int, good: float) -> int | None:
        """Counts a report.

        Returns:
            The step of the report before, `step - 1` for the first one; None if it is no news.
        """
        curve = self._curve_of(number, epoch)
        before = curve.last_step if curve is not None else None
        if curve is None or not curve.add(step, good):
            return None
        before = step - 1 if before is None else before
        self.longest = max(self.longest, step)
        if not self._only_complete:
            self._count(curve, after=before)
        return before

    def mark_complete(self, number: int, epoch: str) -> None:
        """Counts a trial as COMPLETE, if something of it is known."""
        curve = self._curve_of(number, epoch)
        if curve is None or curve.complete or curve.last_step is None:
            return
        curve.complete = True
        self.complete += 1
        if self._only_complete:
            self._count(curve, after=None)

    def standings(self, step: int) -> Sequence[float]:
        """The best values up to a step, from worst to best, of all trials that came so far."""
        table = self._tables.get(step)
        if table is None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            table = self._tables[step] = sorted(self._bests_by(step))
        return table

    def _bests_by(self, step: int) -> Iterable[float]:
        for curve in self._curves.values():
            best = curve.best_by(step)
            if best is not None and (curve.complete or not self._only_complete):
                yield best

    def _curve_of(self, number: int, epoch: str) -> Curve | None:
        """The curve to go on with; a new one for a new asking, None for an old one."""
        curve = self._curves.get(number)
        if curve is not None and curve.epoch != epoch:
            if is_older_epoch(epoch, curve.epoch):
                return None
            self.complete -= curve.complete
            self._tables.clear()
            curve = None
        if curve is None:
            curve = self._curves[number] = Curve(epoch)
        return curve

    def _count(self, curve: Curve, *, after: int | None) -> None:
        for step, table in self._tables.items():
            best = curve.best_by(step) if after is None or step > after else None
            if best is not None:
                bisect.insort(table, best)
