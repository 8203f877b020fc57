"""podmap stop: no new trials start any more, and the run ends with a leaderboard."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, open_steered, print_steered, who

EXAMPLES = example("""
podmap stop 3f9a12c0
podmap stop 3f9a --cancel
podmap stop 3f9a --reason "good enough"
""")


@click.command(
    name="stop",
    help=f"""Start no new trials of RUN any more; it ends with the leaderboard of what there is.

Trials that run go on to their end; with --cancel they are ended, too: SIGTERM, and 30 seconds
later SIGKILL. Trials that have no result then are cancelled, with the reason; so are those whose
pods podmap has no right to end any more, and their records say that pods may be left.

`podmap resume` goes on with what is open; `podmap unpause` lifts the stop of a run of Airflow,
before its tasks are cleared.

{OBEYED}

{EXAMPLES}""",
    short_help="Start no new trials of a run any more; it ends with a leaderboard.",
)
@RUN
@click.option("--cancel", is_flag=True, help="End the trials that run, too.")
@click.option(
    "--reason",
    metavar="TEXT",
    help="Why; it stands in the records of the trials and in the report.  [default: who it was]",
)
@FIND_STORE
@JSON
def command(run: str, cancel: bool, reason: str | None, store: str | None, as_json: bool) -> None:
    """Stops a run."""
    steered = open_steered(run, store)
    states = steered.stop(by=f"{who()} (podmap stop)", reason=reason or "", cancel=cancel)
    text = "stopped, and what runs is ended" if states[1].cancel else "stopped"
    print_steered(steered, states, text=text, as_json=as_json)
