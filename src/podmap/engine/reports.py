"""The reports of a trial as its record keeps them: few steps, few metrics, numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podmap.records import Report
from podmap.spec.model import Objective

MOST_STEPS = 200
MOST_METRICS = 20
"""Of a report; the objectives come first."""
_NAME_CHARS = 200


def is_metric(value: Any) -> bool:
    """Whether it is a number, be it none that JSON has, or null."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def finite(value: float | None) -> float | None:
    """The number; None for NaN, infinity, and a whole number that no float can hold."""
    try:
        return value if value is not None and math.isfinite(value) else None
    except OverflowError:
        return None


def kept_reports(
    former: Sequence[Report],
    reports: Iterable[tuple[int, Mapping[str, Any]]],
    *,
    objectives: Sequence[str] = (),
) -> tuple[Report, ...]:
    """The reports that a record keeps after one more attempt, by step.

    Of more than `MOST_STEPS` steps, first and last stay, those with the least and the greatest
    value of each objective, and others spread evenly between them.

    Args:
        former: What it keeps of the attempts before; where steps are the same the new ones count.
        reports: The attempt's.
        objectives: Names of the objectives' metrics.
    """
    merged = dict(former)
    for step, values in reports:
        known = _metrics(values, objectives) if abs(step) < 2**63 else {}
        if known:
            merged[step] = known
    steps = sorted(merged)
    if len(steps) > MOST_STEPS:
        steps = _spread(steps, merged, objectives)
    return tuple((step, merged[step]) for step in steps)


def reported_values(
    reports: Iterable[tuple[int, Mapping[str, Any]]], objectives: Sequence[Objective]
) -> dict[str, float | None]:
    """Metric to the value that counts, for objectives with `from` that were reported at all.

    Args:
        reports: Step and values, by step.
        objectives: As the spec has them; those without `from` play no part.

    Returns:
        The best of the finite values, or the last value, whatever it is.
    """
    goals = [goal for goal in objectives if goal.from_]
    found: dict[str, float | None] = {}
    for _, values in reports if goals else ():
        for goal in goals:
            value = values.get(goal.metric)
            if goal.metric in values and is_metric(value):
                found[goal.metric] = (
                    value if goal.from_ == "last" else better(found.get(goal.metric), value, goal)
                )
    return found


def better(one: float | None, other: float | None, goal: Objective) -> float | None:
    """The better one of two values, of which neither need be there or finite."""
    known = [value for value in map(finite, (one, other)) if value is not None]
    if not known:
        return None
    return max(known) if goal.direction == "maximize" else min(known)


def _metrics(values: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, float | None]:
    names = [name for name in objectives if name in values]
    names += [name for name in values if name not in objectives]
    known = {name: finite(values[name]) for name in names if is_metric(values[name])}
    few = [name for name in known if len(name) <= _NAME_CHARS][:MOST_METRICS]
    return {name: known[name] for name in few}


def _spread(
    steps: Sequence[int],
    merged: Mapping[int, Mapping[str, float | None]],
    objectives: Sequence[str],
) -> list[int]:
    kept: set[int] = set()
    for name in objectives:
        at = [(value, step) for step in steps if (value := merged[step].get(name)) is not None]
        if at:
            kept |= {min(at)[1], max(at)[1]}
    room = MOST_STEPS - len(kept)
    kept |= {steps[round(index * (len(steps) - 1) / (room - 1))] for index in range(room)}
    return sorted(kept)
