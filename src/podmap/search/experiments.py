"""Experiments as they come from Python: lists, generators, tables of pandas, and what is none."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.search.limits import LIMITS

_NO_ROWS = "it must be a list of dicts, one a trial"


def experiment_rows(given: Any) -> Sequence[Any]:
    """The experiments one by one, whatever holds them.

    Args:
        given: A list of dicts, or anything else that gives them one by one: a generator, a table
            of pandas, polars or pyarrow (its rows; of pandas an empty cell is no param).

    Raises:
        SpecError: It holds no experiments.
    """
    for method in ("to_dicts", "to_pylist"):  # polars; pyarrow
        if callable(getattr(given, method, None)):
            rows: Sequence[Any] = getattr(given, method)()
            return rows
    if hasattr(given, "columns") and callable(getattr(given, "to_dict", None)):
        return [_filled(row) for row in given.to_dict("records")]
    if type(given).__module__ == "numpy" and hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, Sequence) and not isinstance(given, (str, bytes)):
        return given
    if isinstance(given, (Iterator, set, frozenset)):
        return list(itertools.islice(given, LIMITS.rows + 1))  # one may have no end
    raise SpecError([Problem("experiments", _why_none(given))])


def _filled(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """A row without its empty cells: None, and what is not equal to itself (NaN, NaT)."""
    return {name: value for name, value in row.items() if not _is_empty(value)}


def _is_empty(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _why_none(given: Any) -> str:
    if given is None:
        return f"is None: the function that gives them returns nothing; {_NO_ROWS}"
    kind = f"is of type {type(given).__name__}"
    if isinstance(given, Mapping):
        first = next(iter(given.values()), None)
        if isinstance(first, Mapping):
            return f"{kind}; {_NO_ROWS}: list(experiments.values())"
        return f"{kind}; {_NO_ROWS}: [experiments]"
    if callable(given):
        return f"{kind}, which was not called; {_NO_ROWS}"
    return f"{kind}; {_NO_ROWS}"
