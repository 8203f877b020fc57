"""A Gaussian process over the unit cube, small and exact, on numpy and scipy alone.

The model. Values y at points x are normal with mean 0 and covariance

    K[a, b] = s k(r) + (a = b) n,   k(r) = (1 + √5 r + 5/3 r²) exp(-√5 r),
    r² = Σ_j |x_aj - x_bj|² / l_j²

(Matérn 5/2; one length l_j for each axis, a choice being several columns of one axis.) With the
Cholesky factor L of K and w = K⁻¹ y, at a new point with covariances k to the known ones the mean
is k·w, and the variance s - |L⁻¹ k|² (Rasmussen and Williams, 2006, algorithm 2.1).

The fit. Of θ = (log l, log s, log n) the largest posterior is taken. The negative logarithm is

    f(θ) = ½ y·w + Σ log L_ii + Σ_j ½ ((θ_j - μ_j) / d_j)²,

and with R = K⁻¹ - w wᵀ its derivative is ½ Σ R ∘ ∂K/∂θ_j + (θ_j - μ_j) / d_j². By r² the kernel has
dk/d(r²) = -5/6 (1 + √5 r) exp(-√5 r), and ∂r²/∂log l_j = -2 |x_aj - x_bj|² / l_j², so

    ∂K/∂log l_j = s 5/3 (1 + √5 r) exp(-√5 r) |x_aj - x_bj|² / l_j²,
    ∂K/∂log s = s k(r),   ∂K/∂log n = n I.

The prior of the lengths is log-normal and grows with the root of the number of axes, since
distances in a cube do (Hvarfner, Hellsten and Nardi, 2024): without it many axes look as if nothing
mattered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]
_ROOT5 = math.sqrt(5.0)
_JITTER = 1e-8
_LENGTH_PRIOR = (math.sqrt(2.0) - 1.0, math.sqrt(3.0))
_SCALE_SD = 1.0
_NOISE_PRIOR = (math.log(1e-5), 1.5)
_LENGTHS = (math.log(0.01), math.log(30.0))
_SCALES = (-4.0, 4.0)
_NOISES = (math.log(1e-6), math.log(0.5))
_STEPS = 40


@dataclass(frozen=True)
class Kernel:
    """The parameters of the covariance.

    Attributes:
        lengths: One for each column, those of one axis alike.
        scale: The variance of the process.
        noise: The variance of what is measured.
    """

    lengths: Floats
    scale: float
    noise: float

    def between(self, left: Floats, right: Floats) -> Floats:
        """The covariances: rows = points of the left, columns = of the right."""
        a, b = left / self.lengths, right / self.lengths
        squared = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2.0 * (a @ b.T)
        squared = np.maximum(squared, 0.0)
        distance = _ROOT5 * np.sqrt(squared)
        found: Floats = self.scale * (1.0 + distance + 5.0 / 3.0 * squared) * np.exp(-distance)
        return found


class GaussianProcess:
    """A Gaussian process that knows some values."""

    def __init__(self, kernel: Kernel, points: Floats, values: Floats) -> None:
        """Learns the values.

        Args:
            kernel: The covariance.
            points: Rows = points.
            values: One for each point; their mean should be near 0.
        """
        self.kernel = kernel
        self._points = points
        known = kernel.between(points, points)
        known[np.diag_indices(len(values))] += kernel.noise + _JITTER
        self._factor = cholesky(known, lower=True)
        self._weights = cho_solve((self._factor, True), values)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and variance at points, without the noise."""
        between = self.kernel.between(points, self._points)
        explained = solve_triangular(self._factor, between.T, lower=True)
        variance = self.kernel.scale - (explained * explained).sum(0)
        return between @ self._weights, np.maximum(variance, 1e-12)


def fitted_kernel(
    points: Floats, values: Floats, axis_of: NDArray[np.int64], rng: np.random.Generator
) -> Kernel:
    """The covariance with the largest posterior, as far as a search from two places finds it.

    Args:
        points: Rows = points.
        values: One for each point, of mean 0 and variance 1.
        axis_of: The axis of each column.
        rng: Says where the second search begins.
    """
    axes = int(axis_of.max()) + 1
    posterior = _Posterior(points, values, axis_of, axes)
    bounds = [_LENGTHS] * axes + [_SCALES, _NOISES]
    tail = [0.0, _NOISE_PRIOR[0]]
    starts = [
        np.concatenate([np.full(axes, math.log(0.5) + 0.2 * math.log(axes)), tail]),
        np.concatenate([rng.normal(math.log(0.6), 0.7, axes), tail]),
    ]
    found = [
        minimize(
            posterior, at, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}
        )
        for at in starts
    ]
    best: Floats = min(found, key=lambda one: float(one.fun)).x
    lengths = np.exp(best[:axes])[axis_of]
    return Kernel(lengths, math.exp(best[axes]), math.exp(best[axes + 1]))


class _Posterior:
    """The negative logarithm of the posterior of θ, and its gradient."""

    def __init__(
        self, points: Floats, values: Floats, axis_of: NDArray[np.int64], axes: int
    ) -> None:
        self._values = values
        self._axes = axes
        count = len(values)
        self._apart = np.empty((axes, count * count))
        for axis in range(axes):
            own = points[:, axis_of == axis]
            norms = (own * own).sum(1)
            apart = norms[:, None] + norms[None, :] - 2.0 * (own @ own.T)
            self._apart[axis] = np.maximum(apart, 0.0).ravel()
        low, high = _LENGTH_PRIOR
        self._mean = np.append(np.full(axes, low + 0.5 * math.log(axes)), [0.0, _NOISE_PRIOR[0]])
        self._sd = np.append(np.full(axes, high), [_SCALE_SD, _NOISE_PRIOR[1]])

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        axes, values = self._axes, self._values
        count = len(values)
        inverse = np.exp(-2.0 * theta[:axes])
        scale, noise = math.exp(theta[axes]), math.exp(theta[axes + 1])
        squared = (inverse @ self._apart).reshape(count, count)
        distance = _ROOT5 * np.sqrt(squared)
        decay = np.exp(-distance)
        shape = (1.0 + distance + 5.0 / 3.0 * squared) * decay
        known = scale * shape
        known[np.diag_indices(count)] += noise + _JITTER
        try:
            factor = cholesky(known, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        weights = cho_solve((factor, True), values, check_finite=False)
        off = (theta - self._mean) / self._sd
        height = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
        gradient = off / self._sd
        rest = cho_solve((factor, True), np.eye(count), check_finite=False)
        rest -= np.outer(weights, weights)
        slope = rest * (5.0 / 3.0 * scale * (1.0 + distance) * decay)
        gradient[:axes] += 0.5 * inverse * (self._apart @ slope.ravel())
        gradient[axes] += 0.5 * scale * float((rest * shape).sum())
        gradient[axes + 1] += 0.5 * noise * float(np.trace(rest))
        return height + 0.5 * float(off @ off), gradient
