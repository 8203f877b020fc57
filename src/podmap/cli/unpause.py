"""podmap unpause: new attempts start again."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, SteeredRun

EXAMPLES = example("""
podmap unpause 3f9a12c0
""")


@click.command(
    name="unpause",
    help=f"""Start new attempts of RUN again, after `podmap pause` or `podmap stop`.

Trials that a stop has cancelled stay CANCELLED: in Airflow clear their tasks, else
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
    steered = SteeredRun.open(run, store)
    before, after = steered.change(
        lambda state: {"paused": False, "stopped": None, "cancel": False}
    )
    steered.print(before, after, text="not paused", as_json=as_json)
