"""What the texts of a table mean: decided by whole columns, so that like cells are alike."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from podmap.spec.placeholder import to_text
from podmap.spec.search import ColumnType

_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
# Programs write the sign of an exponent, or a point before it; `12e4` is an id.
_SCIENTIFIC = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+[eE][-+]?|[eE][-+])[0-9]{1,3}")
_ANY_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NO_NUMBERS = frozenset(
    {"nan", "inf", "+inf", "-inf", "infinity", "-infinity", "na", "n/a", "<na>", "null", "none"}
    | {"#n/a", "#div/0!", "#value!", "#num!", "#ref!", "#name?", "nat", "-", "?"}
)
_LONGEST = 400
_INDEX_NAMES = re.compile(r"(Unnamed: [0-9]+)?")
PARQUET_INDEX = re.compile(r"__index_level_[0-9]+__")


def column_type(cells: Sequence[str]) -> ColumnType:
    """What the cells of a column are, none of them empty, where the spec does not say it.

    A number must be spelled as it would be written again: in a column with `1.10`, `007` or
    `12e4` all cells are text.
    """
    if all(cell in _WORDS for cell in cells):
        return "bool"
    return "number" if all(map(_spells_back, cells)) else "text"


def _spells_back(cell: str) -> bool:
    if len(cell) > _LONGEST:
        return False
    if _INT.fullmatch(cell):
        return cell != "-0"
    if _FLOAT.fullmatch(cell):
        # As people and programs write it: without an exponent.
        return format(Decimal(repr(float(cell))), "f") == cell
    return _SCIENTIFIC.fullmatch(cell) is not None


def why_no_number(cells: Sequence[str]) -> str:
    """A cell that keeps a column of numbers from being one and is no value; empty if none does."""
    others = [cell for cell in cells if not _spells_back(cell)]
    if not others or len(others) == len(cells):
        return ""
    return others[0] if all(cell.lower() in _NO_NUMBERS for cell in others) else ""


def is_index(name: str, cells: Sequence[str]) -> bool:
    """Whether a column is the row numbers that pandas writes: unnamed, 0 to the last."""
    return _INDEX_NAMES.fullmatch(name) is not None and all(
        cell == str(number) for number, cell in enumerate(cells)
    )


def value_of(cell: str, kind: ColumnType) -> Any:
    """The value of a cell, stripped.

    Raises:
        ValueError: It is not of this kind.
    """
    if kind == "text":
        return cell
    if kind == "bool":
        if cell.lower() not in ("true", "false"):
            raise ValueError(f"{cell[:60]!r} is not true or false")
        return cell.lower() == "true"
    if len(cell) > _LONGEST or not _ANY_NUMBER.fullmatch(cell):
        raise ValueError(f"{cell[:60]!r} is not a number")
    if re.fullmatch(r"[-+]?[0-9]+", cell):
        return int(cell)
    return float(cell)


def converted(value: Any, kind: ColumnType) -> Any:
    """A value of any source as the spec's `types` wants it; null stays null.

    Raises:
        ValueError: It cannot be so.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value_of(value.strip() if kind != "text" else value, kind)
    if kind == "text":
        if isinstance(value, (bool, int, float)):
            return to_text(value)
        raise ValueError(f"{type(value).__name__} cannot be text")
    fits = isinstance(value, bool) if kind == "bool" else isinstance(value, (int, float))
    if not fits or (kind == "number" and isinstance(value, bool)):
        raise ValueError(f"{json.dumps(value, default=str)[:60]} is not a {kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no finite number")
    return value
