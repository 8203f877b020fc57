"""The space of a search that learns: its axes, and params as points of it and back.

An axis is a param that can take more than one value. Its inner value is a number: the value itself
on a range without steps, else the place among its values. So equal choices never merge (`true` and
`1`), null, lists and mappings are choices like others, and stepped values stay exact to the digit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from podmap.spec.conditions import Conditions, known_names
from podmap.spec.dimension import (
    Points,
    clamped,
    int_ends,
    is_continuous,
    points,
    same_value,
    why_impossible,
)
from podmap.spec.flat_params import flat_pairs, flattened
from podmap.spec.search import Dimension, Params, Range, dimensions

Point = Mapping[str, float]
"""SearchAxis to inner value; axes that do not apply are missing."""
_FLOAT_SLACK = 1e-12


@dataclass(frozen=True)
class SearchAxis:
    """A param that can take more than one value.

    Attributes:
        name: The param.
        dimension: Its range or choices.
    """

    name: str
    dimension: Dimension

    @cached_property
    def is_choice(self) -> bool:
        """Whether its values have no order."""
        return isinstance(self.dimension, list)

    @cached_property
    def is_float(self) -> bool:
        """Whether it is continuous."""
        return is_continuous(self.dimension)

    @cached_property
    def is_plain_int(self) -> bool:
        """Whether it takes every whole number between its ends."""
        span = self.dimension
        return isinstance(span, Range) and span.is_int and span.step in (None, 1) and not span.steps

    @cached_property
    def log(self) -> bool:
        """Whether inner values are spread evenly by their logarithm."""
        span = self.dimension
        return isinstance(span, Range) and span.log and (self.is_float or self.is_plain_int)

    @cached_property
    def _points(self) -> Points:
        return points(self.dimension)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest inner value."""
        span = self.dimension
        if isinstance(span, Range) and self.is_float:
            return float(span.low), float(span.high)
        if isinstance(span, Range) and self.is_plain_int:
            return int_ends(span)
        return 0, self._points.count - 1

    def outer(self, inner: float) -> Any:
        """The param's value."""
        if self.is_float and isinstance(self.dimension, Range):
            return clamped(float(inner), self.dimension)
        low, high = self.ends
        place = int(min(max(round(inner), low), high))
        return place if self.is_plain_int else self._points.at(place)

    def inner(self, value: Any) -> float:
        """The inner value of a param's value.

        Raises:
            ValueError: The axis cannot take it.
        """
        why = why_impossible(value, self.dimension)
        if why:
            raise ValueError(f"{self.name}: {why}")
        if self.is_float:
            return float(value)
        if self.is_plain_int:
            return int(value)
        for place in range(self._points.count):
            if self._is_at(place, value):
                return place
        raise ValueError(f"{self.name}: {value} is none of its values")

    def _is_at(self, place: int, value: Any) -> bool:
        own = self._points.at(place)
        if self.is_choice:
            return same_value(own, value)
        return math.isclose(own, value, rel_tol=_FLOAT_SLACK)

    def unit(self, inner: float) -> float:
        """The inner value as a number from 0 to 1."""
        low, high = self.scaled_ends
        own = math.log(inner) if self.log else float(inner)
        return min(max((own - low) / (high - low), 0.0), 1.0) if high > low else 0.0

    @cached_property
    def scaled_ends(self) -> tuple[float, float]:
        """The ends of the scale on which the axis is even."""
        low, high = self.ends
        return (math.log(low), math.log(high)) if self.log else (float(low), float(high))

    def from_unit(self, unit: float) -> float:
        """The inner value nearest to a number from 0 to 1."""
        low, high = self.scaled_ends
        own = low * (1.0 - unit) + high * unit
        own = math.exp(own) if self.log else own
        first, last = self.ends
        if not 0.0 < unit < 1.0:
            return first if unit <= 0.0 else last
        return min(max(own if self.is_float else round(own), first), last)

    def share(self, unit: float) -> float:
        """The inner value at a share of the axis, each whole value having an equal part of it."""
        if self.is_float:
            return self.from_unit(unit)
        first, last = self.ends
        if self.log:  # half a unit beyond the ends, as a draw at random has it
            low, high = math.log(first - 0.5), math.log(last + 0.5)
            place = round(math.exp(low + (high - low) * unit))
        else:
            place = math.floor(first + unit * (last - first + 1))
        return min(max(place, first), last)


@dataclass(frozen=True)
class Space:
    """What params a search can propose.

    Attributes:
        params: Name to range, choice or constant, as the spec has them, some with conditions.
    """

    params: Params

    @cached_property
    def axes(self) -> tuple[SearchAxis, ...]:
        """The params that can take more than one value, as written."""
        dims = dimensions(self.params)
        every = (SearchAxis(name, one) for name, one in dims.items() if _may_vary(one))
        return tuple(axis for axis in every if axis.is_float or axis.ends[0] < axis.ends[1])

    @cached_property
    def conditions(self) -> Conditions:
        """Which params exist beside which values of others."""
        return Conditions(self.params)

    @cached_property
    def _fixed(self) -> dict[str, Any]:
        varying = {axis.name for axis in self.axes}
        dims = dimensions(self.params)
        return {name: _only_value(one) for name, one in dims.items() if name not in varying}

    def outer(self, point: Point) -> dict[str, Any]:
        """The params of a point, constants among them, with dotted names for nested ones.

        A param whose condition does not hold is left out, be it in the point or not.
        """
        return dict(flattened(self._nested(point)))

    def existing(self, point: Point) -> dict[str, float]:
        """The point without axes of params that do not exist beside the others."""
        if not self.conditions.when:
            return dict(point)
        kept = self._nested(point)
        return {name: inner for name, inner in point.items() if name in kept}

    def _nested(self, point: Point) -> Mapping[str, Any]:
        own = {axis.name: axis for axis in self.axes}
        params = {
            name: own[name].outer(point[name]) if name in own else self._fixed[name]
            for name in self.params
            if name in self._fixed or name in point
        }
        return self.conditions.applying(params)

    def inner(self, params: Mapping[str, Any]) -> dict[str, float]:
        """The point that params stand for.

        Args:
            params: With dotted names for nested ones, as in a record.

        Raises:
            ValueError: This search would never propose them.
        """
        point: dict[str, float] = {}
        for axis in self.axes:
            if self.conditions.applies(axis.name, params):
                point[axis.name] = _inner_of(axis, params)
        made = self.outer(point)
        if made.keys() != params.keys():
            odd = sorted(made.keys() ^ params.keys())
            raise ValueError(f"{', '.join(odd)}: the params are others")
        fixed = ((name, one) for name, one in self._flat_fixed.items() if name in params)
        wrong = [name for name, one in fixed if params[name] != one]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: another constant")
        return point

    def completed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params with the constants that they lack, and that exist beside them.

        Args:
            params: With dotted names for nested ones.
        """
        found = dict(params)
        for name, value in self._flat_fixed.items():
            owner = self.conditions.owner(name)
            if name not in found and self.conditions.applies(owner, found):
                found[name] = value
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """All names that its params may have, with dots for nested ones."""
        return known_names(dimensions(self.params))

    @cached_property
    def _flat_fixed(self) -> Mapping[str, Any]:
        return flattened(self._fixed)


def _may_vary(dimension: Dimension) -> bool:
    if isinstance(dimension, list):
        return len(dimension) > 1
    return isinstance(dimension, Range) and dimension.low < dimension.high


def _only_value(dimension: Dimension) -> Any:
    return points(dimension).at(0) if not is_continuous(dimension) else float(dimension.low)


def _inner_of(axis: SearchAxis, params: Mapping[str, Any]) -> float:
    if not isinstance(axis.dimension, list) or axis.name in params:
        if axis.name not in params:
            raise ValueError(f"{axis.name}: missing")
        return axis.inner(params[axis.name])
    best = -1
    fitting = 0
    for place, choice in enumerate(axis.dimension):  # one that is a mapping has given several
        given = dict(flat_pairs({axis.name: choice}))
        fits = all(name in params and params[name] == value for name, value in given.items())
        if fits and len(given) > fitting:
            best, fitting = place, len(given)
    if best < 0:
        raise ValueError(f"{axis.name}: none of its choices")
    return best
