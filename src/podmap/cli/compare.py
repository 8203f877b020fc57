"""podmap compare: runs side by side."""

from __future__ import annotations

from typing import Any

import click

from podmap.cli._options import FIND_STORE, JSON, complete_run, example, open_run
from podmap.cli._output import duration, print_json, print_table, say_left_out

EXAMPLES = example("""
podmap compare 3f9a12c0 77b0c4d1
podmap compare 3f9a 77b0 --json | jq .spec
""")


@click.command(
    name="compare",
    help=f"""Show RUNs side by side: what their specs differ in, and what each came to.

A column is a run. The rows are its trials by state, the best objective and its trial, the time
that trials ran, then all keys of the spec and all params of the best trials that are not the same
in all of the runs.

{EXAMPLES}""",
    short_help="Show runs side by side.",
)
@click.argument("runs", metavar="RUN RUN...", nargs=-1, shell_complete=complete_run)
@FIND_STORE
@JSON
def command(runs: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Compares runs."""
    from podmap.errors import UsageError
    from podmap.report.comparison import compare_runs

    if len(runs) < 2:
        raise UsageError("give at least two runs")
    compared = compare_runs([open_run(run, store) for run in runs])
    if as_json:
        print_json(compared)
    else:
        print_table(*_table(compared))
    for summary in compared["runs"]:
        say_left_out(summary["left_out"])


def _table(compared: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    runs = compared["runs"]
    states = dict.fromkeys(state for run in runs for state in run["counts"])
    rows: list[list[Any]] = [
        ["sweep", *(run["sweep"] for run in runs)],
        ["trials", *(run["count"] for run in runs)],
    ]
    rows += [[state.lower(), *(run["counts"].get(state, 0) for run in runs)] for state in states]
    metrics = dict.fromkeys(name for run in runs for name in (run["best"] or {}).get("metrics", {}))
    rows.append(["best trial", *((run["best"] or {}).get("number") for run in runs)])
    for name in metrics:
        values = [(run["best"] or {}).get("metrics", {}).get(name) for run in runs]
        rows.append([f"best {name}", *values])
    rows += [[f"best {name}", *values] for name, values in compared["best_params"].items()]
    rows.append(["took", *(duration(run["duration_s"]) for run in runs)])
    if any(run["gpu_seconds"] for run in runs):
        rows.append(["gpu seconds", *(run["gpu_seconds"] for run in runs)])
    rows += [[name, *values] for name, values in compared["spec"].items()]
    return ["run", *(run["run_id"] for run in runs)], rows
