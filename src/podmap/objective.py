"""The objective's target, and whether a trial, or the mean of its repeats, has reached it."""

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


class TargetTally:
    """Knows which trials have a value for the objective, and whether that reaches the target.

    Records may be counted more than once and in any order: what counts is how a trial stands.
    With several objectives, those that have a target must be reached all at once. With repeats,
    the mean counts, once all trials of some params are COMPLETE.
    """

    def __init__(self, objectives: Sequence[Objective], *, repeats: int = 1) -> None:
        """Nothing is counted yet.

        Args:
            objectives: As the spec has them; those without a target play no part.
            repeats: How many trials each set of params has.
        """
        self._goals = tuple(goal for goal in objectives if goal.target is not None)
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
        values = _values(record.metrics, self._goals) if _is_complete(record) else None
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
