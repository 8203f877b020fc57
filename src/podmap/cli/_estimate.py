"""How long a sweep would take, and what limits it."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from podmap.search.plan import Plan
    from podmap.spec.model import Sweep

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sweep would take.

    Attributes:
        by: What it was estimated from: `--seconds-per-trial` or `trial.timeout`; None if there
            was nothing to do so.
        makespan_s: Seconds from the first start to the last end; None as `by`.
        gpu_hours: GPUs times hours; None as `by`.
        limited_by: What would have to change for it to be done sooner.
    """

    by: str | None
    makespan_s: float | None
    gpu_hours: float | None
    limited_by: str


def estimate(sweep: Sweep, plan: Plan, *, each_s: float | None) -> Estimate:
    """What a sweep would take.

    Args:
        sweep: The spec.
        plan: Its trials.
        each_s: Seconds one trial takes; None to use the spec's time-outs, which is the worst.
    """
    by = "trial.timeout" if each_s is None else "--seconds-per-trial"
    makespan_s, gpu_hours = _simulate(sweep, plan, each_s)
    limited_by = _limit(sweep, plan, makespan_s)
    if makespan_s is None:
        return Estimate(None, None, None, limited_by)
    return Estimate(by, round(makespan_s, 3), round(gpu_hours, 6), limited_by)


def _simulate(sweep: Sweep, plan: Plan, each_s: float | None) -> tuple[float | None, float]:
    """Seconds and GPU-hours with every slot filled as soon as it is free."""
    from podmap.spec.template import TrialTemplates

    same_for_all = not sweep.trial.cases and plan.kind != "list"
    if same_for_all:
        seconds = each_s if each_s is not None else sweep.trial.timeout
        if seconds is None:
            return None, 0.0
        waves = math.ceil(plan.count / sweep.parallelism)
        gpus = _gpus(sweep.trial.resources)
        return waves * seconds, plan.count * gpus * seconds / SECONDS_PER_HOUR
    slots = [0.0] * min(sweep.parallelism, plan.count)
    gpu_seconds = 0.0
    templates = TrialTemplates(sweep.trial)
    for trial in plan.trials():
        template = templates.for_trial(trial)
        seconds = each_s if each_s is not None else template.timeout
        if seconds is None:
            return None, 0.0
        heapq.heapreplace(slots, slots[0] + seconds)
        gpu_seconds += _gpus(template.resources) * seconds
    return max(slots), gpu_seconds / SECONDS_PER_HOUR


def _gpus(resources: object) -> int:
    return getattr(resources, "gpu", None) or 0


def _limit(sweep: Sweep, plan: Plan, makespan_s: float | None) -> str:
    wall = sweep.budget.wall if sweep.budget else None
    if wall is not None and makespan_s is not None and makespan_s > wall:
        return "budget.wall: it may end before all trials have run"
    if plan.count > sweep.parallelism:
        return f"parallelism ({sweep.parallelism})"
    return "the longest trial: all of them run at once"
