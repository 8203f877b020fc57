"""`kind: grid`: every combination of the params, each made from its number."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Sequence
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.base import Enumerated, section
from podmap.spec.constraint import Constraints
from podmap.spec.dimension import Points, is_continuous, points
from podmap.spec.model import Sweep
from podmap.spec.search import GridSearch, Params


class Grid(Enumerated):
    """Every combination, in the order of `itertools.product`: the last param varies fastest."""

    kind = "grid"

    def __init__(self, params: Params, *, constraints: Sequence[str] = ()) -> None:
        """Reads the points of each param; no combination is made.

        Args:
            params: Name to range with `step`, `steps` or whole ends, choice or constant.
            constraints: As the spec has them; combinations that break one are left out.

        Raises:
            SpecError: A param has no points, or infinitely many, or nothing meets the constraints.
        """
        self._axes = _axes(params)
        self.count = math.prod(axis.count for _, axis in self._axes)
        self._kept: array[int] | None = None
        if constraints:
            self._kept = _kept(self._axes, Constraints(constraints))
            self.count = len(self._kept)
        self.distinct = all(axis.distinct for _, axis in self._axes)

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> Grid:
        """The grid of a spec, which alone says what its trials are."""
        search = section(sweep, GridSearch)
        return cls(search.params, constraints=search.constraints)

    def ask(self, number: int) -> dict[str, Any]:
        """The combination of a number: its digits, in a base that differs by param."""
        self._check_number(number)
        number = number if self._kept is None else self._kept[number]
        values: list[tuple[str, Any]] = []
        for name, axis in reversed(self._axes):
            number, place = divmod(number, axis.count)
            values.append((name, axis.at(place)))
        return dict(reversed(values))


def _kept(axes: list[tuple[str, Points]], constraints: Constraints) -> array[int]:
    """The places in the whole grid of what meets the constraints, each asked for but once."""
    roots = {name.partition(".")[0] for name in constraints.names}
    of = [place for place, (name, _) in enumerate(axes) if name.partition(".")[0] in roots]
    known: dict[tuple[int, ...], bool] = {}
    found = array("q")
    for number, digits in enumerate(itertools.product(*(range(axis.count) for _, axis in axes))):
        own = tuple([digits[place] for place in of])
        if own not in known:
            params = {axes[place][0]: axes[place][1].at(digits[place]) for place in of}
            known[own] = constraints.broken_by(params) is None
        if known[own]:
            found.append(number)
    if not found:
        message = "no combination of the grid meets all constraints"
        raise SpecError([Problem("search.constraints", message)])
    return found


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
