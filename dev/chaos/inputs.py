"""Any input at all: the property tests, with as many cases each as there is time for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("tests/unit", "tests/local")


def command() -> list[str]:
    """What runs the property tests; hypothesis itself marks them."""
    quiet = ["--quiet", "-p", "no:cacheprovider", "--durations=20"]
    return [sys.executable, "-m", "pytest", *quiet, "-m", "hypothesis", *FOLDERS]


def try_inputs(cases: int) -> int:
    """Runs all of them, and returns pytest's exit code.

    Args:
        cases: How many inputs each test tries.
    """
    environment = {**os.environ, "PODMAP_EXAMPLES": str(cases)}
    return subprocess.run(command(), cwd=ROOT, env=environment, check=False).returncode
