"""podmap status: how far a run is."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, KUBECONFIG, RUN, example, open_run, run_reference
from podmap.cli._output import print_json, print_table, say_left_out
from podmap.cli._run_state import state_here
from podmap.cli._streams import end_unless_read
from podmap.errors import RecordError
from podmap.records import Record, TrialState

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.objective import TargetTally

EXAMPLES = example("""
podmap status 3f9a12c0
podmap status 3f9a --json | jq .counts
podmap status 3f9a --watch --json
""")


@click.command(
    name="status",
    help=f"""Show how far RUN is: its trials by state, and those that run now.

A trial whose pod waits for its slot, a node or its image counts as waiting.

A run is `running` while one of its trials is, else `waiting`; it is `paused`; it is `stopping` once
it starts no more trials, and `stopped` when the last of them has ended, though others are left;
and it is `ended` when all have. A run of `podmap run` that no process of this host goes on with is
`open`: `podmap resume` does.

With --watch it goes on until the run has finished, and prints a line for each trial as it ends,
first for those that have ended before, and for each change of the run itself: with --json one
JSON object a line, whose `event` is `trial` or `run`. On a terminal it draws how far the run is, as
`podmap run` does: what runs, what waits and what for, what has ended, the speed, the time left, the
best trial, and the newest failures by kind.

{EXAMPLES}""",
    short_help="Show how far a run is.",
)
@RUN
@click.option("--watch", is_flag=True, help="Go on, and tell what ends, until the run has.")
@KUBECONFIG
@FIND_STORE
@JSON
def command(
    run: str, watch: bool, kubeconfig: str | None, store: str | None, as_json: bool
) -> None:
    """Shows a run's state."""
    from podmap.cli._watch_live import watch_live

    ledger, manifest = open_run(run, store)
    if watch:
        if as_json or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
            _watch(ledger, manifest, as_json=as_json)
        else:
            watch_live(ledger, manifest, kubeconfig=kubeconfig)
        return
    data = _status(ledger, manifest, kubeconfig)
    if as_json:
        print_json(data)
    else:
        _print(data, run_reference(ledger, manifest))
    say_left_out(data["left_out"])


def _watch(ledger: Ledger, manifest: Manifest, *, as_json: bool) -> None:
    from podmap.cli._watch import RunWatch, event_line

    def pause(seconds: float) -> None:
        end_unless_read()
        time.sleep(seconds)

    watch = RunWatch(ledger, run_state=lambda *known: state_here(manifest, *known)[0])
    for event in watch.events(pause=pause):
        if as_json:
            print_json(event, in_a_line=True)
        else:
            click.echo(event_line(event))


def _status(ledger: Ledger, manifest: Manifest, kubeconfig: str | None) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    target = _target(manifest)
    begun: list[Record] = []
    broken: list[RecordError] = []
    for record in ledger.board().records(on_broken=broken.append):
        counts[record.state.value] += 1
        target.count_record(record)
        if record.state is TrialState.RUNNING:
            begun.append(record)
    counts[TrialState.UNKNOWN.value] += len(broken)
    counts[TrialState.WAITING.value] += max(0, manifest.total - sum(counts.values()))
    running = _running(manifest, begun, kubeconfig) if begun else []
    counts[TrialState.RUNNING.value] -= len(begun) - len(running)
    counts[TrialState.WAITING.value] += len(begun) - len(running)
    steered = ledger.read_state(on_broken=broken.append)
    state, pid = state_here(manifest, counts, steered)
    return {
        "run_uri": ledger.run_uri,
        "run_id": manifest.run_id,
        "sweep": manifest.sweep,
        "owner": {name: value for name, value in manifest.owner.items() if name != "epoch"},
        "created": manifest.created,
        "state": state,
        "pid": pid,
        "parallelism": steered.parallelism,
        "paused": steered.paused,
        "stopped": steered.stopped,
        "count": manifest.total,
        "counts": {state.value: counts[state.value] for state in TrialState if counts[state.value]},
        "reached": target.reached.text if target.reached else "",
        "running": running,
        "left_out": list(map(str, broken)),
    }


def _target(manifest: Manifest) -> TargetTally:
    """The tally of the run's target; one of no target where the spec is not understood."""
    from podmap.errors import SpecError
    from podmap.objective import TargetTally
    from podmap.spec.load import load

    try:
        sweep = load(manifest.spec, search_required=False).sweep
    except SpecError:
        return TargetTally(())
    return TargetTally(sweep.objectives, repeats=sweep.repeats)


def _running(
    manifest: Manifest, begun: list[Record], kubeconfig: str | None
) -> list[dict[str, Any]]:
    """The trials that run, of those that have begun: the attempts of others wait for a place."""
    from podmap.backends.base import Phase
    from podmap.engine.run_attempts import list_attempts

    found = list_attempts(manifest, kubeconfig=kubeconfig)
    attempts = {seen.number: seen for seen in found if seen.phase is not Phase.ENDED}
    waiting = {seen.number for seen in attempts.values() if seen.phase is Phase.PENDING}
    return [
        {
            "number": record.number,
            "started": (
                attempts[record.number].started if record.number in attempts else record.started
            ),
            "params": dict(record.params),
        }
        for record in begun
        if record.number not in waiting
    ]


def _print(data: dict[str, Any], reference: str) -> None:
    from podmap.report.words import counts_text

    owner = {name: " ".join(str(value).split()) for name, value in data["owner"].items()}
    who = " ".join(f"{name}={value}" for name, value in owner.items() if name != "kind")
    state = data["state"] + (f" (process {data['pid']})" if data["pid"] else "")
    if data["stopped"]:
        state += f", {data['stopped']}"
    elif data["paused"] and data["state"] == "open":
        state += ", paused"
    counts = counts_text(data["counts"])
    click.echo(f"run     {data['run_id']} of {data['sweep']}")
    click.echo(f"state   {state}")
    click.echo(f"trials  {data['count']}: {counts}")
    if data["reached"]:
        click.echo(f"target  {data['reached']}")
    click.echo(f"since   {data['created']}, by {owner.get('kind', 'unknown')} {who}".rstrip())
    click.echo(f"ledger  {data['run_uri']}")
    if data["running"]:
        click.echo()
        names = list(dict.fromkeys(name for one in data["running"] for name in one["params"]))
        rows = [
            [one["number"], one["started"], *(one["params"].get(name) for name in names)]
            for one in data["running"]
        ]
        print_table(["trial", "started", *names], rows)
    elif data["state"] == "open" and owner.get("kind") == "cli":
        host = owner.get("host")
        there = "" if host == socket.gethostname() else f" (it was started on {host})"
        click.echo(f"go on with it: podmap resume {reference}{there}", err=True)
