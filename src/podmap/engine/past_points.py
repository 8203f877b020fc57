"""Records as the points, with their values, of which a search that learns is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from podmap.objective import mean, missed_limits
from podmap.records import Record, TrialState
from podmap.search.adaptive.past import PastTrial
from podmap.search.adaptive.space import Space
from podmap.spec.model import Objective

_OPEN = frozenset({TrialState.WAITING, TrialState.RUNNING, TrialState.UNKNOWN})
_WITH_VALUE = frozenset({TrialState.COMPLETE, TrialState.PRUNED})


def past_trials(
    place: int, records: Sequence[Record], space: Space, objectives: Sequence[Objective]
) -> list[PastTrial]:
    """What the records of one place in the search tell a sampler.

    Those with the same params, its repeats, are one point with the mean of their values. Records
    without params, with params that the search would never propose, and cancelled ones are left
    out: nothing is learnt of them.

    Args:
        place: The place.
        records: Of the trials that have it.
        space: The search's.
        objectives: Of the spec.
    """
    points: dict[tuple[tuple[str, float], ...], list[Record]] = {}
    for record in records:
        if record.params and record.state is not TrialState.CANCELLED:
            try:
                point = space.inner(record.params)
            except ValueError:
                continue
            points.setdefault(tuple(point.items()), []).append(record)
    return [_past_trial(place, dict(point), own, objectives) for point, own in points.items()]


def _past_trial(
    place: int, point: Mapping[str, float], own: Sequence[Record], objectives: Sequence[Objective]
) -> PastTrial:
    known = [(one, values) for one in own if (values := _values(one, objectives)) is not None]
    found = [values for _, values in known]
    finished = max((one.finished or "" for one in own), default="")
    if found:
        values = tuple(mean(column) or 0.0 for column in zip(*found, strict=True))
        complete = [one for one, _ in known if one.state is TrialState.COMPLETE]
        by = (
            _missed_by(complete, objectives) if complete else 0.0
        )  # of a pruned one nothing is known
        return PastTrial(place, point, "complete", values, by, finished)
    if any(one.state in _OPEN for one in own):
        return PastTrial(place, point, "running")
    return PastTrial(place, point, "failed", finished=finished)


def _missed_by(own: Sequence[Record], objectives: Sequence[Objective]) -> float:
    """By how much the means of the metrics miss the limits of `objective.where`."""
    names = {name for goal in objectives for name in goal.where}
    means = {
        name: mean([v for one in own if (v := one.metrics.get(name)) is not None and isfinite(v)])
        for name in names
    }
    missed = missed_limits(means, objectives)
    return missed.by if missed else 0.0


def _values(record: Record, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The objectives' values, turned so that less is better; None if it lacks one."""
    if record.state not in _WITH_VALUE:
        return None
    given = record.objective if isinstance(record.objective, list) else [record.objective]
    own = [one for one in given if one is not None and isfinite(one)]
    if len(own) != len(objectives):
        return None
    signs = [-1.0 if goal.direction == "maximize" else 1.0 for goal in objectives]
    return tuple(sign * one for sign, one in zip(signs, own, strict=True))
