"""`kind: cmaes`: CMA-ES, told as results come; for numbers, and for hundreds of trials.

The `cmaes` package keeps its state between generations. Here the state is made from the records
alone: trials in the order in which they ended are told in groups of one generation's size, whatever
generation they were asked in, so that no slot ever waits for a generation to be over. A trial is
drawn from the distribution that all of these groups have led to, by a generator seeded by the
search's seed and the trial's number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cmaes import CMA

from podmap.search.adaptive.cube import Cube
from podmap.search.adaptive.past import PastTrial, SamplerSetting, as_told, by_end
from podmap.search.adaptive.study import ask_seed

_SIGMA = 0.25
_PENALTY = 1e6


class CmaesSampler:
    """Suggests by CMA-ES."""

    def __init__(self, setting: SamplerSetting) -> None:
        """Has told the strategy nothing."""
        self._setting = setting
        self._cube = Cube(setting.space)
        self._told: list[tuple[PastTrial, float]] = []
        self._strategy = self._new()

    def suggest(self, number: int, past: Sequence[PastTrial]) -> dict[str, float]:
        """As `Sampler.suggest`."""
        self._tell(_ranked(as_told(past, self._setting.failed)))
        seed = ask_seed(self._setting.seed, number)
        # Of the package's own generator alone the draws come; its state is the only one that a
        # suggestion could have beside the records.
        self._strategy._rng = np.random.RandomState(seed)
        return self._cube.point(self._strategy.ask())

    def _new(self) -> CMA:
        axes = self._cube.axes
        bounds = np.tile([0.0, 1.0], (axes, 1))
        seed = ask_seed(self._setting.seed, 0)
        return CMA(mean=np.full(axes, 0.5), sigma=_SIGMA, bounds=bounds, seed=seed)

    def _tell(self, ended: list[tuple[PastTrial, float]]) -> None:
        """Tells what is new; all anew if what was told before has changed."""
        size = self._strategy.population_size
        whole = ended[: len(ended) // size * size]
        if whole[: len(self._told)] != self._told:
            self._strategy, self._told = self._new(), []
        for first in range(len(self._told), len(whole), size):
            group = whole[first : first + size]
            rows = self._cube.encoded([one.point for one, _ in group])
            values = [value for _, value in group]
            self._strategy.tell(list(zip(rows, values, strict=True)))
        self._told = whole


def _ranked(told: Sequence[PastTrial]) -> list[tuple[PastTrial, float]]:
    """The ended trials in the order of their ends, each with what it is worth, less being better.

    One that failed is worse than all that did not, and so is one that misses limits, by as much.
    """
    ended = by_end(told)
    values = [one.values[0] for one in ended if one.state == "complete"]
    worst = max(values, default=0.0)
    spread = worst - min(values, default=0.0) + 1.0

    def worth(one: PastTrial) -> float:
        if one.state == "failed":
            return worst + spread
        if one.violation > 0.0:
            return worst + spread * min(one.violation, _PENALTY)
        return one.values[0]

    return [(one, worth(one)) for one in ended]
