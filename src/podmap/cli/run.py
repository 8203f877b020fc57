"""podmap run: run a sweep here."""

from __future__ import annotations

import click

from podmap.cli._options import (
    BACKEND,
    CONTEXT,
    GPUS,
    JSON,
    KUBECONFIG,
    LOGS,
    NAMESPACE,
    PATIENCE,
    PRICES,
    QUIET,
    SET,
    SPEC,
    STORE,
    STRICT,
    example,
    folder_of,
    load_priced,
)
from podmap.errors import UsageError

EXAMPLES = example("""
podmap run sweep.yaml
podmap run sweep.yaml --set search.trials=80 --set parallelism=4
podmap run sweep.yaml --store /data/podmap --json > result.json
""")


@click.command(
    name="run",
    help=f"""Run the sweep of the file SPEC, as processes or as pods, and print its leaderboard.

SPEC may be - for standard input; then the trials run in the working folder.

At most `parallelism` trials run at once. Every trial has a record in the store, so nothing that
has ended is lost: after Ctrl-C, kill -9 or a full disk, `podmap resume` goes on. The first Ctrl-C
ends the trials that run, the second leaves at once and leaves them running.

{EXAMPLES}""",
    short_help="Run a sweep, as local processes or as pods.",
)
@SPEC
@SET
@PRICES
@STRICT
@BACKEND
@NAMESPACE
@KUBECONFIG
@CONTEXT
@GPUS
@STORE
@QUIET
@LOGS
@PATIENCE
@JSON
def command(
    spec: str,
    sets: tuple[str, ...],
    prices: str | None,
    strict: bool,
    backend: str,
    namespace: str | None,
    kubeconfig: str | None,
    context: str | None,
    gpus: str | None,
    store: str | None,
    quiet: bool,
    logs: bool,
    patience: float,
    as_json: bool,
) -> int:
    """Runs a spec."""
    from podmap.backends.connect import Target
    from podmap.cli._console import Console
    from podmap.cli._run_command import RunOptions, start_run

    if gpus is not None and backend == "kubernetes":
        raise UsageError("--gpus is for local trials; pods are given GPUs by their cluster")
    loaded = load_priced(spec, sets, prices, strict=strict)
    target = Target(
        backend,
        namespace=namespace or loaded.sweep.kubernetes.namespace,
        kubeconfig=kubeconfig,
        context=context,
        gpus=gpus,
    )
    options = RunOptions(
        target, Console(quiet=quiet), logs=logs, patience_s=patience, as_json=as_json
    )
    return start_run(loaded, options, folder=folder_of(spec), store=store)
