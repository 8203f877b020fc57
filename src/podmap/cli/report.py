"""podmap report: a run's report, made anew."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example, open_run
from podmap.cli._output import print_json, say_left_out

EXAMPLES = example("""
podmap report 3f9a12c0
podmap report 3f9a --open
""")


@click.command(
    name="report",
    help=f"""Write the report of RUN anew, as one HTML file in its ledger, and print where it is.

The leaderboard (CSV) and the summary (JSON) beside it are written anew too.

{EXAMPLES}""",
    short_help="Write a run's report anew, and say where it is.",
)
@RUN
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
@FIND_STORE
@JSON
def command(run: str, open_it: bool, store: str | None, as_json: bool) -> None:
    """Writes a report."""
    from podmap.report.publish import publish

    ledger, manifest = open_run(run, store)
    summary = publish(ledger, manifest)
    say_left_out(summary["left_out"])
    if as_json:
        print_json(summary)
    else:
        click.echo(summary["report_uri"])
    if open_it:
        click.launch(summary["report_uri"])
