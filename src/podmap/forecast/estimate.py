"""What a sweep will take, from all that is known of it: the estimate of `podmap plan`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from podmap.forecast.history import History, params_text
from podmap.forecast.limits import AtOnce, parallelism_limit, tightest
from podmap.forecast.makespan import Draw, Play, play_sweep
from podmap.search.plan import Plan
from podmap.spec.hourly_price import GIB, hourly_price
from podmap.spec.model import Sweep, TrialTemplate
from podmap.spec.template import TrialTemplates, gpus_of

HOUR_S = 3600.0
STATED = "--trial-time"
TIMEOUT = "trial.timeout"


@dataclass(frozen=True, slots=True)
class Stated:
    """What a user says of the trials.

    Attributes:
        each_s: Seconds that one takes; None if that is not said.
        start_s: Seconds in a slot from one end to the next start; None if that is not said.
        failing: The part of attempts that fails; None if that is not said.
    """

    each_s: float | None = None
    start_s: float | None = None
    failing: float | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What all attempts together take.

    Attributes:
        cpu_hours: Cores that are requested, times hours.
        memory_gib_hours: GiB times hours.
        gpu_hours: GPUs times hours.
        cost: By the price table, in `currency`; None without one.
        currency: Empty without a price table.
    """

    cpu_hours: float
    memory_gib_hours: float
    gpu_hours: float
    cost: float | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sweep will take.

    Attributes:
        by: What it was estimated from; None if there was nothing to do so.
        makespan_s: Seconds from the planning to the last end; None as `by`.
        low_s: One run in ten is expected to take less.
        high_s: One run in ten is expected to take more.
        attempts: How many there will be.
        totals: What they take; None as `by`.
        limits: To how many run at once, the tightest first.
        limited_by: What would have to change for it to be done sooner.
    """

    by: str | None
    makespan_s: float | None
    low_s: float | None
    high_s: float | None
    attempts: float
    totals: Totals | None
    limits: Sequence[AtOnce]
    limited_by: str


def estimate_sweep(
    sweep: Sweep,
    plan: Plan,
    *,
    stated: Stated,
    history: History | None = None,
    limits: Sequence[AtOnce] = (),
) -> Estimate:
    """What a sweep will take.

    Args:
        sweep: The spec.
        plan: Its trials.
        stated: What a user says of them; it goes before all else.
        history: What earlier runs say of them; None if there are none.
        limits: To how many run at once, besides the spec's `parallelism`.
    """
    known = sorted([parallelism_limit(sweep.parallelism), *limits], key=lambda each: each.most)
    templates = _Templates(sweep, plan)
    by, took = _time(stated, history, plan, templates)
    if took is None:
        return Estimate(None, None, None, None, plan.count, None, known, _limit(sweep, plan, known))
    course = play_sweep(
        Play(
            plan.count,
            max(1, tightest(known).most),
            took,
            _failed(history, took),
            failing=_first(stated.failing, history.failing if history else None),
            retries=sweep.retries.user,
            start_s=_first(stated.start_s, history.start_s if history else None),
            first_s=history.first_s if history else 0.0,
        )
    )
    totals = _totals(sweep, plan, course.busy_s, templates)
    return Estimate(
        by,
        round(course.makespan_s, 3),
        round(course.low_s, 3),
        round(course.high_s, 3),
        round(course.attempts, 3),
        totals,
        known,
        _limit(sweep, plan, known, makespan_s=course.makespan_s, totals=totals),
    )


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), 0.0)


class _Templates:
    """How each trial runs; found once where all run alike."""

    def __init__(self, sweep: Sweep, plan: Plan) -> None:
        self._plan = plan
        self._templates = TrialTemplates(sweep.trial)
        self._same = sweep.trial if not sweep.trial.cases and plan.kind != "list" else None
        self._known: dict[int, TrialTemplate] = {}

    def of(self, number: int) -> TrialTemplate:
        if self._same is not None:
            return self._same
        if number not in self._known:
            self._known[number] = self._templates.for_trial(self._plan.trial(number))
        return self._known[number]


def _time(
    stated: Stated, history: History | None, plan: Plan, templates: _Templates
) -> tuple[str | None, Draw | None]:
    """What an attempt takes that ends well, and what says so."""
    each_s = stated.each_s
    if each_s is not None:
        return STATED, lambda number, rng: each_s
    if history is not None:
        return history.source, _drawn(history, plan)
    if any(templates.of(number).timeout is None for number in range(plan.count)):
        return None, None
    return TIMEOUT, lambda number, rng: templates.of(number).timeout or 0.0


def _drawn(history: History, plan: Plan) -> Draw:
    """The time that the same trial took, or any of those that are known."""
    trials = () if plan.learns else plan.trials()
    texts = {trial.number: params_text(trial.params) for trial in trials}

    def draw(number: int, rng: random.Random) -> float:
        known = history.by_params.get(texts.get(number, ""))
        return rng.choice(history.took_s) if known is None else known

    return draw


def _failed(history: History | None, took: Draw) -> Draw:
    if history is None or not history.failed_s:
        return took
    failed_s = history.failed_s
    return lambda number, rng: rng.choice(failed_s)


def _totals(sweep: Sweep, plan: Plan, busy_s: Sequence[float], templates: _Templates) -> Totals:
    prices = sweep.budget.prices if sweep.budget else None
    cpu = memory = gpu = cost = 0.0
    for number, seconds in enumerate(busy_s):
        template, hours = templates.of(number), seconds / HOUR_S
        wanted = template.resources
        cpu += hours * ((wanted.cpu if wanted else None) or 0.0)
        memory += hours * ((wanted.memory if wanted else None) or 0) / GIB
        gpu += hours * gpus_of(template)
        cost += hours * hourly_price(template, prices) if prices else 0.0
    found = (round(cpu, 6), round(memory, 6), round(gpu, 6))
    return Totals(*found, round(cost, 6), prices.currency) if prices else Totals(*found)


def _limit(
    sweep: Sweep,
    plan: Plan,
    limits: Sequence[AtOnce],
    *,
    makespan_s: float | None = None,
    totals: Totals | None = None,
) -> str:
    over = _over_budget(sweep, makespan_s, totals)
    if over:
        return f"{' and '.join(over)}: it may end before all trials have run"
    least = tightest(limits)
    if plan.count <= least.most:
        return "the longest trial: all of them run at once"
    return (
        least.name if len(limits) == 1 else f"{least.name}; to have more at once: {least.setting}"
    )


def _over_budget(sweep: Sweep, makespan_s: float | None, totals: Totals | None) -> list[str]:
    budget = sweep.budget
    if budget is None or makespan_s is None or totals is None:
        return []
    spent: list[tuple[str, float | None, float | None, str]] = [
        ("budget.wall", budget.wall, makespan_s, ""),
        ("budget.gpu_hours", budget.gpu_hours, totals.gpu_hours, f" ({budget.gpu_hours or 0:g})"),
        ("budget.cost", budget.cost, totals.cost, f" ({budget.cost or 0:g} {totals.currency})"),
    ]
    return [
        name + told
        for name, limit, value, told in spent
        if limit is not None and value is not None and value > limit
    ]
