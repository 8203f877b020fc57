"""`kind: grid`: every combination of the params, each made from its number."""

from __future__ import annotations

import math
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.base import Enumerated, section
from podmap.spec.dimension import Points, is_continuous, points
from podmap.spec.model import Sweep
from podmap.spec.search import GridSearch, Params


class Grid(Enumerated):
    """Every combination, in the order of `itertools.product`: the last param varies fastest."""

    kind = "grid"

    def __init__(self, params: Params) -> None:
        """Reads the points of each param; no combination is made.

        Args:
            params: Name to range with `step`, `steps` or whole ends, choice or constant.

        Raises:
            SpecError: A param has no points, or infinitely many.
        """
        self._axes = _axes(params)
        self.count = math.prod(axis.count for _, axis in self._axes)
        self.distinct = all(axis.distinct for _, axis in self._axes)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> Grid:
        """The grid of a spec, which alone says what its trials are."""
        return cls(section(sweep, GridSearch).params)

    def ask(self, number: int) -> dict[str, Any]:
        """The combination of a number: its digits, in a base that differs by param."""
        self._check_number(number)
        values: list[tuple[str, Any]] = []
        for name, axis in reversed(self._axes):
            number, place = divmod(number, axis.count)
            values.append((name, axis.at(place)))
        return dict(reversed(values))


def _axes(params: Params) -> list[tuple[str, Points]]:
    axes: list[tuple[str, Points]] = []
    problems: list[Problem] = []
    for name, dimension in params.items():
        if is_continuous(dimension):
            message = "a grid needs to know which points of the range to take"
            hint = "give steps (how many) or step (how far apart)"
            problems.append(Problem(f"search.params.{name}", message, hint=hint))
            continue
        axis = points(dimension)
        axes.append((name, axis))
        if not axis.count:
            problems.append(Problem(f"search.params.{name}", "has no values: the grid is empty"))
    if problems:
        raise SpecError(problems)
    return axes
