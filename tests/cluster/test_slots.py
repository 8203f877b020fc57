"""The hard limit on a real Kubernetes: seen by an observer of its own, not by podmap."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from slot_observer import SlotObserver, summary

from podmap.ledger.ledger import Ledger
from podmap.records import TrialState

from .conftest import Cluster
from .runs import Processes, holder, prepare, wait_until

pytestmark = pytest.mark.cluster

PARALLELISM = 3
TRIALS = 14


@pytest.fixture
def observer(cluster: Cluster, namespace: str) -> Iterator[SlotObserver]:
    observer = SlotObserver(cluster.kubectl_program, cluster.kubeconfig, namespace)
    yield observer
    observer.close()


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


@pytest.fixture
def run(tmp_path: Path, image: str) -> Ledger:
    spec = {
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
    return prepare(spec, tmp_path)


def check(ledger: Ledger, observer: SlotObserver, cluster: Cluster, namespace: str) -> None:
    records = list(ledger.records())
    assert [TrialState.COMPLETE] * TRIALS == [record.state for record in records]
    assert [1] * TRIALS == [len(record.attempts) for record in records]
    assert {str(number): 1 for number in range(TRIALS)} == dict(observer.created)
    assert PARALLELISM == observer.most
    for kind in ("pods", "leases"):
        assert [] == cluster.get(kind, f"--namespace={namespace}")["items"]
    print(summary(observer.gaps_s))


def test_two_processes_keep_one_limit(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    run: Ledger,
    observer: SlotObserver,
    processes: Processes,
) -> None:
    both = [processes.start(run, account.kubeconfig) for _ in range(2)]
    assert [0, 0] == [process.wait(180) for process in both]
    check(run, observer, cluster, namespace)


def test_the_limit_holds_while_the_holder_of_the_lease_is_killed(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    run: Ledger,
    observer: SlotObserver,
    processes: Processes,
) -> None:
    both = (processes.start(run, account.kubeconfig) for _ in range(2))
    by_pid = {process.pid: process for process in both}
    wait_until(lambda: len(observer.ended) >= 3, "three trials to end")
    run_id = run.read_manifest().run_id
    victim = wait_until(lambda: holder(cluster, namespace, run_id), "a holder")
    os.kill(victim, signal.SIGKILL)
    assert -signal.SIGKILL == by_pid.pop(victim).wait(30)
    survivor = next(iter(by_pid.values()))
    assert 0 == survivor.wait(180)
    check(run, observer, cluster, namespace)
