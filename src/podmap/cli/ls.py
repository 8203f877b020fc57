"""podmap ls: the runs of a store."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, example
from podmap.cli._output import print_json, print_table, say_left_out

if TYPE_CHECKING:
    from podmap.ledger.run_summary import RunSummary

EXAMPLES = example("""
podmap ls
podmap ls --store s3://bucket/podmap --json
""")


@click.command(
    name="ls",
    help=f"""List the runs of a store, the newest last.

{EXAMPLES}""",
    short_help="List the runs of a store.",
)
@FIND_STORE
@JSON
def command(store: str | None, as_json: bool) -> None:
    """Lists runs."""
    from podmap.ledger.run_summary import iter_runs
    from podmap.ledger.runs import default_store

    place = default_store(store)
    runs = sorted(iter_runs(place), key=lambda run: run.created)
    if as_json:
        print_json([{**asdict(run), "counts": dict(run.counts)} for run in runs])
    elif not runs:
        click.echo(f"there are no runs in {place}", err=True)
    else:
        head = ["run", "sweep", "created", "trials", "complete", "failed", "cancelled", "open"]
        print_table(head, [_row(run) for run in runs])
        for run in runs:
            say_left_out(run.left_out)
            if run.problem:
                click.echo(f"podmap: {run.run_id or run.sweep}: {run.problem}", err=True)


def _row(run: RunSummary) -> list[Any]:
    counts = run.counts
    still_open = counts.get("WAITING", 0) + counts.get("RUNNING", 0) + counts.get("UNKNOWN", 0)
    if run.problem:
        return [run.run_id, run.sweep, *[None] * 6]
    return [
        run.run_id,
        run.sweep,
        run.created,
        run.count,
        counts.get("COMPLETE", 0),
        counts.get("FAILED", 0),
        counts.get("CANCELLED", 0),
        still_open,
    ]
