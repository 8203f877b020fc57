"""podmap retry: run failed trials again, in a run that goes on or has ended."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, check_trial_number, example
from podmap.cli._output import counted, print_json
from podmap.cli._steer import SteeredRun
from podmap.errors import UsageError

EXAMPLES = example("""
podmap retry 3f9a12c0 --failed
podmap retry 3f9a 7 12
podmap retry 3f9a --failed && podmap resume 3f9a
""")


@click.command(
    name="retry",
    help=f"""Run trials of RUN again that are FAILED or CANCELLED.

A `podmap run` or `podmap resume` that goes on takes them up within 3 seconds, before the trials
that it has not begun; after the end of the run `podmap resume` runs them. Numbers of attempts go
on where they were, the budgets of `retries` begin anew, and failures until now count no more for
`failures`. The old records, attempts and logs are kept.

Results are not given up: for a COMPLETE trial there is `podmap reset`, while nobody runs the run.
In Airflow, clear the tasks of the trials instead.

{EXAMPLES}""",
    short_help="Run failed trials again, in a run that goes on or has ended.",
)
@RUN
@click.argument("trial", type=click.IntRange(min=0), nargs=-1)
@click.option("--failed", is_flag=True, help="All trials that are FAILED or CANCELLED.")
@FIND_STORE
@JSON
def command(
    run: str, trial: tuple[int, ...], failed: bool, store: str | None, as_json: bool
) -> None:
    """Runs trials again."""
    from podmap.ledger.again import lost_trials, retry_trials

    if not trial and not failed:
        raise UsageError("say which trials: their numbers, or --failed")
    steered = SteeredRun.open(run, store)
    steered.check_not_airflows("retry", "clear the tasks of the trials in Airflow instead")
    _check(steered, trial)
    numbers = sorted({*trial, *(lost_trials(steered.ledger) if failed else ())})
    before = retry_trials(steered.ledger, steered.manifest, numbers)
    goes_on = steered.pid is not None and before.finished is None
    if as_json:
        data = {"run_uri": steered.ledger.run_uri, "retried": numbers, "goes_on": goes_on}
        print_json({**data, "pid": steered.pid or None})
        return
    shown = ", ".join(map(str, numbers))
    click.echo(f"retried: {shown or 'no trial is FAILED or CANCELLED'}")
    if numbers and not goes_on:
        click.echo(f"run them: podmap resume {steered.reference}", err=True)
    elif numbers:
        click.echo(f"{counted(len(numbers), 'trial')} will be run again within 3 s", err=True)


def _check(steered: SteeredRun, numbers: tuple[int, ...]) -> None:
    """Refuses what cannot be run again, all of it at once.

    Raises:
        UsageError: There is no such trial, it has not failed, or the run was stopped.
    """
    from podmap.ledger.again import why_not_again

    problems: list[str] = []
    state = steered.ledger.read_state()
    if state.stopped is not None and state.finished is None:
        problems.append(
            f"run {steered.manifest.run_id} was stopped ({state.stopped}): "
            f"podmap unpause {steered.reference} lifts that"
        )
    for number in numbers:
        try:
            check_trial_number(number, steered.manifest)
        except UsageError as error:
            problems.append(str(error))
            continue
        problems.append(why_not_again(steered.ledger.read_record(number), number))
    if any(problems):
        raise UsageError("\n".join(filter(None, problems)))
