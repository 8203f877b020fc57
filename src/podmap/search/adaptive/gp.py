"""`kind: gp`: Bayesian optimization by a Gaussian process, for one objective.

A suggestion is the point that promises most: of which the logarithm of the expected improvement
over the best value, plus that of the probability not to fail, is largest. The improvement is the
mean of what several models expect, whose parameters are drawn from their posterior. Trials that
still run are taken for ended with the value that a model expects of them ("kriging believer":
Ginsbourger, Le Riche and Carraro, 2010), which may be the best value then, so that what runs at the
same time is spread out. The first trials are those of a Sobol sequence. All is made anew from the
past trials for each ask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

from podmap.search.adaptive.cube import Cube
from podmap.search.adaptive.gp_model import (
    Floats,
    GaussianProcess,
    Kernel,
    fitted_kernel,
    likely_kernels,
)
from podmap.search.adaptive.past import PastTrial, SamplerSetting, as_told
from podmap.search.adaptive.qmc import SobolSampler, sobol_points
from podmap.spec.constraint import Constraints

FIRST_TRIALS = 10
"""So many have to end before the model is asked."""
MOST_TRIALS = 120
"""The model is fitted to at most so many: its cost grows by the cube of their number."""
MOST_MODELS = 6
"""What a point promises is averaged over so many; with many points, which leave less doubt and cost
more, over fewer."""
_POINTS = 480
_FEWEST_MODELS = 2
_FEWEST = 3
_WIDE = 1024
_KEPT = 8
_NEAR = 32
_RADII = (0.1, 0.04, 0.015, 0.005, 0.0015)
_REPEAT = 1e-9


class GpSampler:
    """Suggests by a Gaussian process."""

    def __init__(self, setting: SamplerSetting) -> None:
        """Asks nothing yet."""
        self._setting = setting
        self._cube = Cube(setting.space)
        self._sobol = SobolSampler(setting)
        self._constraints = Constraints(setting.constraints)

    def suggest(self, number: int, past: Sequence[PastTrial]) -> dict[str, float]:
        """As `Sampler.suggest`."""
        told = as_told(past, self._setting.failed)
        complete = [one for one in told if one.state == "complete"]
        ended = [one for one in told if one.state != "running"]
        if len(ended) < FIRST_TRIALS or len(complete) < _FEWEST:
            return self._sobol.suggest(number, past)
        rng = np.random.default_rng([self._setting.seed, number])
        acquisition = _Acquisition(self._cube, told, rng, self._allowed)
        seen = self._cube.encoded([one.point for one in told[-MOST_TRIALS * 4 :]])
        return self._cube.point(_largest(acquisition, self._cube, seen, rng))

    def _allowed(self, points: Floats) -> NDArray[np.bool_]:
        """Which rows meet the constraints."""
        if not self._constraints:
            return np.ones(len(points), dtype=bool)
        every = (self._setting.space.outer(self._cube.point(row)) for row in points)
        return np.array([self._constraints.broken_by(params) is None for params in every])


class _Acquisition:
    """How much a point promises, as a logarithm."""

    def __init__(
        self,
        cube: Cube,
        told: Sequence[PastTrial],
        rng: np.random.Generator,
        allowed: Callable[[Floats], NDArray[np.bool_]],
    ) -> None:
        self._allowed = allowed
        complete = _chosen([one for one in told if one.state == "complete"])
        points = cube.encoded([one.point for one in complete])
        values = squashed(np.array([one.values[0] for one in complete]))
        met = np.array([one.violation <= 0.0 for one in complete])
        best = float(values[met].min() if met.any() else values.max())
        self.top = points[np.argsort(np.where(met, values, values + 1e3), kind="stable")[:5]]
        alive = cube.encoded([one.point for one in told if one.state == "running"])
        count = max(_FEWEST_MODELS, min(MOST_MODELS, _POINTS // (len(points) + len(alive))))
        kernels = likely_kernels(points, values, cube.axis_of, rng, count=count)
        self._models = [
            _believer(kernel, points, values, alive, best, met=bool(met.all()))
            for kernel in kernels
        ]
        self._good = _feasibility(cube, told, rng)

    def __call__(self, points: Floats) -> Floats:
        each = [log_improvement(*model.predict(points), best) for model, best in self._models]
        found: Floats = np.logaddexp.reduce(each)
        if self._good is not None:
            mean, variance = self._good.predict(points)
            found = found + log_ndtr(mean / np.sqrt(variance + self._good.kernel.noise + 0.05))
        promised: Floats = np.where(self._allowed(points), found, -np.inf)
        return promised


def _believer(
    kernel: Kernel, points: Floats, values: Floats, alive: Floats, best: float, *, met: bool
) -> tuple[GaussianProcess, float]:
    """A model that takes what runs for ended as it expects, and the best value that it knows of.

    Where some trials miss limits, what runs may miss them, too, and its value is not the best.
    Where none do it may be: else a place that is expected to be better than the best would go on
    promising that to all who ask, though it is being looked at.
    """
    model = GaussianProcess(kernel, points, values)
    if not len(alive):
        return model, best
    expected, _ = model.predict(alive)
    both = np.vstack([points, alive]), np.concatenate([values, expected])
    return GaussianProcess(kernel, *both), min(best, float(expected.min())) if met else best


def _feasibility(
    cube: Cube, told: Sequence[PastTrial], rng: np.random.Generator
) -> GaussianProcess | None:
    """The model of what does not fail and meets the limits (1) and what does not (-1)."""
    ended = [one for one in told if one.state != "running"]
    bad = [one for one in ended if one.state == "failed" or one.violation > 0.0]
    if not bad:
        return None
    good = [one for one in ended if one.state == "complete" and one.violation <= 0.0]
    some = [*bad[-MOST_TRIALS // 2 :], *_chosen(good)[: MOST_TRIALS // 2]]
    labels = np.array([-1.0] * len(bad[-MOST_TRIALS // 2 :]))
    labels = np.concatenate([labels, np.ones(len(some) - len(labels))])
    points = cube.encoded([one.point for one in some])
    return GaussianProcess(fitted_kernel(points, labels, cube.axis_of, rng), points, labels)


def _chosen(complete: Sequence[PastTrial]) -> list[PastTrial]:
    """The best, and of the others some all over the run, where they are too many to fit."""
    if len(complete) <= MOST_TRIALS:
        return list(complete)
    ranked = sorted(complete, key=lambda one: (one.values[0], one.number))
    best, rest = ranked[: MOST_TRIALS // 2], ranked[MOST_TRIALS // 2 :]
    rest.sort(key=lambda one: one.number)
    places = np.linspace(0, len(rest) - 1, MOST_TRIALS - len(best)).round().astype(int)
    return [*best, *(rest[place] for place in places)]


def squashed(values: Floats) -> Floats:
    """Values with mean 0 and variance 1, of which the bad ones are drawn together.

    What is far above the median tells that a region is bad and no more; as it is, it would take all
    of the model's attention.
    """
    middle = float(np.median(values))
    spread = middle - float(np.quantile(values, 0.1)) + 1e-12
    own = (values - middle) / spread
    own = np.where(own > 1.0, 1.0 + np.log(np.maximum(own, 1.0)), own)
    found: Floats = (own - own.mean()) / (own.std() + 1e-12)
    return found


def log_improvement(mean: Floats, variance: Floats, best: float) -> Floats:
    """The logarithm of E max(best - y, 0) for normal y, right also where it is tiny.

    With z = (best - mean) / sd it is log(sd) + log(φ(z) + z Φ(z)). For z far below 0 the two terms
    nearly cancel; there φ(z) (1 - |z| √(π/2) erfcx(-z/√2)) has the digits, and beyond those
    φ(z) / z² (Ament et al., 2023).
    """
    sd = np.sqrt(variance)
    z = (best - mean) / sd
    near = z > -1.0
    found = np.empty_like(z)
    u = z[near]
    density = np.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)
    found[near] = np.log(density + u * ndtr(u))
    far = z[~near]
    factor = 1.0 - np.abs(far) * math.sqrt(math.pi / 2.0) * erfcx(-far / math.sqrt(2.0))
    factor = np.maximum(factor, 0.5 / (far * far + 3.0))
    found[~near] = -0.5 * far * far - 0.5 * math.log(2.0 * math.pi) + np.log(factor)
    total: Floats = found + np.log(sd)
    return total


def _largest(
    acquisition: _Acquisition, cube: Cube, seen: Floats, rng: np.random.Generator
) -> Floats:
    """The best point that was found and not tried before: wide at first, then ever nearer."""
    wide = cube.from_units(sobol_points(cube.axes, seed=int(rng.integers(2**31)), count=_WIDE))
    points = np.vstack(
        [
            wide,
            cube.moved(acquisition.top, 0.1, 40, 0.6, rng),
            cube.moved(acquisition.top, 0.02, 20, 0.6, rng),
        ]
    )
    heights = acquisition(points)
    for radius in _RADII:
        kept = np.argsort(-heights, kind="stable")[:_KEPT]
        near = cube.moved(points[kept], radius, _NEAR, max(0.4, min(1.0, 2.0 / cube.axes)), rng)
        heights = np.concatenate([heights[kept], acquisition(near)])
        points = np.vstack([points[kept], near])
    for place in np.argsort(-heights, kind="stable"):
        if np.abs(seen - points[place]).max(axis=1).min() > _REPEAT:
            chosen: Floats = points[place]
            return chosen
    drawn: Floats = cube.from_units(rng.random((1, cube.axes)))[0]
    return drawn
