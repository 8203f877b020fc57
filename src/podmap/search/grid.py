"""`kind: grid`: every combination of the params, each made from its number."""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.base import Enumerated, section
from podmap.spec.combinations import Block, blocks
from podmap.spec.constraint import Constraints
from podmap.spec.dimension import is_continuous, points
from podmap.spec.model import Sweep
from podmap.spec.search import GridSearch, Params, dimensions


class Grid(Enumerated):
    """Every combination, in the order of `itertools.product`: the last param varies fastest.

    Where params exist under conditions, those that conditions name vary slowest, and of what
    differs only in params that do not exist there is one combination.
    """

    kind = "grid"

    def __init__(self, params: Params, *, constraints: Sequence[str] = ()) -> None:
        """Reads the points of each param; no combination is made.

        Args:
            params: Name to range with `step`, `steps` or whole ends, choice or constant.
            constraints: As the spec has them; combinations that break one are left out.

        Raises:
            SpecError: A param has no points, or infinitely many, or nothing meets the constraints.
        """
        _check_points(params)
        self._names = tuple(params)
        self._blocks = tuple(blocks(params))
        *self._firsts, self.count = itertools.accumulate(
            (block.count for block in self._blocks), initial=0
        )
        self._kept: array[int] | None = None
        if constraints:
            self._kept = _kept(self._blocks, Constraints(constraints))
            self.count = len(self._kept)
        self.distinct = all(points(one).distinct for one in dimensions(params).values())

    @classmethod
    def from_spec(cls, sweep: Sweep, *, folder: str = "") -> Grid:
        """The grid of a spec, which alone says what its trials are."""
        search = section(sweep, GridSearch)
        return cls(search.params, constraints=search.constraints)

    def ask(self, number: int) -> dict[str, Any]:
        """The combination of a number: its digits, in a base that differs by param."""
        self._check_number(number)
        number = number if self._kept is None else self._kept[number]
        index = bisect_right(self._firsts, number) - 1
        block = self._blocks[index]
        number -= self._firsts[index]
        values = dict(block.chosen)
        for name, axis in reversed(block.axes):
            number, place = divmod(number, axis.count)
            values[name] = axis.at(place)
        return {name: values[name] for name in self._names if name in values}


def _kept(every: Sequence[Block], constraints: Constraints) -> array[int]:
    """The places in the whole grid of what meets the constraints."""
    roots = {name.partition(".")[0] for name in constraints.names}
    found = array("q")
    first = 0
    for block in every:
        found.extend(first + place for place in _kept_of(block, constraints, roots))
        first += block.count
    if not found:
        message = "no combination of the grid meets all constraints"
        raise SpecError([Problem("search.constraints", message)])
    return found


def _kept_of(block: Block, constraints: Constraints, roots: set[str]) -> Iterator[int]:
    """The places in a block; each set of what the constraints name is asked for but once."""
    axes = block.axes
    of = [place for place, (name, _) in enumerate(axes) if name.partition(".")[0] in roots]
    known: dict[tuple[int, ...], bool] = {}
    for number, digits in enumerate(itertools.product(*(range(axis.count) for _, axis in axes))):
        own = tuple([digits[place] for place in of])
        if own not in known:
            params: Mapping[str, Any] = {
                **block.chosen,
                **{axes[place][0]: axes[place][1].at(digits[place]) for place in of},
            }
            known[own] = constraints.broken_by(params) is None
        if known[own]:
            yield number


def _check_points(params: Params) -> None:
    problems: list[Problem] = []
    for name, dimension in dimensions(params).items():
        if is_continuous(dimension):
            message = "a grid needs to know which points of the range to take"
            hint = "give steps (how many) or step (how far apart)"
            problems.append(Problem(f"search.params.{name}", message, hint=hint))
        elif not points(dimension).count:
            problems.append(Problem(f"search.params.{name}", "has no values: the grid is empty"))
    if problems:
        raise SpecError(problems)
