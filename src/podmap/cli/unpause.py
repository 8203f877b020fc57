"""podmap unpause: new attempts start again."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, open_steered, print_steered

EXAMPLES = example("""
podmap unpause 3f9a12c0
""")


@click.command(
    name="unpause",
    help=f"""Start new attempts of RUN again, after `podmap pause` or `podmap stop`.

Trials that a stop has cancelled stay cancelled: in Airflow clear their tasks, else
`podmap retry RUN --failed` and `podmap resume RUN` run them.

{OBEYED}

{EXAMPLES}""",
    short_help="Start new attempts of a run again.",
)
@RUN
@FIND_STORE
@JSON
def command(run: str, store: str | None, as_json: bool) -> None:
    """Has a run go on."""
    steered = open_steered(run, store)
    print_steered(steered, steered.unpause(), text="not paused", as_json=as_json)
