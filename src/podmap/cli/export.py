"""podmap export: a run's trials, for other tools."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example, open_run
from podmap.cli._output import print_json, say_left_out
from podmap.cli._streams import safe

if TYPE_CHECKING:
    from podmap.report.leaderboard import Leaderboard

EXAMPLES = example("""
podmap export 3f9a12c0 --to csv > trials.csv
podmap export 3f9a --to parquet -o trials.parquet
podmap export 3f9a --to optuna -o study.log
optuna-dashboard study.log
""")
ENDINGS = {"csv": "csv", "parquet": "parquet", "optuna": "log"}


@click.command(
    name="export",
    help=f"""Write the trials of RUN for other tools: a table, or a study of Optuna's.

csv and parquet have the columns of the leaderboard, a row a trial: number, state, objective,
params.NAME, metrics.NAME, duration_s, attempts, reason. optuna makes a new study, in a journal,
or in SQLite if the file's name ends with .db, with what trials reported on their way.

{EXAMPLES}""",
    short_help="Write the trials of a run for other tools.",
)
@RUN
@click.option(
    "--to",
    "form",
    type=click.Choice(["csv", "parquet", "optuna"]),
    required=True,
    help="What to write.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where to; of csv - for standard output.  [default: standard output for csv, else a file "
    "named after the run]",
)
@FIND_STORE
@JSON
def command(run: str, form: str, output: str | None, store: str | None, as_json: bool) -> None:
    """Exports a run."""
    from podmap.report.publish import read_leaderboard

    ledger, manifest = open_run(run, store)
    board = read_leaderboard(ledger, manifest, each=True)
    if form == "csv" and output in (None, "-") and not as_json:
        sys.stdout.flush()
        sys.stdout.buffer.write(safe(board.to_csv().decode()).encode())
        say_left_out(board.left_out)
        return
    path = output or f"{manifest.sweep}-{manifest.run_id}.{ENDINGS[form]}"
    count = len(board.rows)
    if form == "csv":
        _write(path, board.to_csv())
    elif form == "parquet":
        _write(path, _parquet(board))
    else:
        from podmap.report.optuna_study import export_study

        count = len(export_study(ledger, manifest, path).trials)
    if as_json:
        print_json({"run_uri": ledger.run_uri, "file": os.path.abspath(path), "trials": count})
    else:
        click.echo(path)
    say_left_out(board.left_out)


def _write(path: str, data: bytes) -> None:
    from podmap.errors import UsageError

    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _parquet(board: Leaderboard) -> bytes:
    """The table with a type a column; columns of several kinds are text.

    Raises:
        NotSupportedError: pyarrow is not installed.
    """
    from podmap.errors import NotSupportedError

    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotSupportedError(
            "--to parquet needs pyarrow, which is not installed: pip install 'podmap[parquet]'"
        ) from error
    columns = list(zip(*board.table(), strict=True)) or [()] * len(board.columns)
    arrays = [_column(values) for values in columns]
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(dict(zip(board.columns, arrays, strict=True))), sink)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _column(values: Any) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if len(kinds) <= 1 and not kinds & {list, dict, tuple}:
        return list(values)
    import json

    return [
        value if value is None or isinstance(value, str) else json.dumps(value) for value in values
    ]
