"""What values a param can take: equality, membership, and how many there are in a grid."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from podmap.spec.findings import any_of, show
from podmap.spec.model import Dimension, Range


def same_value(left: Any, right: Any) -> bool:
    """Whether two params' values are equal, where `true` is not 1."""
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
        return f"{any_of(show(choice) for choice in dimension)} is needed"
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
    step = _step(span)
    if step and (_exact(value) - _exact(span.low)) % step:
        return f"it must be {span.low} plus whole steps of {span.step}"
    return ""


def _step(span: Range) -> Fraction:
    return _exact(span.step) if span.step and span.step > 0 else Fraction(0)


def _exact(number: float) -> Fraction:
    """The decimal that was written, so that 0.3 is three steps of 0.1."""
    return Fraction(str(number))


def grid_count(dimension: Dimension) -> int | None:
    """How many points a grid takes of a param; None if that is not given.

    An int range without `steps` takes every `step`-th number, 1 by default.
    """
    if isinstance(dimension, list):
        return len(dimension)
    if not isinstance(dimension, Range):
        return 1
    if dimension.steps is not None:
        return max(dimension.steps, 0)
    step = _step(dimension) or (Fraction(1) if dimension.is_int else None)
    if step is None:
        return None
    return max(0, (_exact(dimension.high) - _exact(dimension.low)) // step + 1)
