from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
LOADED = """
import json, sys
import airflow.plugins_manager
before = set(sys.modules)
from podmap.airflow.plugin.tab import PodmapPlugin
PodmapPlugin.validate()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_airflows_processes_load_next_to_nothing_with_the_plugin(
    tmp_path: Path,
) -> None:
    """All of them do: workers, too, for each task."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "podmap.airflow.plugin.tab" in loaded
    heavy = ("fastapi", "starlette", "podmap.server", "podmap.ledger", "podmap.airflow.plugin.r")
    assert [] == [name for name in loaded if name.startswith(heavy)]


def test_airflow_finds_the_plugin_by_its_entry_point() -> None:
    group = '[project.entry-points."airflow.plugins"]\n'
    text = (ROOT / "pyproject.toml").read_text().partition(group)[2]
    assert 'podmap = "podmap.airflow.plugin.tab:PodmapPlugin"' == text.partition("\n")[0]
