"""PED-ANOVA: how much a param's values among the best trials differ from those among all.

The measure of Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
Importance in Arbitrary Subspaces" (IJCAI 2023), by the same densities on a grid as Optuna's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

STEPS = 50
"""Of the grid that a range is put on."""
_LEAST_SIGMA = 0.5 / 1.64
_SCOTT = 1.059
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A param's values on a grid.

    Attributes:
        places: Trial to place on the grid, of those that have the param.
        size: Of the grid; at least 2.
        ordered: Whether places that are near are alike.
        trials: How many trials there are, with those that have it not.
    """

    places: Mapping[int, int]
    size: int
    ordered: bool
    trials: int

    @classmethod
    def of(cls, kind: Mapping[str, Any], values: Sequence[Any]) -> GridColumn | None:
        """The column of a param; None if it has but one value, or texts of any kind.

        Args:
            kind: As `param_kinds` gives it.
            values: One a trial; None where a trial has not got it.
        """
        if kind["kind"] == "choice":
            return cls._of_choices(kind["choices"], values)
        if kind["kind"] != "number" or not kind["high"] > kind["low"]:
            return None
        scale = math.log if kind["log"] and kind["low"] > 0 else float
        low, high = scale(kind["low"]), scale(kind["high"])
        known = {n: scale(value) for n, value in enumerate(values) if _fits(value, kind)}
        size = min(STEPS, _different(kind, known.values()))
        if size < 2 or not high > low:
            return None
        gap = (high - low) / (size - 1)
        places = {n: min(size - 1, max(0, round((v - low) / gap))) for n, v in known.items()}
        return cls(places, size, True, len(values))

    @classmethod
    def _of_choices(cls, choices: Sequence[Any], values: Sequence[Any]) -> GridColumn | None:
        at = {(type(choice), choice): place for place, choice in enumerate(choices)}
        keys = ((n, (type(value), value)) for n, value in enumerate(values))
        places = {n: at[key] for n, key in keys if key in at}
        if len(set(places.values())) < 2:
            return None
        return cls(places, len(choices), False, len(values))

    def density(self, trials: Iterable[int]) -> list[float]:
        """The density of the places of some trials, smoothed; it sums to 1."""
        counts = Counter(self.places[n] for n in trials if n in self.places)
        return self._smooth(counts) if self.ordered else self._shares(counts)

    def divergence(self, top: Sequence[int], all_density: Sequence[float]) -> float:
        """The Pearson divergence of the best trials from all.

        Args:
            top: The best trials.
            all_density: What `density` gives of all.
        """
        with_it = [n for n in top if n in self.places]
        if not with_it:
            return 0.0
        share = (len(with_it) / len(top)) ** 2 / (len(self.places) / self.trials)
        pairs = zip(self.density(with_it), all_density, strict=True)
        return share * math.fsum(
            (one - other) ** 2 / other for one, other in ((a + _TINY, b + _TINY) for a, b in pairs)
        )

    def _shares(self, counts: Mapping[int, int]) -> list[float]:
        kernels = len(counts) + 1
        prior = 1.0 / kernels
        total = sum(counts.values()) + 1.0
        found = [1.0 / total / self.size] * self.size
        whole = 1.0 + prior * self.size
        for place, count in counts.items():
            for at in range(self.size):
                found[at] += count / total * (prior + (at == place)) / whole
        return found

    def _smooth(self, counts: Mapping[int, int]) -> list[float]:
        places = sorted(counts)
        weights = [counts[place] for place in places]
        total = sum(weights) + 1.0
        sigma = _bandwidth(places, weights)
        high = self.size - 1
        found = [
            mass / total for mass in _normal_masses((self.size - 1) / 2.0, float(high + 1), high)
        ]
        for place, weight in zip(places, weights, strict=True):
            for at, mass in enumerate(_normal_masses(float(place), sigma, high)):
                found[at] += weight / total * mass
        return found


def _bandwidth(places: Sequence[int], weights: Sequence[int]) -> float:
    """By Scott's rule, not below what holds nine parts in ten of a kernel in its place."""
    total = sum(weights)
    mean = sum(p * w for p, w in zip(places, weights, strict=True)) / total
    squares = sum((p - mean) ** 2 * w for p, w in zip(places, weights, strict=True))
    sums = list(accumulate(weights))
    first = next(i for i, known in enumerate(sums) if known >= total // 4)
    last = next((i for i, known in enumerate(sums) if known > total * 3 // 4), len(sums) - 1)
    spread = min((places[last] - places[first]) / 1.34, math.sqrt(squares / max(1, total - 1)))
    return max(_SCOTT * spread / math.pow(total, 0.2), _LEAST_SIGMA)


def _normal_masses(middle: float, sigma: float, high: int) -> list[float]:
    """Of a normal distribution that is cut to the grid: the mass of each place."""
    scale = sigma * math.sqrt(2.0)
    below = [math.erf((place - 0.5 - middle) / scale) for place in range(high + 2)]
    whole = below[-1] - below[0]
    return [(below[place + 1] - below[place]) / whole for place in range(high + 1)]


def _fits(value: Any, kind: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value > 0 or not kind["log"]


def _different(kind: Mapping[str, Any], values: Iterable[float]) -> int:
    """How many values there can be: whole numbers are no more than lie between the ends."""
    known = set(values)
    ends = (kind["low"], kind["high"])
    whole = not kind["log"] and all(float(value).is_integer() for value in (*known, *ends))
    return int(ends[1] - ends[0]) + 1 if whole else STEPS
