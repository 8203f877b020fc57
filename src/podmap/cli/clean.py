"""podmap clean: delete a run."""

from __future__ import annotations

import sys

import click

from podmap.cli._options import FIND_STORE, JSON, KUBECONFIG, RUN, example, open_run
from podmap.cli._output import counted, print_json

EXAMPLES = example("""
podmap clean 3f9a12c0
podmap clean 3f9a --yes
""")


@click.command(
    name="clean",
    help=f"""Delete RUN with all its records, and end what still runs of it: the
processes on this host, or all its pods.

It asks first. Without a terminal to ask on, --yes is needed.

{EXAMPLES}""",
    short_help="Delete a run, and end what still runs of it.",
)
@RUN
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@KUBECONFIG
@FIND_STORE
@JSON
def command(run: str, yes: bool, kubeconfig: str | None, store: str | None, as_json: bool) -> None:
    """Deletes a run."""
    from podmap.engine.run_lock import check_not_held
    from podmap.engine.steering import SteeredRun
    from podmap.errors import UsageError

    ledger, manifest = open_run(run, store)
    check_not_held(manifest.run_id)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"clean deletes {ledger.run_uri}: without a terminal, say --yes")
        trials = counted(manifest.total, "trial")
        question = f"Delete {ledger.run_uri} with the records of {trials}?"
        click.confirm(question, abort=True, err=True)
    steered = SteeredRun.find(ledger, manifest)
    ended = steered.delete(by="podmap clean", kubeconfig=kubeconfig)
    if as_json:
        print_json({"run_uri": ledger.run_uri, "ended": ended})
    else:
        also = f", ended {counted(ended, 'trial')}" if ended else ""
        click.echo(f"deleted {ledger.run_uri}{also}")
