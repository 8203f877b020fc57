"""podmap results: the leaderboard of a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example, open_run
from podmap.cli._output import print_json, print_leaderboard, say_left_out
from podmap.cli._streams import safe

if TYPE_CHECKING:
    from podmap.spec.model import Objective

EXAMPLES = example("""
podmap results 3f9a12c0
podmap results 3f9a --top 3
podmap results 3f9a --csv > leaderboard.csv
podmap results 3f9a --objective loss:minimize
podmap results 3f9a --each
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
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: all rows and columns.")
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
) -> None:
    """Shows a leaderboard."""
    from podmap.report.publish import build_summary, read_leaderboard

    ledger, manifest = open_run(run, store)
    leaderboard = read_leaderboard(ledger, manifest, objectives=objectives or None, each=each)
    if as_json:
        summary = build_summary(ledger, manifest, leaderboard)
        print_json({**summary, "leaderboard": [row.to_json() for row in leaderboard.rows[:top]]})
    elif as_csv:
        sys.stdout.flush()
        sys.stdout.buffer.write(safe(leaderboard.to_csv().decode()).encode())
    else:
        print_leaderboard(leaderboard, top=top)
    say_left_out(leaderboard.left_out)
