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

One θ says more than is known: with few values quite other lengths are nearly as likely, and where
all points are chosen by one of them, what it is wrong about is never looked at. So some θ are
drawn from the posterior, over which what a point promises is averaged (Snoek, Larochelle and Adams,
2012). They are of a Metropolis walk that begins at the largest posterior; its steps are normal, and
as wide along each θ_j as the posterior is there: 0.7 / √(∂²f/∂θ_j²).

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
from scipy.linalg.lapack import dpotri
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
_IMPOSSIBLE = 1e10
_WALK_STEPS = 8
_WALK_WIDTH = 0.7
_FLATTEST = 0.1
_NEAR = 0.05


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
        explained = solve_triangular(self._factor, between.T, lower=True, check_finite=False)
        variance = self.kernel.scale - (explained * explained).sum(0)
        return between @ self._weights, np.maximum(variance, 1e-12)


def fitted_kernel(
    points: Floats, values: Floats, axis_of: NDArray[np.int64], rng: np.random.Generator
) -> Kernel:
    """The covariance with the largest posterior, as far as `_Posterior.largest` finds it.

    Args:
        points: Rows = points.
        values: One for each point, of mean 0 and variance 1.
        axis_of: The axis of each column.
        rng: Says where the second search begins.
    """
    posterior = _Posterior(points, values, axis_of)
    return posterior.kernel(posterior.largest(rng))


def likely_kernels(
    points: Floats,
    values: Floats,
    axis_of: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    count: int,
) -> list[Kernel]:
    """Covariances drawn from the posterior.

    Args:
        points: As `fitted_kernel`, and so what is not said here.
        values: One for each point.
        axis_of: The axis of each column.
        rng: Draws them.
        count: How many.
    """
    posterior = _Posterior(points, values, axis_of)
    return [posterior.kernel(theta) for theta in posterior.drawn(rng, count)]


class _Posterior:
    """The negative logarithm of the posterior of θ, and its gradient."""

    def __init__(self, points: Floats, values: Floats, axis_of: NDArray[np.int64]) -> None:
        self._values = values
        self._axis_of = axis_of
        self._axes = axes = int(axis_of.max()) + 1
        self._bounds = [_LENGTHS] * axes + [_SCALES, _NOISES]
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
        """f(θ) and its derivative."""
        axes, found = self._axes, self._covariances(theta)
        off = (theta - self._mean) / self._sd
        gradient = off / self._sd
        if found is None:
            return _IMPOSSIBLE, np.zeros_like(theta)
        shape, decayed, factor = found
        weights = cho_solve((factor, True), self._values, check_finite=False)
        rest, _ = dpotri(factor, lower=1)
        rest = rest + np.tril(rest, -1).T - np.outer(weights, weights)
        scale, noise = np.exp(theta[axes:])
        slope = rest * (5.0 / 3.0 * scale * decayed)
        inverse = np.exp(-2.0 * theta[:axes])
        gradient[:axes] += 0.5 * inverse * (self._apart @ slope.ravel())
        gradient[axes] += 0.5 * scale * float((rest * shape).sum())
        gradient[axes + 1] += 0.5 * noise * float(np.trace(rest))
        return self._height(factor, weights) + 0.5 * float(off @ off), gradient

    def height(self, theta: Floats) -> float:
        """f(θ) alone, at a third of the cost."""
        found = self._covariances(theta)
        if found is None:
            return _IMPOSSIBLE
        _, _, factor = found
        weights = cho_solve((factor, True), self._values, check_finite=False)
        off = (theta - self._mean) / self._sd
        return self._height(factor, weights) + 0.5 * float(off @ off)

    def _height(self, factor: Floats, weights: Floats) -> float:
        return 0.5 * float(self._values @ weights) + float(np.log(np.diag(factor)).sum())

    def _covariances(self, theta: Floats) -> tuple[Floats, Floats, Floats] | None:
        """k(r), (1 + √5 r) exp(-√5 r), and the factor of K; None where K has none."""
        axes, count = self._axes, len(self._values)
        squared = (np.exp(-2.0 * theta[:axes]) @ self._apart).reshape(count, count)
        distance = _ROOT5 * np.sqrt(squared)
        decay = np.exp(-distance)
        decayed = (1.0 + distance) * decay
        shape = decayed + 5.0 / 3.0 * squared * decay
        scale, noise = np.exp(theta[axes:])
        known = scale * shape
        known[np.diag_indices(count)] += noise + _JITTER
        try:
            factor = cholesky(known, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        return shape, decayed, factor

    def kernel(self, theta: Floats) -> Kernel:
        """The covariance of θ."""
        lengths = np.exp(theta[: self._axes])[self._axis_of]
        return Kernel(lengths, math.exp(theta[self._axes]), math.exp(theta[self._axes + 1]))

    def largest(self, rng: np.random.Generator) -> Floats:
        """The θ with the largest posterior, as far as a search from two places finds it."""
        axes, tail = self._axes, [0.0, _NOISE_PRIOR[0]]
        starts = [
            np.concatenate([np.full(axes, math.log(0.5) + 0.2 * math.log(axes)), tail]),
            np.concatenate([rng.normal(math.log(0.6), 0.7, axes), tail]),
        ]
        options, bounds = {"maxiter": _STEPS}, self._bounds
        found = [
            minimize(self, at, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
            for at in starts
        ]
        best: Floats = min(found, key=lambda one: float(one.fun)).x
        return best

    def drawn(self, rng: np.random.Generator, count: int) -> list[Floats]:
        """So many θ of a walk through the posterior."""
        low, high = np.array(self._bounds).T
        at = self.largest(rng)
        height = self.height(at)
        widths = _WALK_WIDTH / np.sqrt(np.maximum(self._curvatures(at), _FLATTEST))
        found = []
        for step in range(1, count * _WALK_STEPS + 1):
            there = at + rng.normal(size=len(at)) * widths
            inside = bool(((there >= low) & (there <= high)).all())
            other = self.height(there) if inside else math.inf
            if rng.exponential() > other - height:
                at, height = there, other
            if step % _WALK_STEPS == 0:
                found.append(at)
        return found

    def _curvatures(self, theta: Floats) -> Floats:
        """The second derivatives along each θ_j, from differences of the first."""
        found = np.empty(len(theta))
        for place, step in enumerate(np.eye(len(theta)) * _NEAR):
            found[place] = (self(theta + step)[1] - self(theta - step)[1])[place] / (2.0 * _NEAR)
        return found
