"""What a run came to in a few lines of text: the best trials, why others failed, where all is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podmap.records import TrialState
from podmap.report.leaderboard import Leaderboard
from podmap.report.rows import TrialRow
from podmap.report.words import counts_text, value_text

BEST = 5
GROUPS = 5
NUMBERS = 5


def digest(board: Leaderboard, summary: Mapping[str, Any]) -> list[str]:
    """The lines.

    Args:
        board: The run's leaderboard.
        summary: What `publish_leaderboard` has made of it.
    """
    counts = counts_text(summary["counts"])
    ranked = [row for row in board.rows if row.ranked]
    best = [f"  {place}. {_row_text(board, row)}" for place, row in enumerate(ranked[:BEST], 1)]
    head = "the best:" if len(board.objectives) < 2 else "the best by the first objective:"
    failed = failure_lines(board)
    return [
        f"{summary['count']} trial{'s' * (summary['count'] != 1)}: {counts}",
        *([summary["reached"]] if summary["reached"] else []),
        *(
            [head, *best]
            if best
            else ["no trial has a result that counts"] * bool(board.objectives)
        ),
        *_missed_lines(board),
        *(["why trials failed:", *(f"  {line}" for line in failed)] if failed else []),
        f"report: {summary['report_uri']}",
        f"leaderboard: {summary['leaderboard_uri']}",
        f"records and logs: {summary['run_uri']}",
    ]


def _missed_lines(board: Leaderboard) -> list[str]:
    missed = board.missed
    if not missed:
        return []
    which = "1 trial is" if len(missed) == 1 else f"{len(missed)} trials are"
    return [f"{which} not ranked: trial {missed[0].number}: {missed[0].missed}"]


def failure_lines(board: Leaderboard) -> list[str]:
    """Why trials failed or were cancelled, the commonest reason first, each with its trials."""
    ordered = board.by_reason(TrialState.FAILED, TrialState.CANCELLED)
    lines = [f"{_trials_text(rows)}: {rows[0].reason or 'no reason is known'}" for rows in ordered]
    left = len(lines) - GROUPS
    return [*lines[:GROUPS], *([f"and {left} other reasons"] if left > 0 else [])]


def _row_text(board: Leaderboard, row: TrialRow) -> str:
    goals = " ".join(
        f"{goal.metric}={value_text(value)}"
        for goal, value in zip(board.objectives, row.objectives, strict=True)
    )
    params = " ".join(f"{name}={value_text(value)}" for name, value in row.params.items())
    return f"{goals}  trial {row.number}: {params or row.shard}".rstrip()


def _trials_text(rows: Sequence[TrialRow]) -> str:
    numbers = sorted(row.number for row in rows)
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    more = ", …" if len(numbers) > NUMBERS else ""
    return f"{len(numbers)} trials ({', '.join(map(str, numbers[:NUMBERS]))}{more})"
