"""What commands print as data, on standard output: JSON, tables, texts in short."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import click

from podmap.cli._fit import cut_middle, fit_table, screen_width
from podmap.cli._streams import UNSAFE

WIDEST = 40
_HIDDEN = 20
_LEFT_OUT = 10


def print_json(data: Any, *, in_a_line: bool = False) -> None:
    """Prints a value as JSON on standard output, at once.

    Args:
        data: The value.
        in_a_line: Whether it is one of many, each in a line of its own.
    """
    encoding = str(getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    # Then other characters have JSON's own escapes.
    plain = not encoding.startswith("utf") or getattr(sys.stdout, "ascii_only", False)
    raw = json.dumps(data, indent=None if in_a_line else 2, ensure_ascii=plain)
    click.echo(UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], raw))


def print_error(message: str, exit_code: int, **more: Any) -> None:
    """Prints an error as JSON, for commands that were asked for JSON."""
    print_json({"error": message, "exit_code": exit_code, **more})


def print_table(
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    key_columns: int = 1,
    widest: int | None = WIDEST,
) -> list[str]:
    """Prints rows below their heads, in columns that fit the screen; says which have no room.

    Columns of numbers stand to the right.

    Args:
        head: The columns' names.
        rows: Their values.
        key_columns: So many columns at the left are the last to have no room.
        widest: No text is longer; None for all columns and texts whole, however wide the screen.

    Returns:
        The names of the columns that had no room.
    """
    cells = [[text(value, widest=widest) for value in row] for row in rows]
    head = [text(name, widest=widest) for name in head]
    width = None if widest is None else screen_width()
    table = fit_table(head, cells, width=width, key_columns=key_columns)
    for line in table.lines:
        click.echo(line)
    return [head[place] for place in table.hidden]


def say_hidden(names: Sequence[str], *, cure: str) -> None:
    """Says on standard error which columns are not shown.

    Args:
        names: The columns'; nothing is said of none.
        cure: What shows them.
    """
    if names:
        more = f", … ({len(names) - _HIDDEN} more)" if len(names) > _HIDDEN else ""
        click.echo(f"not shown: {', '.join(names[:_HIDDEN])}{more}; {cure}", err=True)


def say_left_out(lines: Sequence[str]) -> None:
    """Says on standard error which files were left out, since they cannot be understood."""
    for line in lines[:_LEFT_OUT]:
        # One line each: a file's name may hold line breaks.
        click.echo(f"podmap: left out: {' '.join(line.split())}", err=True)
    if len(lines) > _LEFT_OUT:
        click.echo(f"podmap: left out: {len(lines) - _LEFT_OUT} more files", err=True)


def text(value: Any, *, widest: int | None = WIDEST) -> str:
    """A value for a cell: numbers in at most 6 digits, one line, long texts without their middle.

    Args:
        value: The value.
        widest: The most places it takes; None for no limit.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(line.split()) if not line.isprintable() else line
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if widest is None else cut_middle(line, widest)


def duration(seconds: float | None) -> str:
    """Seconds for a person: `4.2s`, `3m 20s`, `2h 5m`, `3d 4h`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    whole = round(seconds)
    for unit, length, below, short in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= length:
            return f"{whole // length}{unit} {whole % length // short}{below}"
    return f"{whole // 60}m {whole % 60}s"


def counted(count: int, noun: str) -> str:
    """A number of things in words: `1 trial`, `2 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
