"""Adds trials to a run that goes on or has ended: given ones, or more of its search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.additions import Addition
from podmap.clock import iso, utc_now
from podmap.engine.planned import PlannedRun
from podmap.errors import Problem, SpecError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_state import RunState
from podmap.names import digest
from podmap.records import Record
from podmap.search.base import ItemProblems, ItemRow
from podmap.search.check_items import check_items
from podmap.spec.check_search import check_total
from podmap.spec.conditions import Conditions, optional_params
from podmap.spec.findings import did_you_mean
from podmap.spec.flat_params import PATCH, flattened
from podmap.spec.search import ListSearch, Range, ShardsSearch, dimensions


@dataclass(frozen=True, slots=True)
class Grown:
    """What became of items that were to be added.

    Attributes:
        numbers: Of each item the numbers of its trials: new ones, or those that it had already.
        known: Of each item whether it had trials already, and was not added again.
        count: How many trials the run has now.
        before: The run's state before: with `finished` in it, nobody works on the run any more.
    """

    numbers: Sequence[Sequence[int]]
    known: Sequence[bool]
    count: int
    before: RunState


def add_items(
    ledger: Ledger,
    rows: Iterable[ItemRow],
    problems: ItemProblems,
    *,
    by: str,
    skip_known: bool = False,
) -> Grown:
    """Adds trials with given params behind all others; blocks.

    Any number of processes may do so at once: each gets numbers of its own.

    Args:
        ledger: Of the run.
        rows: The items as read.
        problems: Holds what was wrong in reading them.
        by: Who adds them, for a person.
        skip_known: Whether an item with the params of a trial that is there is not added again.

    Raises:
        SpecError: Items do not fit the run's spec: all problems at once.
        UsageError: The run's trials are pieces of data.
        StoreError: The ledger cannot be read or written.
    """
    planned = PlannedRun.open(ledger)
    items = _checked(planned, rows, problems)
    while True:
        placed = _Placed(planned)
        for item in items:
            placed.add(item, skip_known=skip_known)
        if not placed.fresh:
            return placed.grown(ledger.read_state())
        _check_count(placed.count, planned.plan.repeats)
        if ledger.add(planned.manifest, placed.addition(by)):
            return placed.grown(announce(ledger, placed.count))
        planned = PlannedRun.open(ledger)  # somebody was first


class _Placed:
    """Items as they would follow the trials that a run has."""

    def __init__(self, planned: PlannedRun) -> None:
        self._repeats, self._first = planned.plan.repeats, planned.plan.count
        self._places = _known_params(planned)
        self._copies: dict[str, int] = {}
        self._numbers: list[Sequence[int]] = []
        self._known: list[bool] = []
        self.fresh: list[Mapping[str, Any]] = []

    @property
    def count(self) -> int:
        """How many trials there are then."""
        return self._first + len(self.fresh) * self._repeats

    def add(self, item: Mapping[str, Any], *, skip_known: bool) -> None:
        params = flattened({name: value for name, value in item.items() if name != PATCH})
        places = self._places.setdefault(digest(dict(params)), [])
        known = skip_known and bool(places)
        place = places[0] if known else self.count // self._repeats
        if not known:
            if places:
                self._copies[str(place)] = len(places)
            places.append(place)
            self.fresh.append(item)
        self._known.append(known)
        self._numbers.append(range(place * self._repeats, (place + 1) * self._repeats))

    def addition(self, by: str) -> Addition:
        return Addition(
            self._first,
            self.count - self._first,
            items=self.fresh,
            copies=self._copies,
            at=iso(utc_now()),
            by=by,
        )

    def grown(self, before: RunState) -> Grown:
        return Grown(self._numbers, self._known, self.count, before)


def announce(ledger: Ledger, count: int) -> RunState:
    """Tells whoever runs a run that it has so many trials now; its state before.

    Raises:
        StoreError: The ledger cannot be read or written.
    """
    seen: list[RunState] = []

    def change(state: RunState) -> Mapping[str, Any]:
        seen.append(state)
        return {"trials": max(state.trials or 0, count), "finished": None}

    ledger.change_state(change)
    return seen[-1]


def _checked(
    planned: PlannedRun, rows: Iterable[ItemRow], problems: ItemProblems
) -> list[dict[str, Any]]:
    """The items with the constants that they leave out, once all are found good.

    Raises:
        SpecError: Some are not.
    """
    sweep = planned.sweep
    search = sweep.search
    if isinstance(search, ShardsSearch):
        raise UsageError(
            "each trial of the sweep is a piece of data: add it to uris:, in a new run"
        )
    params: Mapping[str, Any] = getattr(search, "params", {}) or {}
    completed = [_completed(row, params, problems) for row in rows]
    return check_items(
        completed,
        problems,
        sweep.trial,
        place="items",
        patches=search.item_patches if isinstance(search, ListSearch) else "safe",
        types=search.types if isinstance(search, ListSearch) else None,
        optional=optional_params(search),
    )


def _completed(row: ItemRow, params: Mapping[str, Any], problems: ItemProblems) -> ItemRow:
    """An item with the search's constants, with its names compared with the search's."""
    if not params or not isinstance(row.values, Mapping):
        return row
    for name in row.values:
        if name != PATCH and name not in params and name.split(".")[0] not in params:
            listed = sorted(params)
            message = f"{name!r} is not a param of the search; there are: {', '.join(listed)}"
            problems.add(row.problem(message, name=str(name), hint=did_you_mean(str(name), listed)))
    values = dict(row.values)
    conditions, dims = Conditions(params), dimensions(params)
    constants = {name: one for name, one in dims.items() if not isinstance(one, (Range, list))}
    flat = flattened({**constants, **values})
    _add_misplaced(row, conditions, flat, problems)
    for name, dimension in dims.items():
        if name not in values and not any(given.startswith(f"{name}.") for given in values):
            if not conditions.applies(name, flat):
                continue
            if isinstance(dimension, (Range, list)):
                message = "missing: every param but constants is needed"
                problems.add(row.problem(message, name=name))
            else:
                values[name] = dimension
        elif isinstance(dimension, Range) and not dimension.is_int:
            value = values.get(name)
            values[name] = float(value) if type(value) is int else value
    return ItemRow(values, row.path, row.line)


def _add_misplaced(
    row: ItemRow, conditions: Conditions, flat: Mapping[str, Any], problems: ItemProblems
) -> None:
    """Adds a problem for each param of an item that cannot exist beside the others."""
    for name in row.values:
        if name != PATCH and not conditions.applies(conditions.owner(str(name)), flat):
            message = "no trial has it with these params: its `when` does not hold"
            problems.add(row.problem(message, name=str(name), hint="leave it out"))


def _known_params(planned: PlannedRun) -> dict[str, list[int]]:
    """Content of params to the places that have them, ascending, of all trials of a run."""
    records: dict[int, Record] = {record.number: record for record in planned.ledger.records()}
    known: dict[str, list[int]] = {}
    repeats = planned.plan.repeats
    for number in range(0, planned.plan.count, repeats):
        trial = planned.trial(number, records.get(number))
        if not trial.example:
            known.setdefault(digest(dict(trial.params)), []).append(number // repeats)
    return known


def _check_count(count: int, repeats: int) -> None:
    found = check_total(count // repeats, repeats)
    if found:
        raise SpecError([Problem("items", each.message, hint=each.hint) for each in found])
