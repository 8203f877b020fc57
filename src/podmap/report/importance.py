"""How much each param matters for the objective, and whether there are trials enough to say."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.report.ped_anova import GridColumn

LEAST_TRIALS = 50
"""Of fewer complete trials nothing is said: the best tenth would be fewer than five."""
BEST_PART = 0.1
SHUFFLES = 19
"""With so many, params that matter nothing are told to matter one time in twenty, all together."""


@dataclass(frozen=True, slots=True)
class Importance:
    """How much each param matters.

    Attributes:
        text: How it was found, or why nothing is said.
        values: Param to its part, from 0 to 1, the largest first; they sum to 1.
    """

    text: str
    values: Sequence[tuple[str, float]] = ()

    def to_json(self) -> dict[str, Any]:
        """The importance as the view has it."""
        values = [{"param": name, "value": round(value, 4)} for name, value in self.values]
        return {
            "method": "ped-anova",
            "text": self.text,
            "enough": bool(values),
            "values": values,
        }


def importance(
    kinds: Sequence[Mapping[str, Any]],
    params: Sequence[Mapping[str, Any]],
    values: Sequence[float],
    *,
    maximize: bool,
) -> Importance:
    """How much each param matters for being among the best.

    What the trials' values would show if they had nothing to do with the params is found by
    shuffling them; only params that stand out from it get a part.

    Args:
        kinds: As `param_kinds` gives them.
        params: Of each complete trial.
        values: The objective of each.
        maximize: Whether greater values are better.
    """
    count = len(values)
    if count < LEAST_TRIALS:
        return Importance(f"too few trials: {count} are complete, {LEAST_TRIALS} are needed")
    if min(values) == max(values):
        return Importance(f"all {count} complete trials have the same value")
    names = [kind["name"] for kind in kinds]
    found = [GridColumn.of(kind, [one.get(kind["name"]) for one in params]) for kind in kinds]
    columns = {name: one for name, one in zip(names, found, strict=True) if one is not None}
    if not columns:
        return Importance("no param varies")
    return _measured(columns, _best(values, maximize=maximize), count)


def _best(values: Sequence[float], *, maximize: bool) -> list[int]:
    costs = [-value for value in values] if maximize else list(values)
    limit = sorted(costs)[math.ceil(BEST_PART * len(costs)) - 1]
    return [place for place, cost in enumerate(costs) if cost <= limit]


def _measured(columns: Mapping[str, GridColumn], top: Sequence[int], count: int) -> Importance:
    draw = random.Random(0)
    tops = [top, *(draw.sample(range(count), len(top)) for _ in range(SHUFFLES))]
    scores: dict[str, list[float]] = {}
    for name, column in columns.items():
        density = column.density(range(count))
        scores[name] = [column.divergence(each, density) for each in tops]
    chance = {name: _mean_and_std(all_scores[1:]) for name, all_scores in scores.items()}

    def standing(name: str, place: int) -> float:
        mean, std = chance[name]
        return (scores[name][place] - mean) / std if std else 0.0

    most = max(standing(name, place) for name in columns for place in range(1, SHUFFLES + 1))
    beyond = {
        name: scores[name][0] - chance[name][0] for name in columns if standing(name, 0) > most
    }
    total = math.fsum(beyond.values())
    if not total:
        return Importance(f"no param stands out from chance among {count} complete trials")
    ordered = sorted(((name, part / total) for name, part in beyond.items()), key=lambda p: -p[1])
    others = [(name, 0.0) for name in columns if name not in beyond]
    text = (
        f"PED-ANOVA of {count} complete trials: how far the best tenth differs from all in each "
        "param on its own; params at 0 do not stand out from chance"
    )
    return Importance(text, [*ordered, *others])


def _mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
