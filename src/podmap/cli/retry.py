"""podmap retry: run failed trials again, in a run that goes on or has ended."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._output import counted, print_json
from podmap.cli._steer import open_steered
from podmap.errors import UsageError

EXAMPLES = example("""
podmap retry 3f9a12c0 --failed
podmap retry 3f9a 7 12
podmap retry 3f9a --failed && podmap resume 3f9a
""")


@click.command(
    name="retry",
    help=f"""Run trials of RUN again that are failed or cancelled.

A `podmap run` or `podmap resume` that goes on takes them up within 3 seconds, before the trials
that it has not begun; after the end of the run `podmap resume` runs them. Numbers of attempts go
on where they were, the budgets of `retries` begin anew, and failures until now count no more for
`failures`. The old records, attempts and logs are kept.

Results are not given up: for a complete trial there is `podmap reset`, while nobody runs the run.
In Airflow, clear the tasks of the trials instead.

{EXAMPLES}""",
    short_help="Run failed trials again, in a run that goes on or has ended.",
)
@RUN
@click.argument("trial", type=click.IntRange(min=0), nargs=-1)
@click.option("--failed", is_flag=True, help="All trials that are failed or cancelled.")
@FIND_STORE
@JSON
def command(
    run: str, trial: tuple[int, ...], failed: bool, store: str | None, as_json: bool
) -> None:
    """Runs trials again."""
    if not trial and not failed:
        raise UsageError("say which trials: their numbers, or --failed")
    steered = open_steered(run, store)
    numbers, goes_on = steered.retry(trial, failed=failed)
    if as_json:
        data = {"run_uri": steered.ledger.run_uri, "retried": numbers, "goes_on": goes_on}
        print_json({**data, "pid": steered.pid or None})
        return
    shown = ", ".join(map(str, numbers))
    click.echo(f"retried: {shown or 'no trial is failed or cancelled'}")
    if numbers and not goes_on:
        click.echo(f"run them: podmap resume {steered.reference}", err=True)
    elif numbers:
        click.echo(f"{counted(len(numbers), 'trial')} will be run again within 3 s", err=True)
