"""Axes: from values to pixels, with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_LOG_DECADES = 2.0
_LEAST_LOG = 1e-290
_OUTLIERS = 3.0
_SAME = 1e-9
_FEWEST_TICKS = 4


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis.

    Attributes:
        low: The value at its start.
        high: The value at its end, above `low`.
        log: Whether it is logarithmic.
        ticks: Values to mark, ascending.
    """

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value is, from 0 at `low` to 1 at `high`; what is beyond them is held there."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            at = math.log10(value) if value > 0 else low
        else:
            low, high, at = self.low, self.high, value
        return min(1.0, max(0.0, (at - low) / (high - low)))


def make_axis(values: Sequence[float], *, whole: bool = False) -> Axis:
    """An axis on which all the values are seen.

    It is logarithmic if they are positive and far apart.

    Args:
        values: Finite numbers; may be empty.
        whole: Whether only whole numbers make sense as ticks.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if _is_log(low, high):
        return _log_axis(low, high)
    spread = high - low
    same = spread <= max(abs(low), abs(high)) * _SAME
    margin = abs(low) * 0.1 or 1.0 if same else spread * 0.05
    low, high = low - margin, high + margin
    return Axis(low, high, False, _linear_ticks(low, high, whole=whole))


def within_reach(values: Sequence[float], *, maximize: bool) -> tuple[float, float]:
    """The span worth drawing: a few far outliers on the worse side are left out of it.

    Args:
        values: Finite numbers, at least one.
        maximize: Whether the larger ones are the better ones.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    lower, upper = ordered[len(ordered) // 10], ordered[len(ordered) * 9 // 10]
    # Far is meant as it is drawn: on a logarithmic axis, in decades.
    if _is_log(low, high):
        low, lower, upper, high = map(math.log10, (low, lower, upper, high))
        low, high = _without_outliers(low, lower, upper, high, maximize=maximize)
        return 10.0**low, 10.0**high
    return _without_outliers(low, lower, upper, high, maximize=maximize)


def label(value: float) -> str:
    """A tick's value in a short form."""
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    if not exponent:
        mantissa, _, exponent = f"{value:e}".partition("e")
        mantissa = f"{float(mantissa):.4g}"
    return f"{mantissa}e{int(exponent)}"


def _without_outliers(
    low: float, lower: float, upper: float, high: float, *, maximize: bool
) -> tuple[float, float]:
    middle = upper - lower
    if middle > 0 and maximize and lower - low > _OUTLIERS * middle:
        low = lower - middle
    if middle > 0 and not maximize and high - upper > _OUTLIERS * middle:
        high = upper + middle
    return low, high


_HIGHEST = 1e308
"""Beyond it a float has no room for the margin of an axis."""


def _is_log(low: float, high: float) -> bool:
    return low >= _LEAST_LOG and math.log10(high) - math.log10(low) >= _LOG_DECADES


def _log_axis(low: float, high: float) -> Axis:
    span = (math.log10(high) - math.log10(low)) * 0.04
    low, high = low / 10**span, min(high * 10**span, _HIGHEST)
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, (last - first) // 5)
    return Axis(low, high, True, tuple(10.0**power for power in range(first, last + 1, step)))


def _linear_ticks(low: float, high: float, *, whole: bool) -> tuple[float, ...]:
    most = (high - low) / _FEWEST_TICKS
    size = 10.0 ** math.floor(math.log10(most))
    step = max(size * part for part in (1, 2, 5) if size * part <= most)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    digits = 2 - math.floor(math.log10(step))
    return tuple(round((first + place) * step, digits) for place in range(max(0, count)))
