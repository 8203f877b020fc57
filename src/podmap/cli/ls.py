"""podmap ls: the runs of a store."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, example
from podmap.cli._output import (
    WIDEST,
    duration,
    print_json,
    print_table,
    say_hidden,
    say_left_out,
)
from podmap.cli._run_state import STATES, state_here
from podmap.cli._selection import Selection, selection_options
from podmap.clock import parse_iso, utc_now
from podmap.errors import PodmapError, UsageError

if TYPE_CHECKING:
    from podmap.ledger.run_summary import RunSummary

EXAMPLES = example("""
podmap ls
podmap ls --state running --state open
podmap ls --sweep 'digits*' --since 2d --sort best:desc
podmap ls --where 'failed > 0 and trials >= 100'
podmap ls --store s3://bucket/podmap --json
""")
_ENDS = ("complete", "pruned", "failed", "cancelled")
_COLUMNS = (
    *("run", "sweep", "state", "created", "trials", *_ENDS, "open"),
    *("best", "metric", "took", "owner"),
)
_UNUSUAL = ("metric", "owner")
CURE = "--all or --columns NAME,… shows more"


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """The earliest moment: so long ago, or a day or time in UTC."""
    from podmap.spec.quantity import parse_duration_s

    if value is None:
        return None
    try:
        moment = parse_iso(value)
    except ValueError:
        try:
            return utc_now() - timedelta(seconds=parse_duration_s(value))
        except (ValueError, OverflowError) as error:
            raise click.BadParameter(
                f"{value!r} is neither a time ago, such as 90m or 2d, nor a day or time, such as "
                "2026-11-29 or 2026-11-29T08:00Z",
                ctx,
                param,
            ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


@click.command(
    name="ls",
    help=f"""List the runs of a store, the newest last.

STATE is as in `podmap status`, `open` counts the trials that have not ended, BEST is the best
value of the objective so far, and TOOK the time in which trials ran. A table that is wider than
the terminal loses columns; standard error says which.

A FILTER is as for `podmap results`; its columns are those of the table.

{EXAMPLES}""",
    short_help="List the runs of a store.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    help="Only runs in this state. May be given again.",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="NAME",
    help="Only runs of this sweep; * stands for any characters. May be given again.",
)
@click.option(
    "--since",
    metavar="WHEN",
    callback=_since,
    help="Only runs that were created since: 90m or 2d ago, or 2026-11-29 (UTC).",
)
@selection_options
@FIND_STORE
@JSON
def command(
    states: tuple[str, ...],
    sweeps: tuple[str, ...],
    since: datetime | None,
    store: str | None,
    as_json: bool,
    **selected: Any,
) -> None:
    """Lists runs."""
    from podmap.ledger.run_summary import iter_runs
    from podmap.ledger.runs import default_store

    selection = Selection(**selected)
    if as_json and (selection.columns or selection.everything):
        raise UsageError("--json has all there is: leave out --columns and --all")
    place = default_store(store)
    found = sorted(iter_runs(place), key=lambda run: run.created)
    rows = [_row(run) for run in found if _is_asked_for(run, sweeps, since)]
    rows = [row for row in rows if not states or row["state"] in states]
    picked = selection.pick_rows(_COLUMNS, rows)
    if as_json:
        print_json([_to_json(row) for row in picked])
    elif not picked:
        none = f"there are no runs in {place}"
        click.echo(f"{none} that were asked for" if found else none, err=True)
    else:
        _print(picked, selection)
    for row in picked if not as_json else ():
        run = row[""]
        say_left_out(run.left_out)
        if run.problem:
            click.echo(f"podmap: {run.run_id or run.sweep}: {run.problem}", err=True)


def _is_asked_for(run: RunSummary, sweeps: Sequence[str], since: datetime | None) -> bool:
    if sweeps and not any(fnmatch.fnmatchcase(run.sweep, each) for each in sweeps):
        return False
    return since is None or (bool(run.created) and parse_iso(run.created) >= since)


def _row(run: RunSummary) -> dict[str, Any]:
    """A run by column; the run itself is in the column that has no name."""
    head = {"": run, "run": run.run_id, "sweep": run.sweep}
    if run.manifest is None or run.state is None:
        return {**dict.fromkeys(_COLUMNS), **head}
    counts = run.counts
    ended = {name: counts.get(name.upper(), 0) for name in _ENDS}
    return {
        **head,
        "state": state_here(run.manifest, counts, run.state)[0],
        "created": run.created,
        "trials": run.count,
        **ended,
        "open": sum(counts.values()) - sum(ended.values()),
        **_outcome(run),
        "owner": str(run.manifest.owner.get("kind", "")),
    }


def _outcome(run: RunSummary) -> dict[str, Any]:
    """The best value so far, of which metric, and the seconds in which trials ran."""
    from podmap.json_kinds import is_number

    results = run.results or _results_now(run)
    objective = run.manifest.spec.get("objective") if run.manifest else None
    metric = objective.get("metric") if isinstance(objective, Mapping) else None
    best = results.get("best") or {}
    metrics = best.get("metrics") if isinstance(best, Mapping) else None
    value = metrics.get(metric) if isinstance(metrics, Mapping) and metric else None
    return {
        "best": value if is_number(value) else None,
        "metric": metric if isinstance(metric, str) else None,
        "took": results.get("duration_s"),
    }


def _results_now(run: RunSummary) -> Mapping[str, Any]:
    """What a run that goes on has come to; nothing if it cannot be told."""
    from podmap.ledger.ledger import Ledger
    from podmap.report.publish import read_leaderboard

    if run.manifest is None or set(run.counts) <= {"WAITING"}:
        return {}
    try:
        board = read_leaderboard(Ledger.open(run.run_uri), run.manifest)
    except PodmapError:
        return {}
    best = {"metrics": board.best.metrics} if board.best else None
    return {"best": best, "duration_s": board.busy_s}


def _print(rows: Sequence[Mapping[str, Any]], selection: Selection) -> None:
    usual = [
        name
        for name in _COLUMNS
        if name not in _UNUSUAL and (name != "pruned" or any(row[name] for row in rows))
    ]
    named = selection.pick_columns(_COLUMNS)
    columns = named or usual
    hidden = print_table(
        columns,
        [[_cell(row, name) for name in columns] for row in rows],
        key_columns=len(columns) if named else 3,
        widest=None if named else WIDEST,
    )
    say_hidden(hidden, cure=CURE)


def _cell(row: Mapping[str, Any], name: str) -> Any:
    return duration(row[name]) if name == "took" else row[name]


def _to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    run: RunSummary = row[""]
    names = ("run_uri", "sweep", "run_id", "created", "count", "finished", "problem", "left_out")
    known = {name: getattr(run, name) for name in names}
    more = {name: row[name] for name in ("state", "best", "metric", "owner")}
    return {**known, "counts": dict(run.counts), **more, "duration_s": row["took"]}
