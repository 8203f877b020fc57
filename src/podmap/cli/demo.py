"""podmap demo: a small sweep that comes with podmap."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from podmap.cli._options import JSON, STORE, example
from podmap.cli.run import QUIET

FOLDER = Path(__file__).parent / "demo_sweep"
EXAMPLES = example("""
podmap demo
podmap demo --store /tmp/podmap
""")


@click.command(
    name="demo",
    help=f"""Run a small sweep that comes with podmap, and print its leaderboard.

It trains 16 small neural networks, four at once, in seconds. It needs nothing but Python. The
spec and the training code are ordinary files, and a good start for a sweep of one's own; where
they are is said first.

{EXAMPLES}""",
    short_help="Run a small sweep that comes with podmap, to see one.",
)
@STORE
@QUIET
@JSON
def command(store: str | None, quiet: bool, as_json: bool) -> int:
    """Runs the demo."""
    from podmap.backends.connect import Target
    from podmap.cli.run import run_spec
    from podmap.spec.load import load

    spec = FOLDER / "sweep.yaml"
    # The Python that runs podmap is there for sure; python3 may not be in PATH.
    loaded = load(str(spec), overrides={"trial.command": [sys.executable, "train.py"]})
    if not quiet:
        click.echo(f"spec: {spec}", err=True)
        click.echo(f"training code: {FOLDER / 'train.py'}", err=True)
    return run_spec(
        loaded,
        folder=os.fspath(FOLDER),
        target=Target(),
        store=store,
        quiet=quiet,
        logs=False,
        patience=60.0,
        as_json=as_json,
    )
