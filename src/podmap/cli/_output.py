"""What commands print as data, on standard output: JSON, tables, the leaderboard."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._streams import UNSAFE

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard
    from podmap.report.rows import TrialRow

_WIDEST = 40
_LEFT_OUT = 10
_RIGHT = frozenset("0123456789.-+e")


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


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows below their heads, in columns; columns of numbers stand to the right."""
    cells = [[text(value) for value in row] for row in rows]
    head = [text(name) for name in head]
    columns = list(zip(head, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(cell) for cell in column[1:]) for column in columns]
    for line in ([name.upper() for name in head], *cells):
        parts = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(parts).rstrip())


def print_leaderboard(leaderboard: Leaderboard, *, top: int | None) -> None:
    """Prints the trials best first, and how many more there are.

    Args:
        leaderboard: The run's.
        top: How many ranked trials at most; None for all trials.
    """
    _say_missed(leaderboard.missed)
    ranked = [row for row in leaderboard.rows if row.ranked or not leaderboard.objectives]
    rows = leaderboard.rows if top is None else ranked[:top]
    if not rows:
        click.echo("no trial has a result", err=True)
        return
    print_table(*leaderboard.short_table(rows, duration_text=duration))
    if len(ranked) > len(rows):
        click.echo(f"… and {len(ranked) - len(rows)} more")


def _say_missed(missed: Sequence[TrialRow]) -> None:
    """Says on standard error which trials are not ranked for a limit that they miss."""
    if missed:
        which = "is not ranked" if len(missed) == 1 else "are not ranked"
        first = f"trial {missed[0].number}: {missed[0].missed}"
        click.echo(f"{counted(len(missed), 'trial')} {which}; {first}", err=True)


def say_left_out(lines: Sequence[str]) -> None:
    """Says on standard error which files were left out, since they cannot be understood."""
    for line in lines[:_LEFT_OUT]:
        # One line each: a file's name may hold line breaks.
        click.echo(f"podmap: left out: {' '.join(line.split())}", err=True)
    if len(lines) > _LEFT_OUT:
        click.echo(f"podmap: left out: {len(lines) - _LEFT_OUT} more files", err=True)


def text(value: Any) -> str:
    """A value for a cell: numbers in at most 6 digits, long texts cut, one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    line = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(line.split()) if not line.isprintable() else line
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"


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


def _is_number(cell: str) -> bool:
    return cell in ("", "…") or set(cell) <= _RIGHT
