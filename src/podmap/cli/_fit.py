"""Tables that fit the terminal: which columns are shown, and where long texts are cut."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

GAP = "  "
NARROWEST = 10
"""A column of text is not made narrower than this; one of numbers is never."""
_RIGHT = frozenset("0123456789.-+e")
_NONE = frozenset({"", "-", "…"})


def screen_width() -> int | None:
    """How many characters a line of standard output has; None if no screen ends it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shown_width(text: str) -> int:
    """How many places a text takes on a screen: East Asian characters take two."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut_middle(text: str, width: int) -> str:
    """The text in at most so many places, without its middle: both ends of a name tell most."""
    if shown_width(text) <= width:
        return text
    if width < 3:
        return _head(text, width)
    tail = _head(text[::-1], (width - 1) // 2)[::-1]
    while tail and not _char_width(tail[0]):  # an accent, whose letter is left out
        tail = tail[1:]
    return _head(text, width - 1 - shown_width(tail)) + "…" + tail


def _head(text: str, width: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += _char_width(char)
        if taken > width:
            return text[:place]
    return text


@dataclass(frozen=True, slots=True)
class FittedTable:
    """A table that fits.

    Attributes:
        lines: The heads, then a line a row.
        hidden: The places of the columns that had no room.
    """

    lines: list[str]
    hidden: list[int]


def fit_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None,
    key_columns: int = 1,
) -> FittedTable:
    """Lays a table out in a width.

    Where it is too wide, first long texts are cut in the middle; then columns have no room:
    first those with one value in all rows, then those at the right.

    Args:
        head: The columns' names.
        rows: Their cells, one line of text each.
        width: Characters of a line; None for as many as it takes.
        key_columns: So many columns at the left go last.
    """
    columns = [_Column(name, cells) for name, *cells in zip(head, *rows, strict=True)]
    order = sorted(
        range(len(columns)), key=lambda place: place >= key_columns and columns[place].constant
    )
    shown: list[int] = []
    left = None if width is None else width + len(GAP)
    for place in order:
        needed = columns[place].narrowest + len(GAP)
        if left is None or needed <= left or not shown:
            shown.append(place)
            left = None if left is None else left - needed
    shown.sort()
    widths = _widths([columns[place] for place in shown], left)
    lines = [
        GAP.join(
            columns[place].cell(row, room) for place, room in zip(shown, widths, strict=True)
        ).rstrip()
        for row in range(-1, len(rows))
    ]
    return FittedTable(lines, [place for place in range(len(columns)) if place not in shown])


class _Column:
    def __init__(self, name: str, cells: Sequence[str]) -> None:
        self.head, self.cells = name.upper(), cells
        self.numbers = all(cell in _NONE or set(cell) <= _RIGHT for cell in cells)
        self.constant = len(cells) > 1 and len(set(cells)) == 1
        widest = max(map(shown_width, cells), default=0)
        self.natural = max(widest, shown_width(self.head))
        least = widest if self.numbers else min(widest, NARROWEST)
        self.narrowest = max(least, min(shown_width(self.head), NARROWEST))

    def cell(self, row: int, width: int) -> str:
        """The cell of a row, or of -1 the head, in exactly that width."""
        text = cut_middle(self.head if row < 0 else self.cells[row], width)
        blanks = " " * (width - shown_width(text))
        return blanks + text if self.numbers else text + blanks


def _widths(columns: Sequence[_Column], left: int | None) -> list[int]:
    """A width for each column: what is left of the line goes where texts are cut, evenly."""
    if left is None:
        return [column.natural for column in columns]
    widths = [column.narrowest for column in columns]
    cut = sorted(range(len(columns)), key=lambda at: columns[at].natural - widths[at])
    left = max(left, 0)
    for done, place in enumerate(cut):
        more = min(columns[place].natural - widths[place], left // (len(cut) - done))
        widths[place] += more
        left -= more
    return widths
