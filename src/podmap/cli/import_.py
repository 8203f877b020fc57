"""podmap import: make a spec of a sweep of Katib or W&B."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from podmap.cli._options import JSON, InputFile, example
from podmap.cli._output import counted, print_json

if TYPE_CHECKING:
    from podmap.spec.importers.draft import Lost
    from podmap.spec.importers.read import Imported

EXAMPLES = example("""
podmap import experiment.yaml > sweep.yaml
podmap import wandb-sweep.yaml -o sweep.yaml
podmap import experiment.yaml --json | jq .lost
""")


@click.command(
    name="import",
    help=f"""Print a spec that does what FILE does, an Experiment of Katib or a sweep of W&B.

What cannot be kept, or is done otherwise, is listed on standard error by line and key, and stands
at the top of the spec; nothing is dropped in silence. What is left to be mended by hand, since
the spec would be refused as it is, is listed too, and makes the exit code 1.

{EXAMPLES}""",
    short_help="Make a spec of a sweep of Katib or W&B.",
)
@click.argument("file", type=InputFile())
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Where to.")
@click.option("--strict", is_flag=True, help="Write nothing if something cannot be kept.")
@JSON
def command(file: str, output: str | None, strict: bool, as_json: bool) -> int:
    """Imports a sweep."""
    from podmap.errors import UsageError
    from podmap.spec.importers.read import read_sweep

    imported = read_sweep(file)
    not_yet = _not_yet(imported)
    if strict and imported.lost:
        lines = [one.describe(file) for one in imported.lost]
        raise UsageError("\n".join(["what cannot be kept, with --strict:", *lines]))
    if output:
        try:
            Path(output).write_text(imported.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(
            {
                "from": imported.tool,
                "spec": imported.text,
                "file": output,
                "lost": [_lost(one) for one in imported.lost],
                "problems": list(imported.problems),
                "not_yet": not_yet,
            }
        )
    elif not output:
        click.echo(imported.text, nl=False)
    for one in imported.lost:
        click.echo(one.describe(file), err=True)
    for problem in imported.problems:
        click.echo(f"to be mended: {problem}", err=True)
    for line in not_yet:
        click.echo(f"cannot be run here as it is: {line}", err=True)
    click.echo(f"{counted(len(imported.lost), 'thing')} not kept as it was", err=True)
    return 1 if imported.problems else 0


def _not_yet(imported: Imported) -> list[str]:
    """What of the spec this version, as it is installed here, cannot run."""
    from podmap.engine.planned import check_supported
    from podmap.errors import NotSupportedError, UsageError
    from podmap.spec.load import load

    if imported.problems:
        return []
    try:
        check_supported(load(imported.spec).sweep, "process")
    except (NotSupportedError, UsageError) as error:
        return str(error).splitlines()
    return []


def _lost(one: Lost) -> dict[str, object]:
    return {"line": one.line, "path": one.path, "message": one.message}
