"""Runs an example's sweep.yaml as its README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_example(name: str, folder: Path) -> Any:
    """What `podmap run --json` prints.

    Args:
        name: The example's folder.
        folder: Gets the store and podmap's state.
    """
    done = subprocess.run(
        [sys.executable, "-m", "podmap.cli.main", "run", "sweep.yaml", "--json", "--quiet"],
        cwd=EXAMPLES / name,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PODMAP_STORE": str(folder / "store"),
            "PODMAP_STATE_DIR": str(folder / "state"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
