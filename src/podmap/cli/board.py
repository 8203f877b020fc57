"""The leaderboard as a table of text, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from podmap.cli.out import duration, print_table

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard, Row

_MOST_METRICS = 6


def print_board(leaderboard: Leaderboard, *, top: int | None) -> None:
    """Prints the ranked trials, best first; without an objective, all by number.

    Args:
        leaderboard: The run's.
        top: How many rows at most; None for all, with those that are not ranked.
    """
    goals = [goal.metric for goal in leaderboard.objectives]
    rows = [row for row in leaderboard.rows if row.ranked] if goals else list(leaderboard.rows)
    if top is None:
        rows = list(leaderboard.rows)
    rows = rows[:top]
    if not rows:
        click.echo("no trial has a result", err=True)
        return
    used = {name for row in rows for name in row.metric_names}
    metrics = [name for name in leaderboard.metric_names if name in used and name not in goals]
    metrics = metrics[:_MOST_METRICS]
    varied = _varied(leaderboard, rows)
    states = {row.state for row in rows}
    ranks = ["rank"] if goals else []
    head = [*ranks, "trial", *(["state"] if len(states) > 1 else []), *goals, *metrics]
    table = [
        [
            *([place if row.ranked else None] if ranks else []),
            row.number,
            *([row.state.value] if len(states) > 1 else []),
            *row.objectives,
            *(row.metrics.get(name) for name in metrics),
            *(row.params.get(name) for name in varied),
            duration(row.duration_s),
        ]
        for place, row in enumerate(rows, start=1)
    ]
    print_table([*head, *varied, "took"], table)


def rows_json(leaderboard: Leaderboard) -> list[dict[str, Any]]:
    """All rows as JSON objects, best first."""
    return [row.to_json() for row in leaderboard.rows]


def _varied(leaderboard: Leaderboard, rows: list[Row]) -> list[str]:
    """The params that are not the same in all rows; all of them if there is but one row."""
    if len(rows) == 1:
        return list(leaderboard.param_names)
    first = rows[0].params
    return [
        name
        for name in leaderboard.param_names
        if any(row.params.get(name) != first.get(name) for row in rows)
    ]
