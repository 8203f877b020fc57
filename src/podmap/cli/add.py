"""podmap add: put trials into a run that goes on or has ended."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import FIND_STORE, JSON, RUN, example
from podmap.cli._output import counted, print_json
from podmap.cli._steer import open_steered, who

if TYPE_CHECKING:
    from podmap.search.base import ItemProblems, ItemRow

EXAMPLES = example("""
podmap add 3f9a12c0 --items more.csv
echo '{"lr": 0.01, "depth": 6}' | podmap add 3f9a --items - --json
podmap add 3f9a --items - --skip-known < suggestions.jsonl
""")
_STDIN_CHARS = 64 * 1024 * 1024


@click.command(
    name="add",
    help=f"""Put trials with given params into RUN, behind those that it has.

A `podmap run` or `podmap resume` that goes on takes them up within 3 seconds; after the end of
the run `podmap resume` runs them. FILE is CSV, JSONL or Parquet, as of `search.items`, or - for
standard input: JSON objects, one a line, or a list of them.

An item gives every param of the search but its constants. It may lie outside of the search's
ranges; then a search that learns leaves it out. An item with the params of another trial is a
trial of its own, with a seed of its own; with --skip-known it is not added again, and the number
of the trial that has these params is given, so that to say the same again adds nothing.

With --json the numbers come back in the order of the items. `podmap status RUN --watch --json`
tells what becomes of them.

In Airflow the number of trials is fixed when `plan` has run: start a run of its own for them.

{EXAMPLES}""",
    short_help="Add trials to a run that goes on or has ended.",
)
@RUN
@click.option(
    "--items", "items", metavar="FILE", required=True, help="The params, or - for standard input."
)
@click.option("--skip-known", is_flag=True, help="Do not add params again that the run has.")
@FIND_STORE
@JSON
def command(run: str, items: str, skip_known: bool, store: str | None, as_json: bool) -> None:
    """Adds trials."""
    from podmap.engine.growth import add_items
    from podmap.search.base import ItemProblems

    steered = open_steered(run, store)
    steered.check_not_airflows("add", "give them to sweep() of a run of their own")
    problems = ItemProblems("standard input" if items == "-" else items)
    rows = _stdin_rows(problems) if items == "-" else _file_rows(items, problems)
    grown = add_items(steered.ledger, rows, problems, by=who(), skip_known=skip_known)
    numbers = [list(each) for each in grown.numbers]
    added = sum(not known for known in grown.known)
    goes_on = steered.pid is not None and grown.before.finished is None
    if as_json:
        shown = [
            {"numbers": each, "known": known}
            for each, known in zip(numbers, grown.known, strict=True)
        ]
        data = {"run_uri": steered.ledger.run_uri, "items": shown, "count": grown.count}
        print_json({**data, "goes_on": goes_on, "pid": steered.pid or None})
        return
    new = [n for each, known in zip(numbers, grown.known, strict=True) if not known for n in each]
    span = f": {new[0]} to {new[-1]}" if len(new) > 1 else f": {new[0]}" if new else ""
    click.echo(f"added {counted(len(new), 'trial')}{span}")
    if added < len(numbers):
        click.echo(f"{counted(len(numbers) - added, 'item')} known already", err=True)
    if new and not goes_on:
        click.echo(f"run them: podmap resume {steered.reference}", err=True)


def _file_rows(path: str, problems: ItemProblems) -> Iterator[ItemRow]:
    from podmap.search.list_files import read_rows
    from podmap.search.uris import absolute_uri

    folder = os.getcwd()
    return read_rows(absolute_uri(path, folder), problems, folder=folder, key="--items")


def _stdin_rows(problems: ItemProblems) -> list[ItemRow]:
    """The objects on standard input: a list of them, or one a line.

    Raises:
        UsageError: There is too much of it.
    """
    from podmap.errors import Problem, UsageError
    from podmap.search.base import ItemRow

    text = sys.stdin.read(_STDIN_CHARS + 1)
    if len(text) > _STDIN_CHARS:
        raise UsageError("--items: standard input has more than 64 MiB; give a file")
    whole = _parsed(text)
    if isinstance(whole, list):
        return [ItemRow(each, path=f"items[{index}]") for index, each in enumerate(whole)]
    if isinstance(whole, dict):
        return [ItemRow(whole, path="items[0]")]
    rows = []
    for line, own in enumerate(text.splitlines(), start=1):
        if own.strip():
            found = _parsed(own)
            if isinstance(found, ValueError):
                problems.add(Problem("", f"not JSON: {found}", line=line, column=1))
            else:
                rows.append(ItemRow(found, line=line))
    return rows


def _parsed(text: str) -> Any:
    """What a JSON text says; the error, if it is none."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no number of JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        return ValueError(str(error))
