"""The combinations of params with conditions, in blocks: a param that does not exist adds none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.spec.conditions import Conditions
from podmap.spec.dimension import Points, points
from podmap.spec.flat_params import flattened
from podmap.spec.search import Params, dimensions

Axes = Mapping[str, Points]


@dataclass(frozen=True, slots=True)
class Block:
    """Combinations that have the same params.

    Attributes:
        chosen: The values of params that conditions name.
        axes: The points of all other params that exist beside them, in the spec's order.
    """

    chosen: Mapping[str, Any]
    axes: tuple[tuple[str, Points], ...]

    @property
    def count(self) -> int:
        """How many combinations it has."""
        return math.prod(axis.count for _, axis in self.axes)


def blocks(params: Params) -> Iterator[Block]:
    """The blocks of all combinations, each made when it is asked for; without conditions one.

    Args:
        params: As the spec has them, each with points.

    Raises:
        ValueError: A range is continuous.
    """
    conditions = Conditions(params)
    axes = {name: points(one) for name, one in dimensions(params).items()}
    askers = [name for name in conditions.order if name in conditions.askers]
    for chosen in _choices(askers, axes, conditions):
        flat = flattened(chosen)
        others = (name for name in params if name not in conditions.askers)
        own = tuple((name, axes[name]) for name in others if conditions.applies(name, flat))
        yield Block(chosen, own)


def count_combinations(params: Params, *, most: int) -> int:
    """How many combinations there are; of more than `most` at least that many, and one.

    Args:
        params: As the spec has them, each with points.
        most: From there on it is not counted further.

    Raises:
        ValueError: A range is continuous.
    """
    count = 0
    for block in blocks(params):
        count += block.count
        if count > most:
            break
    return count


def _choices(
    names: Sequence[str], axes: Axes, conditions: Conditions
) -> Iterator[Mapping[str, Any]]:
    """The values that params can have together: no recursion, since there may be thousands."""
    nothing: Mapping[str, Any] = {}
    levels = [iter([nothing])]
    while levels:
        chosen = next(levels[-1], None)
        if chosen is None:
            levels.pop()
        elif len(levels) > len(names):
            yield chosen
        else:
            name = names[len(levels) - 1]
            levels.append(_extended(chosen, name, axes[name], conditions))


def _extended(
    chosen: Mapping[str, Any], name: str, axis: Points, conditions: Conditions
) -> Iterator[Mapping[str, Any]]:
    if name in conditions.when and not conditions.applies(name, flattened(chosen)):
        yield chosen
    else:
        for place in range(axis.count):
            yield {**chosen, name: axis.at(place)}
