"""The reported steps of trials, of one metric, in so few points that a browser can draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from podmap.report.facts import TrialFacts, even_places

POINTS = 30_000
"""In all curves together: where many trials report, each is thinned further."""
_LEAST_STEPS = 4


def curve_columns(trials: Sequence[TrialFacts], metric: str | None) -> dict[str, Any]:
    """The curves: `{metric, metrics, trial, steps, values}`, as the view has them.

    Args:
        trials: Of the run.
        metric: Which one; None, or one that no trial has reported, for the first reported.
    """
    reported = [(trial.number, trial.curve) for trial in trials if trial.curve is not None]
    metrics = list(dict.fromkeys(name for _, curve in reported for name in curve.values))
    if metric not in metrics:
        metric = metrics[0] if metrics else metric or ""
    most = max(_LEAST_STEPS, POINTS // max(1, len(reported)))
    numbers, all_steps, all_values = [], [], []
    for number, curve in reported:
        values = curve.values.get(metric)
        if values is None:
            continue
        places = even_places(len(values), most)
        numbers.append(number)
        all_steps.append([curve.steps[place] for place in places])
        all_values.append([_finite(values[place]) for place in places])
    return {
        "metric": metric,
        "metrics": metrics,
        "trial": numbers,
        "steps": all_steps,
        "values": all_values,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
