"""What of a table is asked for: which columns, which rows, in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from podmap.report.where import Where

Command = TypeVar("Command", bound=Callable[..., Any])
_ORDERS = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class Selection:
    """What the options `--columns`, `--where`, `--sort` and `--all` say.

    Attributes:
        columns: The columns' names as they were given, in their order; empty for the usual ones.
        where: Which rows are shown; None for all.
        sorts: What rows are sorted by, first things first: a column, and whether it descends.
        everything: Whether all columns are shown, whole.
    """

    columns: tuple[str, ...] = ()
    where: Where | None = None
    sorts: tuple[tuple[str, bool], ...] = ()
    everything: bool = False

    def pick_columns(self, columns: Sequence[str]) -> list[str] | None:
        """The columns that were asked for by name, or all; None where the usual ones will do.

        Raises:
            UsageError: One of them is not there.
        """
        if self.columns:
            return [_column(name, columns, "--columns") for name in self.columns]
        return list(columns) if self.everything else None

    def pick_rows(
        self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """The rows that were asked for, in the order that was asked for.

        Args:
            columns: All that there are.
            rows: Column to value.

        Raises:
            UsageError: A column is not there.
        """
        if self.where is not None:
            self.where.check_names(columns)
            rows = [row for row in rows if self.where.matches(row)]
        picked = list(rows)
        for name, descends in reversed(self.sorts):
            column = _column(name, columns, "--sort")
            there = [row for row in picked if row.get(column) is not None]
            none = [row for row in picked if row.get(column) is None]
            there.sort(key=partial(_sort_key, column), reverse=descends)
            picked = [*there, *none]
        return picked


def _sort_key(column: str, row: Mapping[str, Any]) -> tuple[bool, Any]:
    """Numbers before texts."""
    value = row[column]
    if isinstance(value, int | float):
        return False, value
    return True, str(value).casefold()


def _column(name: str, columns: Sequence[str], option: str) -> str:
    from podmap.errors import UsageError
    from podmap.report.where import find_column, why_no_column

    found = find_column(name, columns)
    if found is None:
        raise UsageError(f"{option}: {why_no_column(name, columns)}")
    return found


def _columns(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (value or "").split(","))
    if value is not None and not all(names):
        raise click.BadParameter(f"{value!r} is not NAME,NAME,...", ctx, param)
    return names if value is not None else ()


def _where(ctx: click.Context, param: click.Parameter, value: str | None) -> Where | None:
    from podmap.report.where import parse_where

    return None if value is None else parse_where(value)


def _sorts(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, bool], ...]:
    sorts = []
    for value in values:
        name, _, order = value.rpartition(":")
        if name and order in _ORDERS:
            sorts.append((name, _ORDERS[order]))
        else:
            sorts.append((value, False))
    return tuple(sorts)


def selection_options(command: Command) -> Command:
    """Gives a verb the options of a `Selection`: columns, where, sorts, everything."""
    options = [
        click.option(
            "--columns",
            metavar="NAME,NAME,…",
            callback=_columns,
            help="Only these columns, in this order.",
        ),
        click.option(
            "--where",
            metavar="FILTER",
            callback=_where,
            help="Only rows that pass, as in 'lr > 0.01 and model = svm'.",
        ),
        click.option(
            "--sort",
            "sorts",
            metavar="NAME[:desc]",
            multiple=True,
            callback=_sorts,
            help="Sort by this column. May be given again, for rows that are equal in it.",
        ),
        click.option(
            "--all", "everything", is_flag=True, help="All columns, and long texts whole."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
