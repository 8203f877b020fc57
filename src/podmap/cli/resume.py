"""podmap resume: go on with a run that was interrupted or killed."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from podmap.cli._options import (
    FIND_STORE,
    GPUS,
    JSON,
    KUBECONFIG,
    LOGS,
    PATIENCE,
    QUIET,
    RUN,
    example,
    open_run,
)
from podmap.errors import OwnerError

if TYPE_CHECKING:
    from podmap.cli._console import Console
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

EXAMPLES = example("""
podmap resume 3f9a12c0
podmap resume 3f9a --store /data/podmap
""")


@click.command(
    name="resume",
    help=f"""Go on with RUN, which was interrupted, killed, or left by a full disk.

Trials that have ended are not run again. Trials that still run, since only podmap was killed, are
waited for, and their results count. The spec is the one the run was started with.

{EXAMPLES}""",
    short_help="Go on with a run that was interrupted or killed.",
)
@RUN
@KUBECONFIG
@GPUS
@FIND_STORE
@QUIET
@LOGS
@PATIENCE
@JSON
def command(
    run: str,
    kubeconfig: str | None,
    gpus: str | None,
    store: str | None,
    quiet: bool,
    logs: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Goes on with a run."""
    from podmap.backends.connect import target_of
    from podmap.cli._console import Console
    from podmap.cli._output import counted
    from podmap.cli._run_command import RunCommand, RunOptions
    from podmap.engine.run_lock import hold_run

    console = Console(quiet=quiet)
    ledger, manifest = _opened(run, store, console=console, patience_s=patience)
    with hold_run(manifest.run_id):
        planned = _planned(ledger)
        manifest = planned.manifest  # it may be another one by now, and is the one that is run
        host = manifest.owner.get("host")
        if manifest.backend == "process" and host != socket.gethostname():
            console.warn(
                f"the run was started on {host}: what still runs there is not seen from here"
            )
        ended = sum(record.state.terminal for record in ledger.board().records())
        console.say(f"{ended} of {counted(manifest.total, 'trial')} have ended already")
        ledger.update_state(finished=None, stopped=None, cancel=False)
        options = RunOptions(
            replace(target_of(manifest, kubeconfig=kubeconfig), gpus=gpus),
            console,
            logs=logs,
            patience_s=patience,
            as_json=as_json,
        )
        return RunCommand(planned, options).run()


def _opened(
    run: str, store: str | None, *, console: Console, patience_s: float
) -> tuple[Ledger, Manifest]:
    from podmap.cli._patience import asked_patiently

    ask = partial(open_run, run, store)
    ledger, manifest = asked_patiently(ask, patience_s=patience_s, console=console)
    _check_owner(manifest, ledger.run_uri)
    return ledger, manifest


def _planned(ledger: Ledger) -> PlannedRun:
    from podmap.engine.planned import PlannedRun, check_supported
    from podmap.engine.run_digest import check_digest

    planned = PlannedRun.open(ledger)
    check_digest(ledger, planned.manifest)
    check_supported(planned.sweep, planned.manifest.backend)
    return planned


def _check_owner(manifest: Manifest, run_uri: str) -> None:
    owner = manifest.owner
    if owner.get("kind") == "airflow":
        raise OwnerError(
            f"{run_uri} is Airflow's: dag_id={owner.get('dag_id')}, run_id={owner.get('run_id')}; "
            "clear its tasks in Airflow to go on with it"
        )
    if owner.get("kind") != "cli" or not owner.get("epoch"):
        raise OwnerError(f"{run_uri} was not started by podmap run, so it cannot be resumed")
