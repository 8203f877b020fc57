"""podmap init: a first spec of a script, guessed from its help."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

import click

from podmap.cli._options import JSON, duration_s, example
from podmap.cli._output import counted, duration, print_json
from podmap.errors import UsageError

EXAMPLES = example("""
podmap init train.py > sweep.yaml
podmap init train.py -o sweep.yaml && podmap plan sweep.yaml
podmap init train.py --python ~/envs/ml/bin/python
""")
HELP_BYTES = 1 << 20
_END_CHARS = 1000
_LOOK_EVERY_S = 0.2


@click.command(
    name="init",
    help=f"""Print a first spec of SCRIPT, guessed from what `python SCRIPT --help` prints.

It understands argparse, click, Typer and Hydra. Choices and switches become params as they are,
numbers a range around their default, as far as the help shows it; comments say what was guessed,
what is not searched and why, and what is to be filled in. The spec is there to be edited.

SCRIPT is run as you would run it, with --help alone, for at most --limit; a script without the
ending .py is run itself.

{EXAMPLES}""",
    short_help="Write a first spec of a script, from its --help.",
)
@click.argument("script", type=click.Path(dir_okay=False))
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False), help="Where to.")
@click.option(
    "--python", metavar="FILE", help="The Python that runs SCRIPT.  [default: python, of PATH]"
)
@click.option(
    "--limit",
    "limit_s",
    metavar="TIME",
    callback=duration_s,
    default="1m",
    show_default=True,
    help="How long the help may take.",
)
@JSON
def command(
    script: str, output: str | None, python: str | None, limit_s: float, as_json: bool
) -> None:
    """Writes a first spec."""
    from podmap.spec.importers.help_text import read_help
    from podmap.spec.importers.script import guess_spec

    if script == "-" and not os.path.isfile(script):
        raise UsageError("a script from standard input cannot be asked for its help: give its file")
    if not os.path.isfile(script):
        raise UsageError(f"{script} is not there, or no file")
    if output and os.path.exists(output):
        raise UsageError(f"{output} is there already: it is not written over")
    words = _command(script, python)
    told = read_help(_help_of(words, limit_s))
    spec = guess_spec(script, words, told)
    if output:
        try:
            Path(output).write_text(spec.text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    if as_json:
        about = {"library": told.library, "params": list(spec.params)}
        print_json({"spec": spec.text, "file": output, **about, "to_fill": list(spec.to_fill)})
    elif not output:
        click.echo(spec.text, nl=False)
    click.echo(
        f"{told.library}: {counted(len(spec.params), 'param')} of "
        f"{counted(len(told.options), 'option')}; look through what was guessed",
        err=True,
    )
    for each in spec.to_fill:
        click.echo(f"to be filled in: {each}", err=True)


def _command(script: str, python: str | None) -> list[str]:
    """How the script is run: by Python, or itself."""
    if not script.endswith(".py") and python is None:
        if not os.access(script, os.X_OK):
            raise UsageError(f"{script} ends not in .py and may not be executed: say --python FILE")
        return [script if os.path.dirname(script) else f"./{script}"]
    found = python or next(filter(shutil.which, ("python", "python3")), None)
    if found is None or shutil.which(found) is None:
        raise UsageError(f"there is no {found or 'python'} in PATH: say --python FILE")
    return [found, script]


def _help_of(words: list[str], limit_s: float) -> str:
    """What the command prints with --help.

    Raises:
        UsageError: It printed nothing or too much, failed, or took too long.
    """
    env = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    shown = " ".join([*words, "--help"])
    with tempfile.TemporaryFile() as out:
        try:
            process = subprocess.Popen(
                [*words, "--help"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"{words[0]} cannot be run: {error.strerror}") from error
        try:
            code = _await_end(process, out, shown, limit_s=limit_s)
        finally:
            _end_group(process)
        size = os.fstat(out.fileno()).st_size
        out.seek(0)
        text = out.read(HELP_BYTES).decode("utf-8", "replace")
    if code != 0:
        end = text.strip()[-_END_CHARS:]
        raise UsageError(f"{shown} ended with exit code {code}:\n{end}")
    _check_size(size, shown)
    if not text.strip():
        raise UsageError(f"{shown} printed nothing, so there is nothing to guess from")
    return text


def _await_end(
    process: subprocess.Popen[bytes], out: IO[bytes], shown: str, *, limit_s: float
) -> int:
    """The exit code, once it has ended; what prints without end is not left to fill the disk."""
    until = time.monotonic() + limit_s
    while True:
        left_s = max(0.0, until - time.monotonic())
        try:
            return process.wait(min(left_s, _LOOK_EVERY_S))
        except subprocess.TimeoutExpired:
            _check_size(os.fstat(out.fileno()).st_size, shown)
        if left_s <= _LOOK_EVERY_S:
            raise UsageError(
                f"{shown} has not ended within {duration(limit_s)}: --limit gives it longer"
            )


def _check_size(count: int, shown: str) -> None:
    if count > HELP_BYTES:
        raise UsageError(f"{shown} prints more than {HELP_BYTES >> 20} MiB, which is no help")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process, and what it has started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
