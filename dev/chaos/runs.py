"""One run of the sweep while it is disturbed: through Airflow, or by `podmap run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Protocol

from chaos.scene import Scene
from chaos.watcher import Watcher, wait_until
from local_airflow import FINAL, AirflowError

from podmap.ledger.ledger import Ledger
from podmap.ledger.runs import find_run, run_ids

LONGEST_S = 420.0


class Runner(Protocol):
    """What runs a sweep."""

    store: str

    def start(self) -> None:
        """Starts a run and returns."""

    def state(self) -> str:
        """How it ended; empty while it goes on, or while that cannot be asked."""

    def give_up(self) -> None:
        """Ends what has not ended in time, so that it is in nobody's way."""

    def close(self) -> None:
        """Leaves no process behind, whatever has ended the suite."""


class ThroughAirflow:
    """A run of a DAG."""

    def __init__(self, scene: Scene, dag: str) -> None:
        self.store = scene.stores[dag]
        self._airflow, self._dag, self._run_id = scene.airflow, dag, ""

    def start(self) -> None:
        self._run_id = self._airflow.trigger(self._dag)

    def state(self) -> str:
        try:
            run = self._airflow.get(self._airflow.run_path(self._dag, self._run_id))
        except (OSError, AirflowError, ValueError):
            return ""
        return str(run["state"]) if run["state"] in FINAL else ""

    def give_up(self) -> None:
        path = self._airflow.run_path(self._dag, self._run_id)
        self._airflow.request("PATCH", path, {"state": "failed"})
        wait_until(lambda: False, 20)

    def close(self) -> None:
        """Its processes are the scene's, which ends them."""


class ByCommand:
    """`podmap run`, which can be killed, and `podmap resume`."""

    def __init__(self, scene: Scene, spec: str = "local") -> None:
        self.store = scene.stores[spec]
        self._scene, self._spec = scene, spec
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        spec = str(self._scene.specs / f"{self._spec}.yaml")
        self._command("run", spec, "--backend", "kubernetes", "--store", self.store)

    def kill(self) -> None:
        """kill -9 of the command."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def resume(self, run_id: str) -> None:
        """Goes on with it."""
        self._command("resume", run_id, "--store", self.store)

    def state(self) -> str:
        code = None if self._process is None else self._process.poll()
        return "" if code is None else {0: "success"}.get(code, f"exit {code}")

    def give_up(self) -> None:
        self.kill()

    def close(self) -> None:
        self.kill()

    def _command(self, *words: str) -> None:
        with (self._scene.folder / "podmap.out").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "podmap.cli.main", *words, "--json"],
                cwd=self._scene.specs,
                env=self._scene.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


class Run:
    """A run, and who watches it.

    Attributes:
        scene: Where it runs.
        runner: What runs it.
        watcher: Who watches its pods.
    """

    def __init__(self, scene: Scene, runner: Runner, watcher: Watcher) -> None:
        """Starts nothing; what is in the store is of former runs."""
        self.scene, self.runner, self.watcher = scene, runner, watcher
        self._former = set(run_ids(runner.store))

    @property
    def run_id(self) -> str:
        """The run's id in the store; empty before it has one."""
        new = set(run_ids(self.runner.store)) - self._former
        return new.pop()[1] if new else ""

    def ledger(self) -> Ledger:
        """Its ledger.

        Raises:
            UsageError: It has none yet.
        """
        return Ledger.open(find_run(self.runner.store, self.run_id))

    def in_the_middle(self, share: float = 0.2) -> None:
        """Returns once so many of the trials have ended, and others run, or all is over."""
        enough = share * self.scene.size.trials

        def so_far() -> bool:
            watcher = self.watcher
            return (len(watcher.ended) >= enough and watcher.alive > 0) or self.over()

        wait_until(so_far, LONGEST_S)

    def over(self) -> bool:
        """Whether it has ended."""
        return bool(self.runner.state())

    def for_a_time(self, seconds: float) -> None:
        """Returns after so many seconds, or once the run is over."""
        wait_until(self.over, seconds, 1.0)
