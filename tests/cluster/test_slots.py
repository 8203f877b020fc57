"""The hard limit on a real Kubernetes: seen by an observer of its own, not by podmap."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.backends.kubernetes.manifest import SLOT_GATE
from podmap.engine.prepare import prepare_run
from podmap.ledger.ledger import Ledger
from podmap.names import new_run_id
from podmap.records import TrialState
from podmap.spec.load import load

from .conftest import Cluster

pytestmark = pytest.mark.cluster

EPOCH = "e1"
PARALLELISM = 3
TRIALS = 14
PROGRAM = Path(__file__).parent / "run_trials.py"


class Observer:
    """Counts pods that are let go and have not ended, from a watch of its own."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.most = 0
        self.created: Counter[str] = Counter()
        self.ended: set[str] = set()
        self._open: set[str] = set()
        self._uids: set[str] = set()
        self._watch = subprocess.Popen(
            [
                cluster.kubectl_program,
                f"--kubeconfig={cluster.kubeconfig}",
                "get",
                f"--raw=/api/v1/namespaces/{namespace}/pods?watch=1",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        assert self._watch.stdout is not None
        for line in self._watch.stdout:
            event = json.loads(line)
            self._take(event["type"], event["object"])

    def _take(self, kind: str, pod: dict[str, Any]) -> None:
        uid, trial = pod["metadata"]["uid"], pod["metadata"]["labels"]["podmap.io/trial"]
        if uid not in self._uids:
            self._uids.add(uid)
            self.created[trial] += 1
        gates = {gate["name"] for gate in pod["spec"].get("schedulingGates") or ()}
        # The kubelet tells that containers have ended before it gives the pod its last phase.
        containers = pod["status"].get("containerStatuses") or ()
        stopped = bool(containers) and all("terminated" in one["state"] for one in containers)
        over = kind == "DELETED" or stopped or pod["status"].get("phase") in ("Succeeded", "Failed")
        if over:
            self.ended.add(trial)
            self._open.discard(uid)
        elif SLOT_GATE not in gates:
            self._open.add(uid)
        self.most = max(self.most, len(self._open))

    def close(self) -> None:
        self._watch.terminate()
        self._thread.join()
        self._watch.communicate()


@pytest.fixture
def observer(cluster: Cluster, namespace: str) -> Iterator[Observer]:
    observer = Observer(cluster, namespace)
    yield observer
    observer.close()


@pytest.fixture
def run(tmp_path: Path, image: str) -> Ledger:
    loaded = load(
        {
            "apiVersion": "podmap/v1",
            "name": "slots",
            "search": {"kind": "grid", "params": {"n": {"low": 1, "high": TRIALS}}},
            "objective": {"metric": "n", "direction": "maximize"},
            "trial": {
                "image": image,
                "command": ["sh", "-c", 'sleep 1; echo "$1" > "$PODMAP_RESULT"', "trial"],
                "args": ['{"n": {params.n}}'],
            },
            "parallelism": PARALLELISM,
        }
    )
    ledger, _ = prepare_run(
        loaded,
        store=str(tmp_path / "store"),
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": EPOCH},
        folder=str(tmp_path),
        target=Target("kubernetes"),
    )
    return ledger


def start(ledger: Ledger, account: Cluster) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), ledger.run_uri, str(account.kubeconfig), EPOCH]
    )


def holder(cluster: Cluster, namespace: str, ledger: Ledger) -> int:
    """The process that holds the run's lease; 0 if nobody does."""
    name = f"podmap-{ledger.read_manifest().run_id}"
    done = cluster.try_kubectl("get", f"lease/{name}", f"--namespace={namespace}", "--output=json")
    if done.returncode:
        return 0
    identity = json.loads(done.stdout)["spec"].get("holderIdentity") or ""
    found = re.search(r"-(\d+)-[0-9a-f]+$", identity)
    return int(found[1]) if found else 0


def wait_until(ready: Any, what: str, timeout_s: float = 90) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := ready():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def check(ledger: Ledger, observer: Observer) -> None:
    records = list(ledger.records())
    assert [TrialState.COMPLETE] * TRIALS == [record.state for record in records]
    assert [1] * TRIALS == [len(record.attempts) for record in records]
    assert {str(number): 1 for number in range(TRIALS)} == dict(observer.created)
    assert PARALLELISM == observer.most


def test_two_processes_keep_one_limit(account: Cluster, run: Ledger, observer: Observer) -> None:
    processes = [start(run, account) for _ in range(2)]
    assert [0, 0] == [process.wait(180) for process in processes]
    check(run, observer)


def test_the_limit_holds_while_the_holder_of_the_lease_is_killed(
    cluster: Cluster, account: Cluster, namespace: str, run: Ledger, observer: Observer
) -> None:
    processes = {process.pid: process for process in (start(run, account), start(run, account))}
    wait_until(lambda: len(observer.ended) >= 3, "three trials to end")
    victim = wait_until(lambda: holder(cluster, namespace, run), "a holder")
    os.kill(victim, signal.SIGKILL)
    assert -signal.SIGKILL == processes.pop(victim).wait(30)
    survivor = next(iter(processes.values()))
    assert 0 == survivor.wait(180)
    check(run, observer)


def test_the_lease_and_the_pods_are_gone_afterwards(
    cluster: Cluster, account: Cluster, namespace: str, run: Ledger
) -> None:
    assert 0 == start(run, account).wait(180)
    within = f"--namespace={namespace}"
    assert [] == cluster.get("pods", within)["items"]
    assert [] == cluster.get("leases", within)["items"]
