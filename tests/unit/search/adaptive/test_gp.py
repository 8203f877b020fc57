"""The Gaussian process: its gradient, its acquisition, and how well and how quickly it searches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from podmap.search.adaptive.gp import FIRST_TRIALS, GpSampler, log_improvement, squashed
from podmap.search.adaptive.gp_model import GaussianProcess, Kernel, _Posterior, fitted_kernel
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.space import Space
from podmap.spec.search import Range


def test_the_gradient_of_the_posterior_is_that_of_its_values() -> None:
    rng = np.random.default_rng(1)
    points, values = rng.random((12, 4)), rng.normal(size=12)
    posterior = _Posterior(points, values, np.array([0, 1, 1, 2]), 3)
    theta = np.array([-0.5, 0.2, 0.4, 0.3, -3.0])
    _, gradient = posterior(theta)
    for at in range(len(theta)):
        step = np.zeros(len(theta))
        step[at] = 1e-6
        slope = (posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-6
        assert slope == pytest.approx(gradient[at], rel=1e-4, abs=1e-6)


def test_the_process_goes_through_what_it_knows_and_is_unsure_elsewhere() -> None:
    rng = np.random.default_rng(2)
    points = rng.random((20, 2))
    values = np.sin(3 * points[:, 0]) + points[:, 1]
    values = (values - values.mean()) / values.std()
    kernel = fitted_kernel(points, values, np.array([0, 1]), rng)
    mean, variance = GaussianProcess(kernel, points, values).predict(points)
    assert mean == pytest.approx(values, abs=0.05)
    far = GaussianProcess(Kernel(np.full(2, 0.05), 1.0, 1e-6), points, values)
    assert far.predict(np.array([[9.0, 9.0]]))[1] == pytest.approx([1.0])
    assert variance.max() < 0.05


@pytest.mark.parametrize("z", [3.0, 0.0, -0.9, -1.1, -5.0, -30.0, -1e3])
def test_the_logarithm_of_the_expected_improvement_is_right_in_its_tail(z: float) -> None:
    (found,) = log_improvement(np.array([-z]), np.array([1.0]), 0.0)
    if z > -20:
        assert found == pytest.approx(math.log(norm.pdf(z) + z * norm.cdf(z)), rel=1e-6)
    else:
        assert found == pytest.approx(norm.logpdf(z) - 2 * math.log(-z), rel=1e-2)


def test_bad_values_are_drawn_together_and_keep_their_order() -> None:
    values = np.array([0.0, 1.0, 2.0, 3.0, 1e6])
    found = squashed(values)
    assert list(np.argsort(found)) == [0, 1, 2, 3, 4]
    assert found[4] - found[3] < 10 * (found[3] - found[0])


SPACE = Space({"x": Range(low=-5.0, high=10.0), "y": Range(low=0.0, high=15.0)})


def branin(point: Any) -> float:
    x, y = point["x"], point["y"]
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.397887


def test_it_finds_the_optimum_of_branin_within_forty_trials() -> None:
    best = []
    for seed in range(3):
        sampler, past = GpSampler(SamplerSetting(SPACE, seed)), []
        for number in range(40):
            point = sampler.suggest(number, past)
            past.append(PastTrial(number, point, "complete", (branin(point),)))
        best.append(min(one.values[0] for one in past))
    assert sorted(best)[1] < 0.02


def failures(failed: Any) -> int:
    """How many of 40 trials fail where a third of the space does."""
    sampler, past = GpSampler(SamplerSetting(SPACE, 1, failed=failed)), []
    for number in range(40):
        point = sampler.suggest(number, past)
        if point["x"] > 5:
            past.append(PastTrial(number, point, "failed"))
        else:
            past.append(PastTrial(number, point, "complete", (branin(point),)))
    return sum(one.state == "failed" for one in past)


def test_it_keeps_away_from_where_trials_fail() -> None:
    assert 2 * failures("avoid") <= failures("ignore")


def test_it_fits_a_part_of_thousands_of_trials() -> None:
    rng = np.random.default_rng(3)
    past = []
    for number in range(3000):
        point = {"x": float(rng.uniform(-5, 10)), "y": float(rng.uniform(0, 15))}
        running = number > 2960
        values = () if running else (branin(point),)
        past.append(PastTrial(number, point, "running" if running else "complete", values))
    sampler = GpSampler(SamplerSetting(SPACE, 1))
    suggested = sampler.suggest(3000, past)
    assert suggested.keys() == {"x", "y"}
    assert FIRST_TRIALS < len(past)
