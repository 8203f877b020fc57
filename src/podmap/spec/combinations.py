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
    for chosen in _choices(askers, axes, conditions, {}):
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
    names: Sequence[str], axes: Axes, conditions: Conditions, chosen: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    if not names:
        yield chosen
    elif not conditions.applies(names[0], flattened(chosen)):
        yield from _choices(names[1:], axes, conditions, chosen)
    else:
        axis = axes[names[0]]
        for place in range(axis.count):
            more = {**chosen, names[0]: axis.at(place)}
            yield from _choices(names[1:], axes, conditions, more)
