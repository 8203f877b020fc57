"""podmap run: run a sweep here."""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING

import click

from podmap.cli._options import (
    BACKEND,
    CONTEXT,
    JSON,
    KUBECONFIG,
    NAMESPACE,
    SET,
    SPEC,
    STORE,
    duration_s,
    example,
    overrides,
)
from podmap.errors import PodmapError

if TYPE_CHECKING:
    from podmap.backends.connect import Target
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.spec.load import LoadedSpec

EXAMPLES = example("""
podmap run sweep.yaml
podmap run sweep.yaml --set search.trials=80 --set parallelism=4
podmap run sweep.yaml --store /data/podmap --json > result.json
""")

QUIET = click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors.")
LOGS = click.option(
    "--logs", is_flag=True, help="Show the trials' output as it comes, on standard error."
)
PATIENCE = click.option(
    "--patience",
    metavar="TIME",
    callback=duration_s,
    default="5m",
    show_default=True,
    help="How long to go on when the store cannot be written, before giving up; what runs "
    "then goes on, and the run can be resumed.",
)


@click.command(
    name="run",
    help=f"""Run the sweep of the file SPEC, as processes or as pods, and print its leaderboard.

At most `parallelism` trials run at once. Every trial has a record in the store, so nothing that
has ended is lost: after Ctrl-C, kill -9 or a full disk, `podmap resume` goes on. The first Ctrl-C
ends the trials that run, the second leaves at once and leaves them running.

{EXAMPLES}""",
    short_help="Run a sweep, as local processes or as pods.",
)
@SPEC
@SET
@BACKEND
@NAMESPACE
@KUBECONFIG
@CONTEXT
@STORE
@QUIET
@LOGS
@PATIENCE
@JSON
def command(
    spec: str,
    sets: tuple[str, ...],
    backend: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    store: str | None,
    quiet: bool,
    logs: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Runs a spec."""
    from podmap.backends.connect import Target
    from podmap.spec.load import load

    loaded = load(spec, overrides=overrides(sets), overrides_from="--set")
    return run_spec(
        loaded,
        folder=os.path.dirname(os.path.abspath(spec)),
        target=Target(
            backend,
            namespace=namespace or loaded.sweep.kubernetes.namespace,
            kubeconfig=kubeconfig,
            context=context,
        ),
        store=store,
        quiet=quiet,
        logs=logs,
        patience=patience,
        as_json=as_json,
    )


def run_spec(
    loaded: LoadedSpec,
    *,
    folder: str,
    target: Target,
    store: str | None,
    quiet: bool,
    logs: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Starts a new run of a spec, runs it to its end, and returns the exit code.

    Args:
        loaded: The effective spec.
        folder: Where the trials run.
        target: What runs the trials.
        store: What `--store` says; None if it was not given.
        quiet: Whether to say only warnings.
        logs: Whether to show the trials' output.
        patience: How long to go on asking what cannot be asked, in seconds.
        as_json: Whether to print JSON.

    Raises:
        PodmapError: The run could not be made, or not be run to its end.
    """
    from podmap import names
    from podmap.cli._lock import holding
    from podmap.cli._results import Manner, carry_out
    from podmap.cli._talk import Talk
    from podmap.engine.planned import prepare_run
    from podmap.engine.support import ignored_by_processes
    from podmap.ledger.runs import default_store

    talk = Talk(quiet=quiet)
    run_id = names.new_run_id()
    with holding(run_id):
        ledger, manifest = prepare_run(
            loaded,
            store=default_store(store or loaded.sweep.store),
            run_id=run_id,
            owner=new_owner(),
            folder=folder,
            target=target,
        )
        if target.backend == "kubernetes":
            check_first(ledger, manifest, target)
        elif ignored := ignored_by_processes(loaded.sweep):
            talk.say(f"local processes ignore: {', '.join(ignored)}")
        return carry_out(
            ledger,
            manifest,
            loaded.sweep,
            Manner(talk=talk, logs=logs, patience_s=patience, as_json=as_json, target=target),
        )


def check_first(ledger: Ledger, manifest: Manifest, target: Target) -> None:
    """Has the cluster check the first pod; a run that cannot begin leaves nothing behind.

    Raises:
        PodmapError: The pod would be refused, or the cluster cannot be asked.
    """
    import asyncio

    from podmap.backends.connect import connect
    from podmap.engine.launch import try_first

    async def check() -> None:
        backend = connect(target)
        try:
            await try_first(manifest, run_uri=ledger.run_uri, backend=backend)
        finally:
            await backend.close()

    try:
        asyncio.run(check())
    except PodmapError:
        ledger.delete()
        raise


def new_owner() -> dict[str, str]:
    """This invocation, as the owner of the run it starts."""
    from podmap.names import new_epoch

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        user = str(os.getuid())
    return {"kind": "cli", "host": socket.gethostname(), "user": user, "epoch": new_epoch()}
