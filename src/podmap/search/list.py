"""Trials that are given one by one: inline, from a file, or by an upstream task."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podmap.errors import Problem
from podmap.names import digest
from podmap.search.base import Enumerated
from podmap.search.check_items import PATCH, Fit
from podmap.search.item_errors import Problems
from podmap.search.list_files import Row
from podmap.spec.findings import path_text

_VALUES = "a param is a number, text, true, false, null, or a list of these"


class ItemList(Enumerated):
    """The items, in their order."""

    def __init__(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Takes items as `gather` gives them."""
        self.items = tuple(items)
        self.count = len(self.items)

    def ask(self, number: int) -> dict[str, Any]:
        """The item's params."""
        self._check(number)
        return {name: value for name, value in self.items[number].items() if name != PATCH}

    def patch(self, number: int) -> Mapping[str, Any]:
        """What differs in the template for this trial; empty if nothing does."""
        self._check(number)
        patch: Mapping[str, Any] = self.items[number].get(PATCH, {})
        return patch


def gather(
    rows: Iterable[Row], problems: Problems, *, fit: Fit, distinct: bool = False
) -> list[dict[str, Any]]:
    """Checks items and makes their values plain; what is wrong goes to `problems`.

    Args:
        rows: The items as read, whatever they are.
        problems: Gets every item's problems, at the item's place.
        fit: Knows what the template needs.
        distinct: Whether an item that was there before is a problem.

    Returns:
        The good items.
    """
    items: list[dict[str, Any]] = []
    seen: dict[str, Row] = {}
    for row in rows:
        item = _checked(row, problems, fit)
        if item is None:
            continue
        items.append(item)
        if distinct:
            first = seen.setdefault(digest(item), row)
            if first is not row:
                message = f"the same as {first.path}: {_short(item)}"
                hint = "to try the same params again, tell them apart with one more param"
                problems.add(row.problem(message, hint=hint))
    return items


def _checked(row: Row, problems: Problems, fit: Fit) -> dict[str, Any] | None:
    if not isinstance(row.values, Mapping):
        problems.add(row.problem(f"{_short(row.values)} is no object of param names and values"))
        return None
    params, wrong = _plain_params(row)
    item = params
    given = row.values.get(PATCH)
    if given is not None:
        patch = _json_object(given)
        item = {**params, PATCH: patch}
        if patch is None:
            message = f"{_short(given)} is no part of a trial template, such as {{image: …}}"
            wrong.append(row.problem(message, name=PATCH))
    for finding in [] if wrong else fit.findings(item):
        where = path_text(finding.place)
        wrong.append(row.problem(finding.message, name=where, hint=finding.hint))
    for problem in wrong:
        problems.add(problem)
    return None if wrong else item


def _plain_params(row: Row) -> tuple[dict[str, Any], list[Problem]]:
    params: dict[str, Any] = {}
    wrong: list[Problem] = []
    for name, value in row.values.items():
        if name == PATCH:
            continue
        if not isinstance(name, str):
            wrong.append(row.problem(f"{name!r} is no param name: names are text"))
            continue
        try:
            params[name] = plain(value)
        except ValueError as error:
            wrong.append(row.problem(str(error), name=name))
        except RecursionError:
            wrong.append(row.problem("lists are nested too deeply", name=name))
    return params, wrong


def plain(value: Any) -> Any:
    """A param's value in JSON's own types.

    Raises:
        ValueError: The value is of another type, not finite, or no program can be given it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if "\0" in value or not _is_unicode(value):
            raise ValueError(f"{_short(value)} holds what no program argument can hold")
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{float(value)} is no finite number; {_VALUES}")
        return float(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    raise ValueError(f"{_short(value)} is of type {name}; {_VALUES}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_object(value: Any) -> dict[str, Any] | None:
    """The value with lists, text keys and so on as JSON has them; None if it is no object."""
    if not isinstance(value, Mapping):
        return None
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
