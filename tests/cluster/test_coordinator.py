"""What holds for a whole run, however many processes are at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap.records import Category, TrialState

from .conftest import Cluster
from .runs import Processes, prepare

pytestmark = pytest.mark.cluster

COMPLETE, FAILED, CANCELLED = TrialState.COMPLETE, TrialState.FAILED, TrialState.CANCELLED


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


def spec(trials: int, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "wide",
        "search": {"kind": "grid", "params": {"n": {"low": 1, "high": trials}}},
        "objective": {"metric": "n", "direction": "maximize"},
        **more,
    }


def test_an_image_that_cannot_be_pulled_fails_a_run_of_two_processes_once(
    cluster: Cluster, account: Cluster, namespace: str, tmp_path: Path, processes: Processes
) -> None:
    overlay = {"spec": {"containers": [{"name": "trial", "imagePullPolicy": "Never"}]}}
    trial = {"image": "localhost:1/no/such:1", "command": ["true"], "pod": overlay}
    ledger = prepare(spec(30, trial=trial, parallelism=6), tmp_path)
    both = [processes.start(ledger, account.kubeconfig) for _ in range(2)]
    assert [0, 0] == [process.wait(180) for process in both]
    records = list(ledger.records())
    assert {FAILED: 1, CANCELLED: 29} == Counter(record.state for record in records)
    failed = next(record for record in records if record.state is FAILED)
    assert failed.attempts[-1].diagnosis is not None
    assert Category.IMAGE_PULL is failed.attempts[-1].diagnosis.category
    why = f"trial {failed.number} cannot run"
    assert all(record.reason.startswith(why) for record in records if record is not failed)
    left = cluster.get("pods", f"--namespace={namespace}")["items"]
    assert [] == [pod for pod in left if "deletionTimestamp" not in pod["metadata"]]
    assert [] == cluster.get("leases", f"--namespace={namespace}")["items"]


def test_two_processes_count_their_failures_together(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    image: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    trial = {"image": image, "command": ["sh", "-c", "exit 1"]}
    ledger = prepare(spec(30, trial=trial, parallelism=2, failures={"allow": 4}), tmp_path)
    both = [processes.start(ledger, account.kubeconfig) for _ in range(2)]
    assert [0, 0] == [process.wait(180) for process in both]
    counts = Counter(record.state for record in ledger.records())
    # Of those that were under way at the fifth failure some have failed, too.
    assert 5 <= counts[FAILED] <= 12
    assert 30 == counts[FAILED] + counts[CANCELLED]
