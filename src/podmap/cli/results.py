"""podmap results: the leaderboard of a run."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example, open_run
from podmap.cli._output import print_json, say_left_out
from podmap.cli._selection import Selection, selection_options
from podmap.cli._streams import safe
from podmap.errors import UsageError

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard
    from podmap.spec.model import Objective

EXAMPLES = example("""
podmap results 3f9a12c0
podmap results 3f9a --top 3
podmap results 3f9a --csv > leaderboard.csv
podmap results 3f9a --objective loss:minimize
podmap results 3f9a --each
podmap results 3f9a --where 'lr > 0.01 and model = svm' --sort took:desc
podmap results 3f9a --columns trial,accuracy,lr,reason --where 'state = failed'
""")


def _objectives(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[Objective, ...]:
    from podmap.spec.model import Objective

    given = []
    for value in values:
        metric, _, direction = value.rpartition(":")
        if not metric or direction not in ("maximize", "minimize"):
            raise click.BadParameter(
                f"{value!r} is not METRIC:maximize or METRIC:minimize", ctx, param
            )
        given.append(Objective.model_validate({"metric": metric, "direction": direction}))
    return tuple(given)


@click.command(
    name="results",
    help=f"""Show the leaderboard of RUN as it is now, best first.

With `search.repeats` a row is a set of params: its objective is the mean of those of its N trials
that are complete, with the sample standard deviation beside it, and TRIAL is the best of them.

A table that is wider than the terminal loses columns; standard error says which. Params that are
the same in all trials are no columns. --columns and --all show them; without a terminal there is
no width to fit.

A FILTER compares columns with = != < <= > >= and ~ (contains), and joins with and, or, not and
parentheses: 'not (lr > 0.01 or model ~ svm)'. Columns are the table's, those of --csv, and params
and metrics by their names (params.NAME and metrics.NAME if both have it). It, and --sort, hold for
--json and --csv, too.

{EXAMPLES}""",
    short_help="Show the leaderboard of a run.",
)
@RUN
@click.option("--top", type=click.IntRange(min=1), help="Only this many rows.  [default: all]")
@click.option(
    "--objective",
    "objectives",
    metavar="METRIC:DIRECTION",
    multiple=True,
    callback=_objectives,
    help="Rank by this metric in place of the spec's objective: maximize or minimize. May be given "
    "again. Trials that failed for want of the spec's objective count.",
)
@click.option(
    "--each", is_flag=True, help="Show and rank single trials, where the spec has search.repeats."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: all columns, whatever fits.")
@selection_options
@FIND_STORE
@JSON
def command(
    run: str,
    top: int | None,
    objectives: tuple[Objective, ...],
    each: bool,
    as_csv: bool,
    store: str | None,
    as_json: bool,
    **selected: Any,
) -> None:
    """Shows a leaderboard."""
    from podmap.cli._leaderboard import LeaderboardTable
    from podmap.report.publish import build_summary, read_leaderboard

    selection = Selection(**selected)
    if as_json and (selection.columns or selection.everything):
        raise UsageError("--json has all columns: leave out --columns and --all")
    ledger, manifest = open_run(run, store)
    leaderboard = read_leaderboard(ledger, manifest, objectives=objectives or None, each=each)
    table = LeaderboardTable(leaderboard, selection)
    if as_json:
        summary = build_summary(ledger, manifest, leaderboard)
        print_json({**summary, "leaderboard": [row.to_json() for row in table.rows(top)]})
    elif as_csv:
        csv = replace(leaderboard, rows=tuple(table.rows())).to_csv(table.csv_columns())
        sys.stdout.flush()
        sys.stdout.buffer.write(safe(csv.decode()).encode())
    else:
        table.show(top=top)
        _say_failures(leaderboard, top=top)
    say_left_out(leaderboard.left_out)


def _say_failures(leaderboard: Leaderboard, *, top: int | None) -> None:
    """Says why trials failed, each reason once, where they are in the table."""
    from podmap.report.digest import failure_lines

    lines = failure_lines(leaderboard) if top is None else []
    if lines:
        click.echo("why trials failed:", err=True)
    for line in lines:
        click.echo(f"  {line}", err=True)
