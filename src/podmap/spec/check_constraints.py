"""Checks `search.constraints`: grammar, the params that they name, whether they can be met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from podmap.spec.conditions import optional_params
from podmap.spec.constraint import Constraint, ConstraintError, Constraints, Span
from podmap.spec.findings import Finding, Place, did_you_mean, show, show_whole
from podmap.spec.flat_params import flat_pairs
from podmap.spec.search import (
    AdaptiveSearch,
    Dimension,
    GridSearch,
    RandomSearch,
    Range,
    dimensions,
)

MOST = 50
_HERE: Place = ("search", "constraints")


def check_constraints(search: GridSearch | RandomSearch | AdaptiveSearch) -> Iterator[Finding]:
    """What is wrong with the constraints of a search whose params are right by themselves."""
    if len(search.constraints) > MOST:
        yield Finding(_HERE, f"{len(search.constraints)} constraints; at most {MOST} are allowed")
        return
    dims, optional = dimensions(search.params), optional_params(search)
    values = _values(dims)
    spans = {
        name: span
        for name, own in values.items()
        if name not in optional and (span := _span(name, own, dims))
    }
    right: list[str] = []
    for index, text in enumerate(search.constraints):
        place = (*_HERE, index)
        try:
            constraint = Constraint.parse(text)
        except ConstraintError as error:
            hint = "for example params.batch * params.width <= 4096"
            yield Finding(place, f"{show(text)} is not allowed: {error}", hint)
            continue
        wrong = list(_check_names(place, constraint, values))
        yield from wrong
        if not wrong and constraint.never_holds(spans):
            yield Finding(
                place, f"no params can meet {show_whole(text)}", "widen the ranges, or it"
            )
        elif not wrong:
            right.append(text)
    if not isinstance(search, GridSearch):
        yield from _check_first(search, Constraints(right))


def _check_names(
    place: Place, constraint: Constraint, values: Mapping[str, list[Dimension]]
) -> Iterator[Finding]:
    for name in constraint.names:
        if name not in values:
            message = f"{show(name)} is not a param; there are: {', '.join(sorted(values))}"
            yield Finding(place, message, did_you_mean(name, values))
        elif not any(_is_numeric(one) for one in values[name]):
            yield Finding(place, f"{name} is never a number, and numbers alone are compared")


def _check_first(
    search: RandomSearch | AdaptiveSearch, constraints: Constraints
) -> Iterator[Finding]:
    dims = dimensions(search.params)
    constants = {name: one for name, one in dims.items() if not isinstance(one, (Range, list))}
    for index, params in enumerate(search.try_first):
        broken = constraints.broken_by({**constants, **params})
        if broken is not None:
            message = f"the params break the constraint {show_whole(broken.text)}"
            yield Finding(("search", "try_first", index), message)


def _values(params: Mapping[str, Dimension]) -> dict[str, list[Dimension]]:
    """Param, with its dotted name, to all that it may be: ranges, or values."""
    found: dict[str, list[Dimension]] = {}
    for outer, dimension in params.items():
        for choice in dimension if isinstance(dimension, list) else [dimension]:
            for name, value in flat_pairs({outer: choice}):
                found.setdefault(name, []).append(value)
    return found


def _span(name: str, own: list[Dimension], params: Mapping[str, Dimension]) -> Span | None:
    """Between which ends a param is; None if it may be no number, or missing."""
    if not all(map(_is_numeric, own)):
        return None
    for outer, dimension in params.items():
        some = isinstance(dimension, list) and len(dimension) != len(own)
        if some and name.startswith(f"{outer}."):
            return None  # it is given by some choices alone
    lows: list[Any] = [one.low if isinstance(one, Range) else one for one in own]
    highs: list[Any] = [one.high if isinstance(one, Range) else one for one in own]
    return min(lows), max(highs)


def _is_numeric(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number or isinstance(value, Range)
