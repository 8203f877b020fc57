"""podmap's `gp` with scikit-learn's GaussianProcessRegressor as its model, to compare the two.

Kernel, bounds, number of starts and all that is around the model are the same. The library takes
the largest likelihood, where podmap's model has a prior of each parameter; and of a choice, which
is several columns, it fits a length for each column.
"""

from __future__ import annotations

import warnings
from typing import Any
from unittest import mock

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from podmap.search.adaptive import gp
from podmap.search.adaptive.gp_model import Kernel


def _regressor(kernel: Any, rng: np.random.Generator | None) -> Any:
    if rng is None:
        return GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=None)
    seed = int(rng.integers(2**31))
    return GaussianProcessRegressor(kernel, alpha=1e-8, n_restarts_optimizer=1, random_state=seed)


def _of_library(kernel: Kernel) -> Any:
    matern = Matern(kernel.lengths, nu=2.5)
    return ConstantKernel(kernel.scale) * matern + WhiteKernel(kernel.noise)


def fitted_kernel(points: Any, values: Any, axis_of: Any, rng: np.random.Generator) -> Kernel:
    """As podmap's, by the library's fit."""
    lengths = Matern(np.full(points.shape[1], 0.5), (0.01, 30.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.02, 55.0)) * lengths + WhiteKernel(1e-5, (1e-6, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters at their bounds
        found = _regressor(kernel, rng).fit(points, values).kernel_
    scale, noise = float(found.k1.k1.constant_value), float(found.k2.noise_level)
    return Kernel(np.broadcast_to(found.k1.k2.length_scale, points.shape[1]), scale, noise)


def likely_kernels(
    points: Any, values: Any, axis_of: Any, rng: np.random.Generator, *, count: int
) -> list[Kernel]:
    """The one that the library fits: it draws none."""
    return [fitted_kernel(points, values, axis_of, rng)]


class Process:
    """As podmap's, by the library."""

    def __init__(self, kernel: Kernel, points: Any, values: Any) -> None:
        self.kernel = kernel
        self._model = _regressor(_of_library(kernel), None).fit(points, values)

    def predict(self, points: Any) -> tuple[Any, Any]:
        mean, sd = self._model.predict(points, return_std=True)
        return mean, np.maximum(sd * sd - self.kernel.noise, 1e-12)


class SklearnGp:
    """The sampler."""

    def __init__(self, setting: Any) -> None:
        self._sampler = gp.GpSampler(setting)

    def suggest(self, number: int, past: Any) -> dict[str, float]:
        own = {"fitted_kernel": fitted_kernel, "likely_kernels": likely_kernels}
        with mock.patch.multiple(gp, GaussianProcess=Process, **own):
            return self._sampler.suggest(number, past)
