"""The rules by which hopeless trials are ended early: pure functions of what all have reported.

`asha` is the asynchronous successive halving of L. Li et al., "A System for Massively Parallel
Hyperparameter Tuning" (MLSys 2020), with two differences that were measured (docs/pruning.md): the
best value so far counts, not the last one, and few rungs come late. `median` is the rule of
D. Golovin et al., "Google Vizier" (KDD 2017), with best values in place of means. `hyperband` is
from L. Li et al., "Hyperband" (JMLR 2018), its brackets side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from podmap.search.curves import Curves
from podmap.spec.model import Sweep
from podmap.spec.prune import AshaPrune, HyperbandPrune, MedianPrune, PatiencePrune, ThresholdPrune

MEDIAN_STEPS = 256
"""At so many steps of a trial, or up to twice as many, its standing is looked at."""


class PruneRule(Protocol):
    """Says which trial is hopeless."""

    @property
    def only_complete(self) -> bool:
        """Whether only COMPLETE trials are compared with."""
        ...

    def judge(self, curves: Curves, number: int, *, before: int) -> str:
        """Why a trial is hopeless after its last report; empty if it is not.

        Args:
            curves: What all trials have reported, this report among it.
            number: The trial.
            before: The step of its report before; `step - 1` for the first one.
        """
        ...


def make_rule(sweep: Sweep) -> PruneRule | None:
    """The rule of a spec; None if it has none."""
    prune = sweep.prune
    if isinstance(prune, AshaPrune):
        steps = rungs(prune.max_steps, prune.reduction_factor, prune.rungs)
        return Halving("asha", (steps,), prune.reduction_factor, prune.least_trials)
    if isinstance(prune, HyperbandPrune):
        steps = rungs(prune.max_steps, prune.reduction_factor, 20)
        brackets = tuple(steps[first:] for first in range(len(steps)))
        return Halving("hyperband", brackets, prune.reduction_factor, prune.least_trials)
    if isinstance(prune, MedianPrune):
        return Median(prune.startup_trials, prune.warmup_steps)
    if isinstance(prune, ThresholdPrune):
        return Threshold(prune.lower, prune.upper, prune.warmup_steps)
    if isinstance(prune, PatiencePrune):
        return Patience(prune.patience, prune.min_delta, prune.warmup_steps)
    return None


def make_curves(sweep: Sweep, rule: PruneRule) -> Curves:
    """Curves of a sweep's one objective, with none in them yet."""
    (goal,) = sweep.objectives
    maximize = goal.direction == "maximize"
    return Curves(metric=goal.metric, maximize=maximize, only_complete=rule.only_complete)


def rungs(max_steps: int, factor: int, count: int) -> tuple[int, ...]:
    """The steps at which trials are compared: `max_steps` over powers of the factor, from 1 on.

    Args:
        max_steps: The steps of a whole trial.
        factor: One in this many goes on at each.
        count: How many there are to be; fewer where they would be less than half a step.
    """
    exact = [max_steps / factor**power for power in range(count, 0, -1)]
    steps = {max(1, round(step)) for step in exact if step >= 0.5}
    return tuple(sorted(step for step in steps if step < max_steps))


@dataclass(frozen=True, slots=True)
class Halving:
    """At its rungs a trial ends that is not among the best there.

    With several brackets, trial n goes by the rungs of bracket n modulo their number. All are
    compared with all at a rung: what was reported there is the same whichever bracket it is of.
    """

    name: str
    brackets: Sequence[Sequence[int]]
    factor: int
    least_trials: int
    only_complete: bool = False

    def judge(self, curves: Curves, number: int, *, before: int) -> str:
        """As `PruneRule.judge`: looked at once, when a trial comes to a rung or past it."""
        last = curves.curve(number).last_step
        for rung in self.brackets[number % len(self.brackets)] if self.brackets else ():
            if last is not None and before < rung <= last:
                reason = self._judge_at(rung, curves, number)
                if reason:
                    return reason
        return ""

    def _judge_at(self, rung: int, curves: Curves, number: int) -> str:
        best, standings = curves.curve(number).best_by(rung), curves.standings(rung)
        if best is None or len(standings) < self.least_trials:
            return ""
        kept = max(1, (2 * len(standings) + self.factor) // (2 * self.factor))  # rounded
        needed = standings[-kept]
        if best >= needed:
            return ""
        return (
            f"{self.name}: by step {rung} its best {curves.metric} was {curves.shown(best)}, and "
            f"the best {kept} of {len(standings)} trials had {curves.shown(needed)} or better"
        )


@dataclass(frozen=True, slots=True)
class Median:
    """A trial ends whose best value so far is worse than the median of complete ones there."""

    startup_trials: int
    warmup_steps: int
    only_complete: bool = True

    def judge(self, curves: Curves, number: int, *, before: int) -> str:
        """As `PruneRule.judge`; of trials of very many steps it is looked at about 256 times."""
        curve = curves.curve(number)
        every = 2 ** max(0, (max(1, curves.longest) // MEDIAN_STEPS).bit_length() - 1)
        step = (curve.last_step or 0) // every * every
        if curve.last_step is None or step <= max(before, self.warmup_steps):
            return ""
        best, standings = curve.best_by(step), curves.standings(step)
        if best is None or len(standings) < self.startup_trials:
            return ""
        median = _median(standings)
        if best >= median:
            return ""
        return (
            f"median: by step {step} its best {curves.metric} was {curves.shown(best)}, and the "
            f"median of {len(standings)} complete trials {curves.shown(median)}"
        )


@dataclass(frozen=True, slots=True)
class Threshold:
    """A trial ends whose last value is out of bounds, or no finite number."""

    lower: float | None
    upper: float | None
    warmup_steps: int
    only_complete: bool = False

    def judge(self, curves: Curves, number: int, *, before: int) -> str:
        """As `PruneRule.judge`; other trials play no part."""
        curve = curves.curve(number)
        if curve.last_step is None or curve.last_step <= self.warmup_steps:
            return ""
        said = f"threshold: at step {curve.last_step} its {curves.metric} was"
        if not math.isfinite(curve.last):
            return f"{said} no finite number"
        value = curves.reported(curve.last)
        if self.lower is not None and value < self.lower:
            return f"{said} {value:.6g}, below {self.lower:.6g}"
        if self.upper is not None and value > self.upper:
            return f"{said} {value:.6g}, above {self.upper:.6g}"
        return ""


@dataclass(frozen=True, slots=True)
class Patience:
    """A trial ends that has not got better for many steps."""

    patience: int
    min_delta: float
    warmup_steps: int
    only_complete: bool = False

    def judge(self, curves: Curves, number: int, *, before: int) -> str:
        """As `PruneRule.judge`; other trials play no part."""
        curve = curves.curve(number)
        last = curve.last_step
        if last is None or last <= self.warmup_steps:
            return ""
        since = _last_improvement(curve.points(), self.min_delta)
        if last - since < self.patience:
            return ""
        return (
            f"patience: its {curves.metric} has not got better than {curves.shown(curve.best)} "
            f"since step {since}, for {last - since} steps"
        )


def _last_improvement(points: Iterable[tuple[int, float]], min_delta: float) -> int:
    """The last step at which a value was better than all before by more than so much."""
    since, reached = 0, -math.inf
    for index, (step, value) in enumerate(points):
        if index == 0 or value > reached + min_delta:
            since, reached = step, max(reached, value)
    return since


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    low, high = ordered[middle - 1], ordered[middle]
    return high if math.isinf(low) else low + (high - low) / 2
