"""The Gaussian process: its gradient, its acquisition, and how well and how quickly it searches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from podmap.search.adaptive.gp import FIRST_TRIALS, GpSampler, _believer, log_improvement, squashed
from podmap.search.adaptive.gp_model import GaussianProcess, Kernel, _Posterior, fitted_kernel
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.space import Space
from podmap.spec.search import Range


def test_the_gradient_of_the_posterior_is_that_of_its_values() -> None:
    rng = np.random.default_rng(1)
    points, values = rng.random((12, 4)), rng.normal(size=12)
    posterior = _Posterior(points, values, np.array([0, 1, 1, 2]))
    theta = np.array([-0.5, 0.2, 0.4, 0.3, -3.0])
    _, gradient = posterior(theta)
    for at in range(len(theta)):
        step = np.zeros(len(theta))
        step[at] = 1e-6
        slope = (posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-6
        assert slope == pytest.approx(gradient[at], rel=1e-4, abs=1e-6)


def test_the_height_of_the_posterior_is_the_same_without_its_gradient() -> None:
    rng = np.random.default_rng(1)
    posterior = _Posterior(rng.random((12, 3)), rng.normal(size=12), np.array([0, 1, 1]))
    theta = np.array([-0.5, 0.2, 0.3, -3.0])
    assert posterior(theta)[0] == pytest.approx(posterior.height(theta))


def test_the_walk_draws_from_the_posterior() -> None:
    """By a sum over a grid of the two parameters that matter most, the others held."""
    rng = np.random.default_rng(4)
    points = rng.random((15, 1))
    values = np.sin(5 * points[:, 0])
    posterior = _Posterior(points, (values - values.mean()) / values.std(), np.array([0]))
    drawn = np.array(posterior.drawn(rng, 900))
    sides = [np.linspace(low, high, 21) for low, high in ((-4, 3), (-4, 4), (-13.8, -0.7))]
    grid = np.array(np.meshgrid(*sides, indexing="ij")).reshape(3, -1).T
    weights = np.exp(-np.array([posterior.height(theta) for theta in grid]) + posterior.height(
        posterior.largest(rng)))  # fmt: skip
    mean = weights @ grid / weights.sum()
    sd = np.sqrt(weights @ (grid - mean) ** 2 / weights.sum())
    assert drawn.mean(0) == pytest.approx(mean, abs=0.25 * sd.max())
    assert drawn.std(0) == pytest.approx(sd, rel=0.3)


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


def test_it_finds_the_optimum_of_branin_within_thirty_trials() -> None:
    best = []
    for seed in range(3):
        sampler, past = GpSampler(SamplerSetting(SPACE, seed)), []
        for number in range(30):
            point = sampler.suggest(number, past)
            past.append(PastTrial(number, point, "complete", (branin(point),)))
        best.append(min(one.values[0] for one in past))
    assert sorted(best)[1] < 0.02


@pytest.mark.parametrize("seed", range(3))
def test_what_is_asked_for_at_once_is_spread_out(seed: int) -> None:
    """Also where something that runs is expected to be better than all that has ended."""
    rng = np.random.default_rng(seed)
    sampler, past = GpSampler(SamplerSetting(SPACE, seed)), []
    for number in range(30):
        point = {"x": float(rng.uniform(-5, 10)), "y": float(rng.uniform(0, 15))}
        past.append(PastTrial(number, point, "complete", (branin(point),)))
    for number in range(30, 38):
        past.append(PastTrial(number, sampler.suggest(number, past), "running"))
    rows = np.array([[one.point["x"] / 15, one.point["y"] / 15] for one in past[30:]])
    apart = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(-1)) + 9 * np.eye(len(rows))
    assert np.median(apart.min(1)) > 0.02


def test_where_limits_are_missed_what_runs_is_not_taken_for_the_best() -> None:
    kernel = Kernel(np.full(1, 0.3), 1.0, 1e-6)
    points, values = np.array([[0.2], [0.5], [0.8]]), np.array([0.0, -0.9, -0.6])
    alive, best = np.array([[0.6]]), -0.9
    _, believed = _believer(kernel, points, values, alive, best, met=True)
    assert believed < best
    assert best == _believer(kernel, points, values, alive, best, met=False)[1]


def failures(failed: Any) -> int:
    """How many of 30 trials fail where a third of the space does."""
    sampler, past = GpSampler(SamplerSetting(SPACE, 1, failed=failed)), []
    for number in range(30):
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
