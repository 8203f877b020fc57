"""An outcome whose objectives are taken from what the trial has reported, for `objective.from`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from podmap.engine.reports import better, reported_values
from podmap.engine.result import Outcome, objective_of
from podmap.records import Report, TrialState
from podmap.spec.model import Objective

_WITH_VALUE = frozenset({TrialState.COMPLETE, TrialState.PRUNED})


def with_reported(
    outcome: Outcome, reports: Iterable[Report], objectives: Sequence[Objective]
) -> Outcome:
    """An outcome in whose metrics the objectives have the values that count.

    A result's own value counts as one more, reported behind the last step: so it is the last, and
    the best if no other is better.

    Args:
        outcome: How the last attempt ended; one that failed stays as it is.
        reports: Of all attempts of the trial, by step.
        objectives: As the spec has them.
    """
    if outcome.state not in _WITH_VALUE:
        return outcome
    metrics = dict(outcome.metrics)
    reported = reported_values(reports, objectives)
    for goal in objectives:
        if goal.metric not in reported:
            continue
        own, value = metrics.get(goal.metric), reported[goal.metric]
        metrics[goal.metric] = (
            better(own, value, goal) if goal.from_ == "best" or own is None else own
        )
    if metrics == outcome.metrics:
        return outcome
    names = [goal.metric for goal in objectives]
    return replace(outcome, metrics=metrics, objective=objective_of(metrics, names))
