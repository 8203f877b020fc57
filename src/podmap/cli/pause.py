"""podmap pause: no new attempts start for now."""

from __future__ import annotations

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._steer import OBEYED, open_steered, print_steered

EXAMPLES = example("""
podmap pause 3f9a12c0
podmap unpause 3f9a
""")


@click.command(
    name="pause",
    help=f"""Start no new attempts of RUN for now. Those that run go on to their end.

`podmap unpause` has it go on.

{OBEYED}

{EXAMPLES}""",
    short_help="Start no new attempts of a run for now.",
)
@RUN
@FIND_STORE
@JSON
def command(run: str, store: str | None, as_json: bool) -> None:
    """Pauses a run."""
    steered = open_steered(run, store)
    print_steered(steered, steered.pause(), text="paused", as_json=as_json)
