"""The wheel holds the web app if it was built, and is one without it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = "podmap/report/app/podmap-ui.js"


@pytest.mark.parametrize("built", [True, False], ids=["built", "not built"])
def test_the_wheel_holds_the_web_app_as_far_as_it_was_built(tmp_path: Path, built: bool) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    package = tmp_path / "src" / "podmap"
    shutil.copytree(
        ROOT / "src" / "podmap", package, ignore=shutil.ignore_patterns("app", "__pycache__")
    )
    if built:
        (package / "report" / "app").mkdir()
        (package / "report" / "app" / "podmap-ui.js").write_text("var podmap;")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=tmp_path, check=True
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        assert built is (APP in held.namelist())
        assert "podmap/report/view.py" in held.namelist()
