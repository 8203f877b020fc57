"""Trials of the same params as one row of the leaderboard: their mean, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from podmap.objective import mean
from podmap.records import TrialState
from podmap.report.rows import Repeats, TrialRow, missed_text
from podmap.spec.model import Objective

_FIRST = (TrialState.RUNNING, TrialState.WAITING, TrialState.UNKNOWN)
_LAST = (TrialState.COMPLETE, TrialState.FAILED, TrialState.PRUNED, TrialState.CANCELLED)


def merged_repeats(
    rows: Iterable[TrialRow], objectives: Sequence[Objective], *, repeats: int
) -> list[TrialRow]:
    """One row a set of params, in place of one a trial.

    A trial whose record is of an earlier plan, with other params, has a row of its own.

    Args:
        rows: The trials, in any order.
        objectives: What they are ranked by.
        repeats: How many trials each set of params is to have.
    """
    groups: dict[Any, list[TrialRow]] = {}
    for row in sorted(rows, key=lambda row: row.number):
        first = row.number - row.repeat
        groups.setdefault((first, repr(row.params), row.shard), []).append(row)
    return [_merged(group, objectives, repeats) for group in groups.values()]


def _merged(rows: list[TrialRow], objectives: Sequence[Objective], of: int) -> TrialRow:
    complete = [row for row in rows if _counts(row)]
    best = min(complete, key=lambda row: _cost(row, objectives)) if complete else rows[0]
    names = tuple(dict.fromkeys(name for row in complete for name in row.metric_names))
    metrics = [_values(row.metrics.get(name) for row in complete) for name in names]
    goals = [_values(row.objectives[place] for row in complete) for place in range(len(objectives))]
    failed = [row for row in rows if row.state is TrialState.FAILED]
    means = dict(zip(names, map(mean, metrics), strict=True))
    return TrialRow(
        number=best.number,
        state=_state([row.state for row in rows], missing=len(rows) < of),
        objectives=tuple(map(mean, goals)),
        param_names=best.param_names,
        param_values=best.param_values,
        metric_names=names,
        metric_values=tuple(means.values()),
        duration_s=mean(_values(row.duration_s for row in rows)),
        attempts=sum(row.attempts for row in rows),
        reason=f"{len(failed)} of {of} failed: {failed[0].reason}" if failed else best.reason,
        shard=best.shard,
        interrupted=sum(row.interrupted for row in rows),
        repeats=Repeats(
            numbers=tuple(row.number for row in rows),
            of=of,
            complete=len(complete),
            failed=len(failed),
            objective_stds=tuple(map(deviation, goals)),
            metric_stds=tuple(map(deviation, metrics)),
        ),
        missed=missed_text(means, objectives, TrialState.COMPLETE) if complete else "",
    )


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None of fewer than two values, or if it is too large."""
    middle = mean(values)
    if middle is None or len(values) < 2:
        return None
    try:
        return math.sqrt(math.fsum((each - middle) ** 2 for each in values) / (len(values) - 1))
    except OverflowError:
        return None


def _counts(row: TrialRow) -> bool:
    return row.state is TrialState.COMPLETE and None not in row.objectives


def _cost(row: TrialRow, objectives: Sequence[Objective]) -> float:
    value = row.objectives[0] if row.objectives else None
    if value is None:
        return 0.0
    return -value if objectives[0].direction == "maximize" else value


def _values(found: Iterable[float | None]) -> list[float]:
    return [value for value in found if value is not None and math.isfinite(value)]


def _state(states: Sequence[TrialState], *, missing: bool) -> TrialState:
    """Where the trials stand as a whole: COMPLETE once all have ended and one of them is."""
    begun = any(state is not TrialState.WAITING for state in states)
    for state in _FIRST:
        if state in states:
            return TrialState.RUNNING if begun and state is TrialState.WAITING else state
    if missing:
        return TrialState.RUNNING
    return next(state for state in _LAST if state in states)
