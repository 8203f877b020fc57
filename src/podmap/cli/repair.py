"""podmap repair: say what is wrong with a run after a death, and mend it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from podmap.cli._options import FIND_STORE, JSON, KUBECONFIG, RUN, example, open_run, run_reference
from podmap.cli._output import counted, print_json

if TYPE_CHECKING:
    from podmap.engine.repair import RunFault
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

EXAMPLES = example("""
podmap repair 3f9a12c0 --dry-run
podmap repair 3f9a --yes && podmap resume 3f9a
""")


@click.command(
    name="repair",
    help=f"""Say what is wrong with RUN after a host, a cluster or a store has died, and mend it.

It finds records that cannot be read (they are moved to the ledger's folder `former`, and their
trials are run again), trials that are running though nothing of them is there (they are made
waiting), processes and pods that nobody looks after any more (they are ended and removed), and a
`run.json` that cannot be read (it is begun anew). Results are never touched.

It asks before it changes anything. Without a terminal to ask on, --yes is needed. The exit code is
1 if something is wrong and was not mended, else 0.

{EXAMPLES}""",
    short_help="Say what is wrong with a run after a death, and mend it.",
)
@RUN
@click.option("--dry-run", is_flag=True, help="Only say what is wrong.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@KUBECONFIG
@FIND_STORE
@JSON
def command(
    run: str, dry_run: bool, yes: bool, kubeconfig: str | None, store: str | None, as_json: bool
) -> int:
    """Mends a run."""
    from podmap.engine.repair import find_faults
    from podmap.engine.run_attempts import find_attempts
    from podmap.engine.run_lock import check_not_held
    from podmap.errors import UsageError

    ledger, manifest = open_run(run, store)
    check_not_held(manifest.run_id)
    if manifest.tasks:
        raise UsageError(
            f"the trials of {ledger.run_uri} run in workers of Airflow, which podmap cannot see "
            "from here: its task collect ends the records that they left; clear it"
        )
    faults = find_faults(ledger, find_attempts(manifest, kubeconfig=kubeconfig))
    if not as_json:
        for fault in faults:
            click.echo(f"{fault.what}: {fault.cure}")
    mended: list[RunFault] = []
    if faults and not dry_run:
        _ask(faults, yes=yes)
        mended = _mend(ledger, manifest, faults, kubeconfig)
    _tell(ledger, manifest, faults, mended, as_json=as_json)
    return 0 if len(mended) == len(faults) else 1


def _ask(faults: list[RunFault], *, yes: bool) -> None:
    from podmap.errors import UsageError

    if yes:
        return
    what = counted(len(faults), "fault")
    if not sys.stdin.isatty():
        raise UsageError(f"repair mends {what}: without a terminal, say --yes, or --dry-run")
    click.confirm(f"Mend {what}?", abort=True, err=True)


def _mend(
    ledger: Ledger, manifest: Manifest, faults: list[RunFault], kubeconfig: str | None
) -> list[RunFault]:
    from podmap.engine.repair import mend_file
    from podmap.engine.run_attempts import delete_attempts

    delete_attempts(
        manifest, [fault.attempt for fault in faults if fault.attempt], kubeconfig=kubeconfig
    )
    mended = [fault for fault in faults if fault.attempt or mend_file(ledger, fault)]
    if len(mended) > sum(bool(fault.attempt) for fault in mended):
        ledger.update_state(finished=None)
    return mended


def _tell(
    ledger: Ledger,
    manifest: Manifest,
    faults: list[RunFault],
    mended: list[RunFault],
    *,
    as_json: bool,
) -> None:
    if as_json:
        shown = [
            {
                "kind": fault.kind.value,
                "trial": fault.trial,
                "attempt": fault.attempt or None,
                "what": fault.what,
                "cure": fault.cure,
                "mended": fault in mended,
            }
            for fault in faults
        ]
        print_json({"run_uri": ledger.run_uri, "faults": shown})
        return
    if not faults:
        click.echo("nothing is wrong")
    elif mended:
        click.echo(f"mended: {len(mended)} of {counted(len(faults), 'fault')}", err=True)
        if manifest.owner.get("kind") == "cli":
            click.echo(f"go on: podmap resume {run_reference(ledger, manifest)}", err=True)
