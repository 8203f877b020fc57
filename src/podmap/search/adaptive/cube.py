"""The space as a cube of columns from 0 to 1: where distances are measured, and neighbours made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from podmap.search.adaptive.space import Point, SearchAxis, Space

Floats = NDArray[np.float64]
_ON = 1.0 / math.sqrt(2.0)
"""So that two choices are 1 apart, as the ends of a range are."""
_MIDDLE = 0.5
_STAYS = 0.5


class Cube:
    """The columns of a space: one for a range, and one a value for a choice.

    Attributes:
        axes: How many axes there are.
        axis_of: The axis of each column.
    """

    def __init__(self, space: Space) -> None:
        """Lays out the columns."""
        self._axes = space.axes
        widths = [_width(axis) for axis in self._axes]
        self.axes = len(widths)
        self._first = np.concatenate([[0], np.cumsum(widths)]).astype(int)
        self.axis_of: NDArray[np.int64] = np.repeat(np.arange(self.axes), widths)

    def encoded(self, points: Sequence[Point]) -> Floats:
        """Points of the space as rows; an axis that does not apply stands in the middle."""
        rows = np.zeros((len(points), len(self.axis_of)))
        for place, axis in enumerate(self._axes):
            first = self._first[place]
            for row, point in zip(rows, points, strict=True):
                if axis.is_choice:
                    if axis.name in point:
                        row[first + int(point[axis.name])] = _ON
                else:
                    row[first] = axis.unit(point[axis.name]) if axis.name in point else _MIDDLE
        return rows

    def point(self, row: Floats) -> dict[str, float]:
        """The point that a row stands for."""
        found: dict[str, float] = {}
        for place, axis in enumerate(self._axes):
            own = row[self._first[place] : self._first[place + 1]]
            found[axis.name] = int(own.argmax()) if axis.is_choice else axis.from_unit(own[0])
        return found

    def from_units(self, units: Floats) -> Floats:
        """Rows of one number from 0 to 1 for each axis, as rows of columns."""
        rows = np.zeros((len(units), len(self.axis_of)))
        for place, axis in enumerate(self._axes):
            first, own = self._first[place], units[:, place]
            if axis.is_choice:
                width = _width(axis)
                chosen = np.minimum((own * width).astype(int), width - 1)
                rows[np.arange(len(units)), first + chosen] = _ON
            else:
                rows[:, first] = _snapped(axis, own)
        return rows

    def moved(
        self, rows: Floats, radius: float, times: int, share: float, rng: np.random.Generator
    ) -> Floats:
        """Neighbours of rows, so many of each.

        Args:
            rows: Where they begin.
            radius: How far they go, as a standard deviation.
            times: How many there are of each row.
            share: How likely each axis is moved.
            rng: Moves them.
        """
        found = np.repeat(rows, times, axis=0)
        for place, axis in enumerate(self._axes):
            first = self._first[place]
            moves = rng.random(len(found)) < share
            if axis.is_choice:
                width = _width(axis)
                moves &= rng.random(len(found)) < _STAYS
                which = np.flatnonzero(moves)
                found[which, first : first + width] = 0.0
                found[which, first + rng.integers(0, width, len(which))] = _ON
            else:
                step = np.where(moves, rng.normal(0.0, radius, len(found)), 0.0)
                own = 1.0 - np.abs(1.0 - np.abs(found[:, first] + step))  # mirrored at the ends
                found[:, first] = _snapped(axis, np.clip(own, 0.0, 1.0))
        return found


def _width(axis: SearchAxis) -> int:
    return int(axis.ends[1]) + 1 if axis.is_choice else 1


def _snapped(axis: SearchAxis, units: Floats) -> Floats:
    """Units of values that the axis has."""
    if axis.is_float:
        return units
    low, high = axis.scaled_ends
    inner = low + units * (high - low)
    inner = np.round(np.exp(inner) if axis.log else inner)
    inner = np.clip(inner, *axis.ends)
    found: Floats = ((np.log(inner) if axis.log else inner) - low) / (high - low)
    return found
