"""podmap reset: forget trials, so that they are run again."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from podmap.cli._options import (
    FIND_STORE,
    JSON,
    RUN,
    example,
    open_run,
    run_reference,
)
from podmap.cli._output import print_json

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger

EXAMPLES = example("""
podmap reset 3f9a12c0 7 12 --yes
podmap reset 3f9a --failed && podmap resume 3f9a
""")


@click.command(
    name="reset",
    help=f"""Forget what became of trials of RUN; `podmap resume` then runs them again.

Give the trials' numbers, or --failed for all that are failed or cancelled. Their old records,
attempts and logs are kept in the ledger: the records in its folder `former`.

Before the result of a complete trial is given up it asks. Without a terminal to ask on, --yes is
needed.

{EXAMPLES}""",
    short_help="Forget trials of a run, so that they are run again.",
)
@RUN
@click.argument("trial", type=click.IntRange(min=0), nargs=-1)
@click.option("--failed", is_flag=True, help="All trials that are failed or cancelled.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@FIND_STORE
@JSON
def command(
    run: str, trial: tuple[int, ...], failed: bool, yes: bool, store: str | None, as_json: bool
) -> None:
    """Forgets trials."""
    from podmap.engine.run_lock import check_not_held
    from podmap.errors import UsageError
    from podmap.records import TrialState

    if not trial and not failed:
        raise UsageError("say which trials: their numbers, or --failed")
    ledger, manifest = open_run(run, store)
    for number in trial:
        manifest.check_number(number)
    check_not_held(manifest.run_id)
    numbers = set(trial)
    if failed:
        numbers.update(
            record.number
            for record in ledger.board().records()
            if record.state in (TrialState.FAILED, TrialState.CANCELLED)
        )
    if not yes:
        _ask(ledger, trial)
    for number in sorted(numbers):
        ledger.delete_record(number)
    if numbers:
        ledger.update_state(finished=None)
    if as_json:
        print_json({"run_uri": ledger.run_uri, "reset": sorted(numbers)})
        return
    shown = ", ".join(map(str, sorted(numbers)))
    click.echo(f"reset: {shown or 'no trial is failed or cancelled'}")
    if numbers and manifest.owner.get("kind") == "cli":
        click.echo(f"run them: podmap resume {run_reference(ledger, manifest)}", err=True)


def _ask(ledger: Ledger, numbers: Iterable[int]) -> None:
    """Asks before results are given up.

    Raises:
        UsageError: There is no terminal to ask on.
        Abort: The answer is no.
    """
    from podmap.errors import UsageError
    from podmap.records import TrialState

    records = [record for number in sorted(set(numbers)) if (record := ledger.read_record(number))]
    complete = [str(record.number) for record in records if record.state is TrialState.COMPLETE]
    if not complete:
        return
    plural = "s" if len(complete) > 1 else ""
    what = f"the result{plural} of complete trial{plural} {', '.join(complete)}"
    if not sys.stdin.isatty():
        raise UsageError(f"reset gives up {what}: without a terminal, say --yes")
    click.confirm(
        f"Give up {what}, to run {'them' if plural else 'it'} again?", abort=True, err=True
    )
