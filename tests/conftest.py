from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from podmap import uris
from podmap.cli.main import main

CASES = os.environ.get("PODMAP_EXAMPLES")
"""How many cases each property test tries, where more are wanted than the usual 100."""

if CASES:
    settings.register_profile("long", deadline=None, max_examples=int(CASES))
    settings.load_profile("long")
elif "CI" not in os.environ:  # there hypothesis has a profile of its own: the same examples always
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

# A shell ignores SIGINT for what it starts in the background, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

GRID = """\
apiVersion: podmap/v1
name: grid
search: {kind: grid, params: {x: {low: 0, high: 3}}}
objective: {metric: y, direction: maximize}
trial:
  command: [sh, trial.sh]
  args: ["{params.x}"]
parallelism: 2
"""
TRIAL = """\
echo "x is $1"
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""
"""Four trials in four processes of sh, which are fast; y is x."""


SHARED = {"airflow": "airflow", "chaos": "cluster", "cluster": "cluster"}
"""Folders whose tests share a server, with its name."""


class TogetherScheduling(LoadScopeScheduling):
    """With several workers (pytest-xdist) one has all tests that share a server, or a file."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return SHARED.get(Path(file).parts[1], file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling:
    return TogetherScheduling(config, log)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """Runs podmap's commands, with store and state of their own below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.store = folder / "store"
        self.env = {
            **os.environ,
            "PODMAP_STORE": str(self.store),
            "PODMAP_STATE_DIR": str(folder / "state"),
            "PYTHONWARNINGS": "error",
        }

    def __call__(self, *args: str) -> Ran:
        """In this process, which is fast."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe")
        before = os.getcwd(), sys.stdout, sys.stderr
        os.chdir(self.folder)
        sys.stdout, sys.stderr = out, err
        try:
            code = main(args)
        finally:
            sys.stdout, sys.stderr = before[1:]
            os.chdir(before[0])
        return Ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    def spec(self, text: str = GRID, *, trial: str = TRIAL, folder: str = ".") -> str:
        """Writes a spec and the script of its trials; the spec's path."""
        (self.folder / folder).mkdir(exist_ok=True)
        (self.folder / folder / "trial.sh").write_text(trial)
        (self.folder / folder / "sweep.yaml").write_text(text)
        return os.path.normpath(f"{folder}/sweep.yaml")

    def start(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        """In a process of its own, whose output is to be read."""
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        pipes["env"] = self.env
        process = subprocess.Popen(
            [sys.executable, "-m", "podmap.cli.main", *args],
            cwd=self.folder,
            text=True,
            **{**pipes, **more},
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Ends what a test that failed has left."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def process(self, *args: str) -> Ran:
        """As `start`, to its end."""
        process = self.start(*args)
        out, err = process.communicate(timeout=300)
        return Ran(process.returncode, out, err)

    def run_id(self) -> str:
        """The id of the only run."""
        (manifest,) = self.store.glob("*/*/manifest.json")
        return manifest.parent.name

    def records(self) -> dict[int, dict[str, Any]]:
        """The records of the only run."""
        files = self.store.glob("*/*/trials/*.json")
        return {int(file.stem): json.loads(file.read_text()) for file in files}


@pytest.fixture(autouse=True)
def no_deployment() -> Iterator[None]:
    """What Airflow's settings allowed in a test's own process ends with the test."""
    yield
    uris.use_policy(None)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    for name in ("PODMAP_STORE", "PODMAP_STATE_DIR"):
        monkeypatch.setenv(name, cli.env[name])
    yield cli
    cli.end()
