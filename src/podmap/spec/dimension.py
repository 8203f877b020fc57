"""What values a param can take: whether one is possible, and a grid's points, exact to the digit.

Ends and steps are taken as the decimals they are written as and added as whole numbers over
one denominator, so 0.1 plus two steps of 0.1 is 0.3 and never 0.30000000000000004.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, TypeGuard

from podmap.spec.findings import any_of, show, show_whole
from podmap.spec.search import Dimension, Range

DECIMALS = Context(prec=34, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""`ln` and `exp` of `decimal` are correctly rounded, so they give the same digits on every
machine; those of libm are not."""


def identity(value: Any) -> Hashable:
    """What two values have in common if they are equal, where `true` is not 1."""
    if isinstance(value, Mapping):
        return "mapping", frozenset((name, identity(one)) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return "list", tuple(identity(one) for one in value)
    return isinstance(value, bool), value


def same_value(left: Any, right: Any) -> bool:
    """Whether two params' values are equal, where `true` is not 1."""
    if isinstance(left, (list, Mapping)) or isinstance(right, (list, Mapping)):
        return identity(left) == identity(right)
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


def why_impossible(value: Any, dimension: Dimension) -> str:
    """Why a param can never take a value, as the end of a sentence; empty if it can."""
    if isinstance(dimension, Range):
        return _why_outside(value, dimension)
    if isinstance(dimension, list):
        if any(same_value(value, choice) for choice in dimension):
            return ""
        return f"{any_of(show_whole(choice) for choice in dimension)} is needed"
    return "" if same_value(value, dimension) else f"it is always {show(dimension)}"


def _why_outside(value: Any, span: Range) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"a number from {span.low} to {span.high} is needed"
    if span.low > span.high:
        return ""  # the range's own finding says why
    if not span.low <= value <= span.high:
        return f"it must be from {span.low} to {span.high}"
    if span.is_int and value != int(value):
        return "a whole number is needed"
    if span.step and span.step > 0 and (_exact(value) - _exact(span.low)) % _exact(span.step):
        return f"it must be {span.low} plus whole steps of {span.step}"
    return ""


def _exact(number: float) -> Fraction:
    """The decimal that was written, so that 0.3 is three steps of 0.1."""
    return Fraction(str(number))


@dataclass(frozen=True, slots=True)
class Points:
    """The values of one param, by place, made when asked for.

    Attributes:
        count: How many.
        at: The value at a place from 0 to `count - 1`.
        distinct: Whether no value comes twice.
    """

    count: int
    at: Callable[[int], Any]
    distinct: bool = True


def is_continuous(dimension: Dimension) -> TypeGuard[Range]:
    """Whether it is a range of floats without `step` or `steps`, which has no points."""
    if not isinstance(dimension, Range) or dimension.is_int:
        return False
    return dimension.step is None and dimension.steps is None


def points(dimension: Dimension) -> Points:
    """The points of a choice, a constant, or a range with whole numbers, `step` or `steps`.

    An int range without `steps` takes every `step`-th number, 1 by default.

    Args:
        dimension: Right by the spec's checks.

    Returns:
        The points in ascending order, choices as written.

    Raises:
        ValueError: The range is continuous.
    """
    if isinstance(dimension, list):
        values = tuple(dimension)
        unlike = {(type(value), identity(value)) for value in values}
        return Points(len(values), values.__getitem__, len(unlike) == len(values))
    if not isinstance(dimension, Range):
        return Points(1, lambda place: dimension)
    if dimension.steps is not None:
        return _spread(dimension, dimension.steps)
    if is_continuous(dimension):
        raise ValueError(f"{dimension} is continuous: it has no points")
    return _stepped(dimension, 1 if dimension.step is None else dimension.step)


def int_ends(dimension: Range) -> tuple[int, int]:
    """The lowest and the highest whole number of a range."""
    return math.ceil(dimension.low), math.floor(dimension.high)


def log_ends(low: float | Decimal, high: float | Decimal) -> tuple[Decimal, Decimal]:
    """The natural logarithms of the ends of a range, to 34 digits."""
    return DECIMALS.ln(Decimal(str(low))), DECIMALS.ln(Decimal(str(high)))


def clamped(value: float, dimension: Range) -> float:
    """The value, or the end of the range that rounding pushed it over."""
    return min(max(value, float(dimension.low)), float(dimension.high))


def _stepped(dimension: Range, step: float) -> Points:
    if dimension.is_int:
        low, high = int_ends(dimension)
        stride = max(1, int(step))
        return Points(max(0, (high - low) // stride + 1), lambda place: low + place * stride)
    (first, last, add), over = _whole(dimension.low, dimension.high, step)
    return Points(max(0, (last - first) // add + 1), lambda place: (first + place * add) / over)


def _spread(dimension: Range, steps: int) -> Points:
    if steps == 1 or dimension.low == dimension.high:
        only = int_ends(dimension)[0] if dimension.is_int else float(dimension.low)
        return Points(1, lambda place: only)
    if dimension.log:
        return _spread_log(dimension, steps)
    gaps = steps - 1
    if dimension.is_int:
        low, high = int_ends(dimension)
        if high - low < gaps:
            return _stepped(dimension, 1)
        span = high - low
        return Points(steps, lambda place: low + (2 * span * place + gaps) // (2 * gaps))
    (first, last), over = _whole(dimension.low, dimension.high)
    return Points(steps, lambda place: (first * gaps + (last - first) * place) / (over * gaps))


def _spread_log(dimension: Range, steps: int) -> Points:
    start, end = log_ends(dimension.low, dimension.high)
    gap = DECIMALS.divide(DECIMALS.subtract(end, start), Decimal(steps - 1))

    def exact(place: int) -> Decimal:
        return DECIMALS.exp(DECIMALS.add(start, DECIMALS.multiply(gap, Decimal(place))))

    if dimension.is_int:
        low, high = int_ends(dimension)
        near = (int(exact(place).to_integral_value(ROUND_HALF_EVEN)) for place in range(steps))
        values = sorted({min(max(value, low), high) for value in near})
        return Points(len(values), values.__getitem__)
    ends = {0: float(dimension.low), steps - 1: float(dimension.high)}

    def at(place: int) -> float:
        if place in ends:
            return ends[place]
        return clamped(float(exact(place)), dimension)

    return Points(steps, at)


def _whole(*numbers: float) -> tuple[list[int], int]:
    """The numbers as whole numbers over one denominator, and that denominator."""
    exact = [_exact(number) for number in numbers]
    over = math.lcm(*(fraction.denominator for fraction in exact))
    return [int(fraction * over) for fraction in exact], over
