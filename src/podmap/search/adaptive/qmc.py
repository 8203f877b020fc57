"""`kind: qmc`: a Sobol sequence, whose points fill the space more evenly than random ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podmap.search.adaptive.past import PastTrial, SamplerSetting

FEWEST = 64


class SobolSampler:
    """Suggests the point of the trial's number; nothing is learnt.

    The sequence is scrambled by the search's seed (Owen, 1995; scipy's `qmc.Sobol`), and a trial's
    point is the one at its number: asked in any order the same points come.
    """

    def __init__(self, setting: SamplerSetting) -> None:
        """Makes no point yet."""
        self._space = setting.space
        self._axes = setting.space.axes
        self._seed = setting.seed
        self._points: NDArray[np.float64] = np.empty((0, len(self._axes)))

    def suggest(self, number: int, past: Sequence[PastTrial]) -> dict[str, float]:
        """As `Sampler.suggest`."""
        if number >= len(self._points):
            count = max(FEWEST, 1 << number.bit_length())
            self._points = sobol_points(len(self._axes), seed=self._seed, count=count)
        units = self._points[number]
        return self._space.existing(
            {
                axis.name: axis.share(float(unit))
                for axis, unit in zip(self._axes, units, strict=True)
            }
        )


@functools.lru_cache(maxsize=4)
def sobol_points(dimensions: int, *, seed: int, count: int) -> NDArray[np.float64]:
    """The first points of a scrambled Sobol sequence: rows = points, columns = dimensions.

    Args:
        dimensions: From 1 to 21,201.
        seed: Scrambles it.
        count: A power of two.
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(dimensions, scramble=True, seed=np.random.default_rng(seed))
    found: NDArray[np.float64] = sequence.random(count)
    return found
