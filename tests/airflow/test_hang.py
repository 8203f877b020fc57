"""Airflow's own supervisor and runner, which hang where triggers log much: not beside podmap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

HERE = Path(__file__).parent


def test_a_triggerer_in_which_a_trial_runs_does_not_hang(tmp_path: Path) -> None:
    """Without `--podmap` it does, within seconds, with Airflow 3.3."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join(paths),
    }
    said = subprocess.run(
        [sys.executable, str(HERE / "hang.py"), "--podmap"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    assert "60 triggers" in said
