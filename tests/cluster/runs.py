"""Runs on a real cluster: made, run by processes that can be killed, and what their pods leave."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from podmap.backends.connect import Target
from podmap.engine.planned import prepare_run
from podmap.ledger.ledger import Ledger
from podmap.names import new_run_id
from podmap.spec.load import load

from .conftest import Cluster

PROGRAM = Path(__file__).parent / "run_trials.py"
PATIENCE_S = 90
EPOCH = "e1"

T = TypeVar("T")


@dataclass(frozen=True)
class Marks:
    """A folder of this machine that the pods write to: each start and end leaves a line.

    A trial's script is run with `mark WORD`, which appends a line, and `hold`, which waits until
    `release` is called.
    """

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Marks:
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "lines").touch()
        (folder / "lines").chmod(0o666)
        return cls(folder)

    def spec(self, image: str, script: str, **more: Any) -> dict[str, Any]:
        """A spec whose trials run a script; n is the trial's param, from 1."""
        trials = more.pop("trials", 1)
        trial = more.pop("trial", {})
        pod = trial.pop("pod", {"spec": {}})
        pod["spec"] = {
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "marks", "hostPath": {"path": str(self.folder)}}],
            "containers": [
                {"name": "trial", "volumeMounts": [{"name": "marks", "mountPath": "/marks"}]}
            ],
            **pod["spec"],
        }
        tools = (
            'mark() { echo "$1 $PODMAP_TRIAL $PODMAP_ATTEMPT" >>/marks/lines; }; '
            "hold() { until [ -e /marks/go ]; do sleep 0.05; done; }; "
            'result() { echo "{\\"n\\": $n}" >"$PODMAP_RESULT"; }; n=$1; '
        )
        return {
            "apiVersion": "podmap/v1",
            "name": "marked",
            "search": {"kind": "grid", "params": {"n": {"low": 1, "high": trials}}},
            "objective": {"metric": "n", "direction": "maximize"},
            "trial": {
                "image": image,
                "command": ["sh", "-c", tools + script, "trial"],
                "args": ["{params.n}"],
                "pod": pod,
                **trial,
            },
            **more,
        }

    def release(self) -> None:
        (self.folder / "go").touch()

    def of(self, word: str) -> list[tuple[int, int]]:
        """Trial and attempt of each time a word was marked, in order."""
        lines = [line.split() for line in (self.folder / "lines").read_text().splitlines()]
        return [(int(trial), int(attempt)) for said, trial, attempt in lines if said == word]


def prepare(spec: dict[str, Any], folder: Path) -> Ledger:
    """A new run of a spec, below a folder."""
    planned = prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": EPOCH},
        folder=str(folder),
        target=Target("kubernetes"),
    )
    return planned.ledger


class Processes:
    """Processes that run all trials of a run; those that are left are killed at the end."""

    def __init__(self) -> None:
        self._all: list[subprocess.Popen[bytes]] = []

    def start(
        self, ledger: Ledger, kubeconfig: Path, epoch: str = EPOCH
    ) -> subprocess.Popen[bytes]:
        """Starts one."""
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), ledger.run_uri, str(kubeconfig), epoch]
        )
        self._all.append(process)
        return process

    def kill(self) -> None:
        """kill -9 of all that have not ended."""
        for process in self._all:
            process.kill()
            process.wait()


def wait_until(ready: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """What a function returns, once that is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := ready():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def holder(cluster: Cluster, namespace: str, run_id: str) -> int:
    """The process that holds a run's lease; 0 if nobody does."""
    within = f"--namespace={namespace}"
    done = cluster.try_kubectl("get", f"lease/podmap-{run_id}", within, "--output=json")
    if done.returncode:
        return 0
    identity = json.loads(done.stdout)["spec"].get("holderIdentity") or ""
    found = re.search(r"-(\d+)-[0-9a-f]+$", identity)
    return int(found[1]) if found else 0


def free_lease(cluster: Cluster, namespace: str, ledger: Ledger) -> None:
    """Has nobody wait for the lease of a process that was killed to expire."""
    name = f"lease/podmap-{ledger.read_manifest().run_id}"
    cluster.kubectl("delete", name, "--ignore-not-found", f"--namespace={namespace}")
