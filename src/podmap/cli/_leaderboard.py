"""The leaderboard as a table of text, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from podmap.cli._output import duration, print_table
from podmap.report.figures import constants
from podmap.report.words import shard_texts

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard

_MOST_METRICS = 6


def print_board(leaderboard: Leaderboard, *, top: int | None) -> None:
    """Prints the ranked trials, best first; without an objective, all by number.

    Params that are the same in all trials of the run are left out.

    Args:
        leaderboard: The run's.
        top: How many rows at most; None for all, with those that are not ranked.
    """
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


def rows_json(leaderboard: Leaderboard) -> list[dict[str, Any]]:
    """All rows as JSON objects, best first."""
    return [row.to_json() for row in leaderboard.rows]
