"""Containers that are really killed for memory, and what becomes of their trials."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap.ledger.ledger import Ledger
from podmap.records import Category, TrialState

from .conftest import Cluster
from .runs import Processes, prepare

pytestmark = pytest.mark.cluster

MI = 2**20
NEEDS = 90 * MI
EAT = """\
import json, os, sys
size = int(sys.argv[1])
eaten = bytearray(size)
eaten[::4096] = b"x" * len(eaten[::4096])
with open(os.environ["PODMAP_RESULT"], "w") as file:
    json.dump({"n": 1}, file)
"""


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


def spec(image: str, needs: list[int], **more: Any) -> dict[str, Any]:
    """Trials that come to use so many bytes; their pods stay, to be looked at."""
    return {
        "apiVersion": "podmap/v1",
        "name": "hungry",
        "search": {"kind": "list", "items": [{"bytes": size} for size in needs]},
        "objective": {"metric": "n", "direction": "maximize"},
        "trial": {
            "image": image,
            "command": ["python3", "-c", EAT],
            "args": ["{params.bytes}"],
            "resources": {"memory": "64Mi"},
        },
        "retries": {"oom": {"times": 2, "factor": 2, "limit": "200Mi"}},
        "kubernetes": {"keep_pods": "all"},
        **more,
    }


def limits(cluster: Cluster, namespace: str) -> dict[int, list[str]]:
    """The memory limits of each trial's pods, in the order of its attempts."""
    found: dict[int, list[str]] = defaultdict(list)
    pods = cluster.get("pods", f"--namespace={namespace}")["items"]
    for pod in sorted(pods, key=lambda pod: int(pod["metadata"]["labels"]["podmap.io/attempt"])):
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources["limits"]["memory"] == resources["requests"]["memory"]
        number = int(pod["metadata"]["labels"]["podmap.io/trial"])
        found[number].append(resources["limits"]["memory"])
    return dict(found)


def diagnoses(ledger: Ledger, number: int) -> list[tuple[Category | None, int | None]]:
    record = ledger.read_record(number)
    assert record is not None
    return [
        (attempt.diagnosis.category if attempt.diagnosis else None, attempt.memory_bytes)
        for attempt in record.attempts
    ]


def test_a_trial_killed_for_memory_is_rescued_and_the_next_begin_at_the_learnt_size(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    image: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    # Trial 1 stands ready at the gate, and is let go as trial 0 is killed: nothing is learnt yet.
    ledger = prepare(spec(image, [NEEDS] * 4, parallelism=1), tmp_path)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(180)
    assert [TrialState.COMPLETE] * 4 == [record.state for record in ledger.records()]
    rescued = [(Category.OOM, 64 * MI), (None, 128 * MI)]
    assert rescued == diagnoses(ledger, 0)
    assert [[(None, 128 * MI)]] * 2 == [diagnoses(ledger, number) for number in (2, 3)]
    found = limits(cluster, namespace)
    assert ["64Mi", "128Mi"] == found[0]
    assert [["128Mi"], ["128Mi"]] == [found[2], found[3]]
    assert {64 * MI: 128 * MI} == ledger.read_state().decided.memory


def test_what_one_process_has_learnt_holds_for_another(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    image: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    ledger = prepare(spec(image, [NEEDS] * 2, parallelism=2), tmp_path)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(180)
    ledger.delete_record(1)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(180)
    assert ["64Mi", "128Mi"] == limits(cluster, namespace)[0]
    assert (None, 128 * MI) == diagnoses(ledger, 1)[-1]
    assert "128Mi" == limits(cluster, namespace)[1][-1]


def test_the_overlays_memory_is_climbed_from_up_to_the_limit(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    image: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    resources = {"limits": {"memory": "100Mi"}, "requests": {"memory": "100Mi"}}
    wanted = spec(image, [400 * MI])
    wanted["trial"]["pod"] = {"spec": {"containers": [{"name": "trial", "resources": resources}]}}
    ledger = prepare(wanted, tmp_path)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(180)
    assert ["100Mi", "200Mi"] == limits(cluster, namespace)[0]
    record = ledger.read_record(0)
    assert record is not None
    assert TrialState.FAILED is record.state
    assert "retries.oom.limit is 200Mi, so there is no more memory for it" in record.reason


def test_a_default_limit_of_the_namespace_is_climbed_from(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    image: str,
    tmp_path: Path,
    processes: Processes,
) -> None:
    default = {"type": "Container", "default": {"memory": "64Mi"}}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "default", "namespace": namespace},
            "spec": {"limits": [default]},
        }
    )
    wanted = spec(image, [NEEDS])
    del wanted["trial"]["resources"]
    ledger = prepare(wanted, tmp_path)
    assert 0 == processes.start(ledger, account.kubeconfig).wait(180)
    assert ["64Mi", "128Mi"] == limits(cluster, namespace)[0], json.dumps(diagnoses(ledger, 0))
