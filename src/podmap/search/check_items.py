"""Checks the items of a list: whether their values are plain, and whether they fit the template."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from podmap.errors import Problem
from podmap.names import digest
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.columns import converted
from podmap.search.limits import LIMITS, TableLimits
from podmap.spec.absent import stands_for
from podmap.spec.check_search import check_item
from podmap.spec.check_trial import check_item_patch, texts
from podmap.spec.data_patch import check_data_patch, check_data_template
from podmap.spec.findings import Finding, did_you_mean, path_text
from podmap.spec.flat_params import PATCH, flat_pairs, is_too_deep
from podmap.spec.model import TrialPatch, TrialTemplate
from podmap.spec.placeholder import Placeholder, find_placeholders
from podmap.spec.search import ColumnType
from podmap.spec.size import why_too_large
from podmap.spec.template import PerTemplate
from podmap.spec.yaml import TOO_LARGE, unwrapped, why_no_text

_VALUES = "a param is a number, text, true, false, null, a list, or a mapping of params"


def check_items(
    rows: Iterable[ItemRow],
    problems: ItemProblems,
    template: TrialTemplate,
    *,
    place: str = "",
    distinct: bool = False,
    patches: Literal["safe", "all"] = "all",
    types: Mapping[str, ColumnType] | None = None,
    optional: frozenset[str] = frozenset(),
    limits: TableLimits = LIMITS,
) -> list[dict[str, Any]]:
    """The items, their values made plain, once all of them are found good.

    Args:
        rows: The items as read, whatever they are.
        problems: Holds what was wrong in reading them; gets every item's problems.
        template: What the items must fit.
        place: Where the items stand in the spec; empty for a file.
        distinct: Whether an item that was there before is a problem.
        patches: What an item's `trial` may hold, as `search.item_patches` says.
        types: Param name to what its values shall be, as `search.types` says.
        optional: Params without which what names them may be left out, by their conditions.
        limits: How many items and params there may be.

    Raises:
        SpecError: Items are wrong, or there are none.
    """
    checker = _ItemChecker(template, safe=patches == "safe", optional=optional)
    checker.check_template(problems)
    items: list[dict[str, Any]] = []
    seen: dict[str, ItemRow] = {}
    unseen = set(types or ())
    for row in rows:
        item = _checked(row, problems, checker, types or {}, limits)
        if item is None:
            continue
        items.append(item)
        if len(items) > limits.rows:
            message = f"more than {limits.rows:,} items, which is the limit"
            problems.add(row.problem(message, hint="split the list into several sweeps"))
            break
        unseen -= item.keys()
        if distinct:
            first = seen.setdefault(digest(item), row)
            if first is not row:
                message = f"the same as {first.path}: {_short(item)}"
                hint = "to try the same params again, set search.repeats"
                problems.add(row.problem(message, hint=hint))
    if not problems:
        for problem in _of_all(items, unseen, place):
            problems.add(problem)
    problems.raise_if_any()
    return items


def _of_all(items: list[dict[str, Any]], unseen: set[str], place: str) -> Iterator[Problem]:
    if not items:
        yield Problem(place, "there are no items, so there is nothing to try")
        return
    for name in sorted(unseen):
        hint = did_you_mean(name, items[0])
        yield Problem(f"search.types.{name}", "no item has this param", hint=hint)


def _checked(
    row: ItemRow,
    problems: ItemProblems,
    checker: _ItemChecker,
    types: Mapping[str, ColumnType],
    limits: TableLimits,
) -> dict[str, Any] | None:
    if not isinstance(row.values, Mapping):
        problems.add(row.problem(f"{_short(row.values)} is no object of param names and values"))
        return None
    if len(row.values) > limits.columns:
        message = f"{len(row.values):,} params; at most {limits.columns:,} are allowed"
        hint = "a trial with so many is better given by a file that it reads"
        problems.add(row.problem(message, hint=hint))
        return None
    for name, value in row.values.items():
        nested = isinstance(value, (list, tuple, Mapping))
        too_large = why_too_large(value) if nested else ""
        if too_large:
            problems.add(row.problem(too_large, name=str(name)))
            return None
    params, wrong = _plain_params(row, types)
    if len(params) > limits.columns:
        wrong = [row.problem(f"{len(params):,} params; at most {limits.columns:,} are allowed")]
    item = params
    given = row.values.get(PATCH)
    if given is not None:
        patch = _json_object(given)
        item = {**params, PATCH: patch}
        if patch is None:
            message = f"{_short(given)} is no part of a trial template, such as {{image: …}}"
            wrong.append(row.problem(message, name=PATCH))
    for finding in [] if wrong else checker.findings(item):
        where = path_text(finding.place)
        wrong.append(row.problem(finding.message, name=where, hint=finding.hint))
    for problem in wrong:
        problems.add(problem)
    return None if wrong else item


def _plain_params(
    row: ItemRow, types: Mapping[str, ColumnType]
) -> tuple[dict[str, Any], list[Problem]]:
    params: dict[str, Any] = {}
    wrong: list[Problem] = []
    for name, value in row.values.items():
        if name == PATCH:
            continue
        if not isinstance(name, str):
            wrong.append(row.problem(f"{name!r} is no param name: names are text"))
            continue
        try:
            pairs = list(_pairs(name, value))
            found = {full: _as(types.get(full), plain) for full, plain in pairs}
        except ValueError as error:
            wrong.append(row.problem(str(error), name=name))
            continue
        twice = next((full for full in found if full in params), None)
        if twice is not None or len(found) < len(pairs):
            wrong.append(row.problem(f"the param {twice or name!r} is given twice", name=name))
        params.update(found)
    return params, wrong


def _pairs(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The params that a value gives: one, or one for each entry of a mapping.

    Raises:
        ValueError: As `_plain` does, or the value is too deep.
    """
    try:
        plain = _plain(value)
        if is_too_deep(plain):
            raise RecursionError
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
    yield from flat_pairs({name: plain})


def _as(kind: ColumnType | None, plain: Any) -> Any:
    return plain if kind is None else converted(plain, kind)


def _plain(value: Any) -> Any:
    """A param's value in JSON's own types.

    Raises:
        ValueError: The value is of another type, not finite, or no program can be given it.
    """
    value = unwrapped(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if why := why_no_text(value):
            raise ValueError(why)
        return value
    if isinstance(value, int):
        if abs(value) >= TOO_LARGE:
            raise ValueError("the number is too large: less than 1e300 is needed")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{float(value)} is no finite number; {_VALUES}")
        return float(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(one) for key, one in value.items()}
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    raise ValueError(f"{_short(value)} is of type {name}; {_VALUES}")


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
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, or what holds itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:59]}…"


@dataclass(frozen=True, slots=True)
class _Needs:
    """What one combination of cases and patch asks of an item.

    Attributes:
        placeholders: Each with the key path of a text it stands in.
        unset: Of `checkpoint` and `output`, those that the trial does not have.
    """

    placeholders: tuple[tuple[str, Placeholder], ...]
    unset: tuple[str, ...]


class _ItemChecker:
    """What is wrong with items, by one template.

    The template's texts are read once for each combination of cases and patch that comes up,
    so that an item costs microseconds.
    """

    def __init__(
        self, template: TrialTemplate, *, safe: bool, optional: frozenset[str] = frozenset()
    ) -> None:
        """Takes the sweep's template, as in the spec, and whether patches are data."""
        self._template = template
        self._safe = safe
        self._needs = PerTemplate(template, lambda own: _needs_of(own, optional))
        self._good_names: set[str] = set()

    def check_template(self, problems: ItemProblems) -> None:
        """Adds what is wrong in the template itself, where the items are data."""
        for finding in check_data_template(self._template) if self._safe else ():
            problems.add(Problem(path_text(finding.place), finding.message, hint=finding.hint))

    def findings(self, item: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with one item of plain values; places are those inside the item."""
        wrong = list(check_item((), item, self._good_names))
        if wrong:
            return wrong
        params = {name: value for name, value in item.items() if name != PATCH}
        patch: Mapping[str, Any] = item.get(PATCH) or {}
        needs = self._needs.for_params(params, patch)
        if patch:
            own = TrialPatch.model_validate(patch)
            if self._safe:
                wrong = list(check_data_patch((PATCH,), own, self._template))
            wrong += list(check_item_patch((PATCH,), own, params=params, unset=needs.unset))
        return wrong or [
            _missing(placeholder, where, params)
            for where, placeholder in needs.placeholders
            if not _is_there(placeholder, params, needs.unset)
        ]


def _needs_of(template: TrialTemplate, optional: frozenset[str]) -> _Needs:
    needed = _all(template, optional)
    found = {str(placeholder): (where, placeholder) for where, placeholder in needed}
    unset = tuple(name for name in ("checkpoint", "output") if not getattr(template, name))
    return _Needs(tuple(found.values()), unset)


def _all(template: TrialTemplate, optional: frozenset[str]) -> Iterator[tuple[str, Placeholder]]:
    for place, text in texts(template):
        if optional and stands_for(str(place[0]), text) in optional:
            continue
        where = path_text(("trial", *place))
        yield from ((where, placeholder) for placeholder in find_placeholders(text))


def _is_there(placeholder: Placeholder, params: Mapping[str, Any], unset: tuple[str, ...]) -> bool:
    if placeholder.root == "params":
        return placeholder.name in params
    return placeholder.root != "shard" and (
        placeholder.root != "trial" or placeholder.name not in unset
    )


def _missing(placeholder: Placeholder, where: str, params: Mapping[str, Any]) -> Finding:
    if placeholder.root == "params":
        message = f"has no param {placeholder.name!r}, which {where} needs"
        hint = did_you_mean(placeholder.name, params)
        return Finding((), message, hint or f"its params are: {', '.join(params) or 'none'}")
    if placeholder.root == "shard":
        return Finding((), f"is no shard, but {where} has {placeholder}")
    return Finding((), f"has no trial.{placeholder.name}, but {where} has {placeholder}")
