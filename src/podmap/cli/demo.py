"""podmap demo: a small sweep that comes with podmap."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from podmap.cli._options import JSON, QUIET, STORE, example

FOLDER = Path(__file__).parent / "demo_sweep"
EXAMPLES = example("""
podmap demo
podmap demo --store ~/podmap-demo
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
    from podmap.cli._console import Console
    from podmap.cli._run_command import RunOptions, start_run
    from podmap.spec.load import load

    spec = FOLDER / "sweep.yaml"
    # The Python that runs podmap is there for sure; python3 may not be in PATH.
    loaded = load(str(spec), overrides={"trial.command": [sys.executable, "train.py"]})
    console = Console(quiet=quiet)
    console.say(f"spec: {spec}")
    console.say(f"training code: {FOLDER / 'train.py'}")
    options = RunOptions(Target(), console, logs=False, patience_s=60.0, as_json=as_json)
    return start_run(loaded, options, folder=os.fspath(FOLDER), store=store)
