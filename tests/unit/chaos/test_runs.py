from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chaos import play as module
from chaos.faults import Fault
from chaos.play import play
from chaos.runs import ByCommand, Run
from local_airflow import LocalAirflow


class Endless(ByCommand):
    """A command that does not end by itself."""

    def start(self) -> None:
        self._process = subprocess.Popen(["sleep", "3600"], start_new_session=True)

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self._process


def test_what_ends_the_suite_ends_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = SimpleNamespace(deleted={})
    scene: Any = SimpleNamespace(
        stores={"local": str(tmp_path)}, marks=tmp_path / "m", ground=ground
    )
    runner = Endless(scene)
    started = []

    def interrupted(run: Run) -> None:
        started.append(runner.process)
        raise KeyboardInterrupt

    def steps(run: Run) -> Generator[None]:
        yield

    monkeypatch.setattr(Run, "in_the_middle", interrupted)
    monkeypatch.setattr(module, "_runner", lambda *_: runner)
    monkeypatch.setattr(module, "Watcher", contextlib.nullcontext)
    with pytest.raises(KeyboardInterrupt):
        play(scene, Fault("none", "nothing", steps), by_command=True)
    (process,) = started
    assert isinstance(process, subprocess.Popen)
    try:
        assert process.returncode is not None
    finally:
        process.kill()


def test_a_triggerer_of_another_name_is_started_again(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, dags=tmp_path)
    (tmp_path / "airflow.py").write_text("import sys; print(*sys.argv[1:])")
    try:
        airflow.spawn("triggerer", "--skip-serve-logs", name="second").wait()
        assert ["second"] == airflow.start_ended()
        airflow.processes["second"].wait()
    finally:
        airflow.stop()
    said = (tmp_path / "second.out").read_text()
    assert ["triggerer --skip-serve-logs"] * 2 == said.splitlines()
