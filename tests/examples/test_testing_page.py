"""The tests that docs/testing.md shows are run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow")

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(yaml|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_test_that_the_page_shows_passes(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "testing.md").read_text())
    (spec,) = [text for language, text in blocks if language == "yaml"]
    (tmp_path / "sweep.yaml").write_text(spec)
    shown = "\n".join(text for language, text in blocks if language == "python")
    (tmp_path / "test_shown.py").write_text(shown)
    dag = (ROOT / "examples" / "ci" / "dag.py").read_text()
    (tmp_path / "dag.py").write_text(dag)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stdout
    assert f"{shown.count('def test_')} passed" in done.stdout
    assert 7 <= shown.count("def test_")
