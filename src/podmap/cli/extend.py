"""podmap extend: have the search of a run go on, with more trials or another space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, SET, example, overrides
from podmap.cli._output import counted, print_json
from podmap.cli._steer import open_steered, who

if TYPE_CHECKING:
    from podmap.engine.extension import Extended
    from podmap.engine.steering import SteeredRun

EXAMPLES = example("""
podmap extend 3f9a12c0 --set search.trials=80
podmap extend 3f9a --set search.trials=80 --set search.params.lr.high=1.0
podmap extend 3f9a --set 'search.params.kernel=[linear, rbf, poly]'
podmap extend 3f9a --set search.trials=80 && podmap resume 3f9a
""")


@click.command(
    name="extend",
    help=f"""Have the search of RUN go on: more trials, in the same space or another one.

Trials that are there stay as they are, with their numbers and results. `search.trials` says how
many sets of params there are then in all; new ones come from the space as it is from now on, be it
wider or narrower. A grid or a list gets the trials that it has not had. How many of the old trials
lie outside of the space is said: a search that learns leaves them out.

A `podmap run` or `podmap resume` that goes on takes the new trials up within 3 seconds; after the
end of the run `podmap resume` runs them. Nothing but `search` can be changed: what runs is the
same for all trials of a run. In Airflow the number of trials is fixed when `plan` has run.

{EXAMPLES}""",
    short_help="Have the search of a run go on, with more trials or another space.",
)
@RUN
@SET
@FIND_STORE
@JSON
def command(run: str, sets: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Extends a run."""
    from podmap.engine.extension import extend_run

    changes = overrides(sets)
    steered = open_steered(run, store)
    steered.check_not_airflows("extend", "start a new run, with search.trials raised")
    goes_on = steered.pid is not None
    print_extended(
        steered, extend_run(steered.ledger, changes, by=who(), goes_on=goes_on), as_json=as_json
    )


def print_extended(steered: SteeredRun, extended: Extended, *, as_json: bool) -> None:
    """Prints what became of the run, and who runs the new trials."""
    numbers = list(range(extended.first, extended.count))
    goes_on = steered.pid is not None and extended.before.finished is None
    if as_json:
        data = {"run_uri": steered.ledger.run_uri, "added": numbers, "count": extended.count}
        more = {"outside": extended.outside, "goes_on": goes_on, "pid": steered.pid or None}
        print_json({**data, **more})
        return
    span = f", {numbers[0]} to {numbers[-1]} are new" if numbers else " already"
    click.echo(f"{counted(extended.count, 'trial')}{span}")
    if extended.outside:
        outside = counted(extended.outside, "trial")
        click.echo(
            f"{outside} before lie outside of the space: nothing is learnt of them", err=True
        )
    if numbers and not goes_on:
        click.echo(f"run them: podmap resume {steered.reference}", err=True)
