"""What the verbs share that steer a run: they write into its `run.json`, which all obey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from podmap.cli._options import open_run, run_reference
from podmap.cli._output import print_json

if TYPE_CHECKING:
    from podmap.engine.steering import SteeredRun
    from podmap.ledger.run_state import RunState

OBEYED = """Whatever runs the trials obeys within 3 seconds: `podmap run` and `podmap resume`, on
this host or another, and Airflow. Said twice it changes nothing more. A run that is interrupted
obeys once it goes on."""
"""What the help of each of the verbs says."""

STEERED = ("parallelism", "trials", "paused", "stopped", "cancel")


def open_steered(run: str, store: str | None) -> SteeredRun:
    """The run that a command steers.

    Raises:
        UsageError: There is no such run.
        StoreError: The store cannot be asked.
    """
    from podmap.engine.steering import SteeredRun

    ledger, manifest = open_run(run, store)
    return SteeredRun.find(ledger, manifest, reference=run_reference(ledger, manifest))


def print_steered(
    steered: SteeredRun, states: tuple[RunState, RunState], *, text: str, as_json: bool
) -> None:
    """Prints what was changed, and who obeys.

    Args:
        steered: The run.
        states: What was in `run.json`, and what is there now.
        text: What was done, for a person.
        as_json: Whether to print JSON.
    """
    before, after = states
    changed = {
        name: getattr(after, name)
        for name in STEERED
        if getattr(after, name) != getattr(before, name)
    }
    if as_json:
        print_json(
            {
                "run_uri": steered.ledger.run_uri,
                "run_id": steered.manifest.run_id,
                "changed": changed,
                "state": {name: getattr(after, name) for name in STEERED},
                "pid": steered.pid or None,
            }
        )
        return
    click.echo(text if changed else f"{text} already")
    click.echo(_who_obeys(steered), err=True)


def _who_obeys(steered: SteeredRun) -> str:
    if steered.is_airflows:
        return "Airflow's processes that run its trials obey within 3 s"
    if steered.pid is not None:
        who = f"process {steered.pid}" if steered.pid else "the process"
        return f"{who} of this host that runs it obeys within 3 s"
    return (
        "no process of this host runs it: one on another host obeys within 3 s; "
        f"else it holds once it goes on, with: podmap resume {steered.reference}"
    )


def who() -> str:
    """Who steers, for the reason of a stop."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        user = "a user"
    return f"{user} on {socket.gethostname()}"
