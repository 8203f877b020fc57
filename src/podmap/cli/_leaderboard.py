"""The leaderboard as a table on screen: which columns it has, and what is left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._output import WIDEST, counted, duration, print_table, say_hidden, text
from podmap.cli._selection import Selection

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard
    from podmap.report.rows import TrialRow

SCREEN_METRICS = 6
CURE = "--all or --columns NAME,… shows more"
_ROW = ""
"""Where a row by column has the row itself: no column is called so."""
_HEADS = {"number": "trial", "duration_s": "took"}


class LeaderboardTable:
    """The rows of a leaderboard by column, and those of them that were asked for."""

    def __init__(self, board: Leaderboard, selection: Selection) -> None:
        """Picks the rows.

        Args:
            board: The leaderboard.
            selection: What was asked for.

        Raises:
            UsageError: A column is not there.
        """
        self._board, self._selection = board, selection
        self.columns = ["rank", *(["n"] if board.has_repeats else []), *board.columns]
        places = {id(row): place for place, row in enumerate(board.rows, start=1) if row.ranked}
        rows = [
            {
                "rank": places.get(id(row)) if board.objectives else None,
                "n": row.repeats.text if row.repeats else None,
                **dict(zip(board.columns, values, strict=True)),
                _ROW: row,
            }
            for row, values in zip(board.rows, board.table(), strict=True)
        ]
        self._picked = selection.pick_rows(self.columns, rows)

    def rows(self, top: int | None = None) -> list[TrialRow]:
        """The rows that were asked for, in their order."""
        return [one[_ROW] for one in self._picked[:top]]

    def csv_columns(self) -> list[str] | None:
        """The columns that were asked for by name; None for all.

        Raises:
            UsageError: One of them is not in CSV.
        """
        return self._selection.pick_columns(self._board.columns)

    def show(self, *, top: int | None, command: str = "") -> None:
        """Prints the table, and says on standard error what it leaves out.

        Args:
            top: How many ranked trials at most; None for all trials.
            command: What to run to see more of it; empty for the command that prints it.
        """
        self._say_missed()
        picked = self._picked
        if top is not None and self._board.objectives and self._selection == Selection():
            picked = [one for one in picked if one[_ROW].ranked]
        shown = picked[:top]
        if not shown:
            some = self._selection.where and self._board.rows
            click.echo("no trial passes the filter" if some else "no trial has a result", err=True)
            return
        named = self._selection.pick_columns(self.columns)
        columns = named or self._usual_columns(shown)
        hidden = print_table(
            [self._head(name) for name in columns],
            [[self._value(one, name) for name in columns] for one in shown],
            key_columns=len(columns) if named else self._key_columns(columns),
            widest=None if named else WIDEST,
        )
        if len(picked) > len(shown):
            click.echo(f"… and {len(picked) - len(shown)} more")
        self._say_rest(hidden, command, usual=named is None)

    def _usual_columns(self, shown: Sequence[Mapping[str, Any]]) -> list[str]:
        """The columns that say something: what is the same in all trials says nothing."""
        board = self._board
        rows = [one[_ROW] for one in shown]
        goals = self._goals()
        if board.has_repeats:
            goals = [name for goal in goals for name in (goal, f"std.{goal}")]
        same = board.same_params()
        several_states = len({row.state for row in rows}) > 1
        return [
            *(["rank"] if board.objectives else []),
            "number",
            *(["n"] if board.has_repeats else []),
            *(["state"] if several_states else []),
            *(["shard"] if board.has_shards else []),
            *goals,
            *(f"metrics.{name}" for name in self._metrics(rows)[:SCREEN_METRICS]),
            *(f"params.{name}" for name in board.param_names if name not in same),
            "duration_s",
        ]

    def _goals(self) -> list[str]:
        goals = [goal.metric for goal in self._board.objectives]
        return ["objective"] if len(goals) == 1 else [f"objective.{name}" for name in goals]

    def _metrics(self, rows: Sequence[TrialRow]) -> list[str]:
        goals = {goal.metric for goal in self._board.objectives}
        used = {name for row in rows for name in row.metric_names} - goals
        return [name for name in self._board.metric_names if name in used]

    def _key_columns(self, columns: Sequence[str]) -> int:
        return max(columns.index(name) for name in ("number", *self._goals())) + 1

    def _head(self, name: str) -> str:
        if name == "objective":
            return self._board.objectives[0].metric
        if name.startswith("std.") and not name.startswith("std.metrics."):
            return "± std"
        section, _, rest = name.partition(".")
        clear = rest and name not in ("repeats.complete", "repeats.failed", "repeats.of")
        return rest if clear and section != "std" else _HEADS.get(name, name)

    def _value(self, one: Mapping[str, Any], name: str) -> Any:
        from podmap.report.words import shard_texts, state_text

        value = one[name]
        if name == "state":
            return state_text(value)
        if name == "duration_s":
            return duration(value)
        if name == "shard" and value is not None and not self._selection.everything:
            return shard_texts(row.shard for row in self._board.rows).get(value)
        return value

    def _say_missed(self) -> None:
        """Says on standard error which trials are not ranked for a limit that they miss."""
        missed = self._board.missed
        if missed:
            which = "is not ranked" if len(missed) == 1 else "are not ranked"
            first = f"trial {missed[0].number}: {missed[0].missed}"
            click.echo(f"{counted(len(missed), 'trial')} {which}; {first}", err=True)

    def _say_rest(self, hidden: Sequence[str], command: str, *, usual: bool) -> None:
        """Says which columns are not shown, and what is the same in all trials."""
        names = list(hidden)
        same = self._board.same_params() if usual else {}
        if usual:
            names += self._metrics(self._board.rows)[SCREEN_METRICS:]
        say_hidden(names, cure=f"{command}{CURE}")
        if same:
            shown = ", ".join(f"{name} = {text(value)}" for name, value in same.items())
            click.echo(f"the same in all trials: {shown}", err=True)
