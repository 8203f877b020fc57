"""Records as the points, with their values, of which a search that learns is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from podmap.objective import mean
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
    found = [values for one in own if (values := _values(one, objectives)) is not None]
    finished = max((one.finished or "" for one in own), default="")
    if found:
        values = tuple(mean(column) or 0.0 for column in zip(*found, strict=True))
        return PastTrial(place, point, "complete", values, finished=finished)
    if any(one.state in _OPEN for one in own):
        return PastTrial(place, point, "running")
    return PastTrial(place, point, "failed", finished=finished)


def _values(record: Record, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The objectives' values, turned so that less is better; None if it lacks one."""
    if record.state not in _WITH_VALUE:
        return None
    given = record.objective if isinstance(record.objective, list) else [record.objective]
    own = [one for one in given if one is not None and math.isfinite(one)]
    if len(own) != len(objectives):
        return None
    signs = [-1.0 if goal.direction == "maximize" else 1.0 for goal in objectives]
    return tuple(sign * one for sign, one in zip(signs, own, strict=True))
