"""The objective's limits and its target, and which trials miss those and have reached this."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podmap.records import Record, TrialState
from podmap.spec.model import Objective


@dataclass(frozen=True, slots=True)
class ReachedTarget:
    """That the target is reached.

    Attributes:
        numbers: The trials that have reached it: one, or all repeats of some params.
        at: When the last of them ended, UTC ISO 8601; empty if that is not known.
        text: The same for a person.
    """

    numbers: tuple[int, ...]
    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Missed:
    """That a trial misses limits of `objective.where`.

    Attributes:
        by: By how much, each in parts of its limit, summed; more than 0.
        text: The first of them, for a person.
    """

    by: float
    text: str


def missed_limits(
    metrics: Mapping[str, float | None], objectives: Sequence[Objective]
) -> Missed | None:
    """Which limits a trial misses; None if it meets all, or there are none.

    A metric that is not there, or no finite number, misses its limit by the whole of it.

    Args:
        metrics: Of the trial, or the means of its repeats.
        objectives: As the spec has them.
    """
    by, texts = 0.0, []
    for name, limit in ((n, one) for goal in objectives for n, one in goal.where.items()):
        value = metrics.get(name)
        if value is None or not math.isfinite(value):
            by += 1.0
            texts.append(f"there is no {name}")
        elif limit.at_most is not None and value > limit.at_most:
            by += (value - limit.at_most) / (abs(limit.at_most) or 1.0)
            texts.append(f"{name} {value:.6g} is more than {limit.at_most:.6g}")
        elif limit.at_least is not None and value < limit.at_least:
            by += (limit.at_least - value) / (abs(limit.at_least) or 1.0)
            texts.append(f"{name} {value:.6g} is less than {limit.at_least:.6g}")
    return Missed(by, f"{texts[0]} (objective.where)") if texts else None


class TargetTally:
    """Knows which trials have a value for the objective, and whether that reaches the target.

    Records may be counted more than once and in any order: what counts is how a trial stands.
    With several objectives, those that have a target must be reached all at once. With repeats,
    the mean counts, once all trials of some params are COMPLETE. A trial that misses a limit of
    `objective.where` reaches nothing, nor do the repeats of which one does.
    """

    def __init__(self, objectives: Sequence[Objective], *, repeats: int = 1) -> None:
        """Nothing is counted yet.

        Args:
            objectives: As the spec has them; those without a target play no part.
            repeats: How many trials each set of params has.
        """
        self._goals = tuple(goal for goal in objectives if goal.target is not None)
        self._objectives = tuple(objectives)
        self._repeats = repeats
        self._values: dict[int, dict[int, tuple[tuple[float, ...], str]]] = {}
        self._reached: dict[int, ReachedTarget] = {}

    @property
    def given(self) -> bool:
        """Whether there is a target."""
        return bool(self._goals)

    @property
    def reached(self) -> ReachedTarget | None:
        """That the target is reached, by those who were first; None if it is not."""
        return min(self._reached.values(), key=lambda one: (one.at, one.numbers), default=None)

    def siblings(self, record: Record) -> range:
        """The numbers of the trials with the same params, this one among them."""
        first = record.number - record.repeat
        return range(first, first + self._repeats)

    def count_record(self, record: Record) -> None:
        """Counts how a trial stands."""
        if not self._goals:
            return
        counts = _is_complete(record) and missed_limits(record.metrics, self._objectives) is None
        values = _values(record.metrics, self._goals) if counts else None
        if values is None:
            self.forget_trial(record.number, repeat=record.repeat)
            return
        first = record.number - record.repeat
        self._values.setdefault(first, {})[record.number] = (values, record.finished or "")
        self._judge(first)

    def forget_trial(self, number: int, *, repeat: int | None = None) -> None:
        """Counts a trial as one that has no value: it is run again.

        Args:
            number: The trial.
            repeat: Its place among the trials with the same params; None to find it out.
        """
        if not self._values:
            return
        first = number - (number % self._repeats if repeat is None else repeat)
        if self._values.get(first, {}).pop(number, None) is not None:
            self._judge(first)

    def _judge(self, first: int) -> None:
        self._reached.pop(first, None)
        own = self._values[first]
        if len(own) < self._repeats:
            return
        columns = zip(*(values for values, _ in own.values()), strict=True)
        means = [mean(column) or 0.0 for column in columns]
        if all(map(_reaches, means, self._goals)):
            numbers = tuple(sorted(own))
            at = max(finished for _, finished in own.values())
            self._reached[first] = ReachedTarget(numbers, at, _text(numbers, means, self._goals))


def mean(values: Sequence[float]) -> float | None:
    """The mean of finite numbers; None of nothing."""
    if not values:
        return None
    try:
        found = math.fsum(values) / len(values)
    except OverflowError:  # the sum is too large, and the mean is not
        found = math.fsum(value / len(values) for value in values)
    # Rounded, it may lie beyond them: three times the same value is that value.
    return min(max(found, float(min(values))), float(max(values)))


def _is_complete(record: Record) -> bool:
    return record.state is TrialState.COMPLETE


def _values(
    metrics: Mapping[str, float | None], goals: Sequence[Objective]
) -> tuple[float, ...] | None:
    values = [metrics.get(goal.metric) for goal in goals]
    known = tuple(value for value in values if value is not None and math.isfinite(value))
    return known if len(known) == len(goals) else None


def _reaches(value: float, goal: Objective) -> bool:
    target = goal.target if goal.target is not None else math.nan
    return value >= target if goal.direction == "maximize" else value <= target


def _text(numbers: Sequence[int], means: Sequence[float], goals: Sequence[Objective]) -> str:
    several = len(numbers) > 1
    who = f"trials {numbers[0]} to {numbers[-1]} have" if several else f"trial {numbers[0]} has"
    told = []
    for value, goal in zip(means, goals, strict=True):
        side = "at least" if goal.direction == "maximize" else "at most"
        told.append(f"{goal.metric} {value:.6g} is {side} {goal.target:.6g}")
    of = "their mean " if several else ""
    return f"{who} reached the target: {of}{', '.join(told)} (objective.target)"
