"""What commands print as data, on standard output: JSON, tables, the leaderboard."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard

_MOST_METRICS = 6
_WIDEST = 40
_RIGHT = frozenset("0123456789.-+e")


def print_json(data: Any) -> None:
    """Prints a value as JSON on standard output."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints rows below their heads, in columns; columns of numbers stand to the right."""
    cells = [[text(value) for value in row] for row in rows]
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
    """Prints the ranked trials, best first; without an objective, all by number.

    Params that are the same in all trials of the run are left out.

    Args:
        leaderboard: The run's.
        top: How many rows at most; None for all, with those that are not ranked.
    """
    from podmap.report.figures import constants
    from podmap.report.words import shard_texts

    goals = [goal.metric for goal in leaderboard.objectives]
    rows = [row for row in leaderboard.rows if row.ranked] if goals else list(leaderboard.rows)
    if top is None:
        rows = list(leaderboard.rows)
    left_out = len(rows) - len(rows[:top])
    rows = rows[:top]
    if not rows:
        click.echo("no trial has a result", err=True)
        return
    used = {name for row in rows for name in row.metric_names}
    metrics = [name for name in leaderboard.metric_names if name in used and name not in goals]
    metrics = metrics[:_MOST_METRICS]
    same = constants(leaderboard)
    varied = [name for name in leaderboard.param_names if name not in same]
    shards = shard_texts(row.shard for row in leaderboard.rows)
    states = {row.state for row in rows}
    ranks = ["rank"] if goals else []
    head = [*ranks, "trial", *(["state"] if len(states) > 1 else [])]
    head += [*(["shard"] if shards else []), *goals, *metrics]
    table = [
        [
            *([place if row.ranked else None] if ranks else []),
            row.number,
            *([row.state.value] if len(states) > 1 else []),
            *([shards.get(row.shard)] if shards else []),
            *row.objectives,
            *(row.metrics.get(name) for name in metrics),
            *(row.params.get(name) for name in varied),
            duration(row.duration_s),
        ]
        for place, row in enumerate(rows, start=1)
    ]
    print_table([*head, *varied, "took"], table)
    if left_out:
        click.echo(f"… and {left_out} more")


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
