"""Nodes that are lost, closed or too small, and quotas, as whole runs meet them.

The node that is lost is an own one, which takes only the pods of these tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.diagnosis import observe
from podmap.ledger.ledger import Ledger
from podmap.records import Category, Record, TrialState

from .api import real_node
from .conftest import Cluster, script
from .runs import Marks, Processes, prepare, wait_until

pytestmark = pytest.mark.cluster

SPARE = "test.podmap.io/spare"
CLOSED = "test.podmap.io/closed"
TO_SPARE = {"key": SPARE, "operator": "Exists", "effect": "NoSchedule"}
SOON = {
    "key": "node.kubernetes.io/unreachable",
    "operator": "Exists",
    "effect": "NoExecute",
    "tolerationSeconds": 0,
}
HIGHEST = 9


@dataclass(frozen=True)
class Node:
    number: int
    name: str


@pytest.fixture(scope="module")
def spare(cluster: Cluster) -> Iterator[Node]:
    """A node of our own: no other pod lands there, since it is tainted before it is there."""
    if not cluster.is_local:
        pytest.skip("only dev/cluster's nodes are ours to break")
    family = real_node(cluster).rpartition("-")[0]
    taken = {node["metadata"]["name"] for node in cluster.get("nodes")["items"]}
    number = next(n for n in range(HIGHEST, 1, -1) if f"{family}-{n}" not in taken)
    node = Node(number, f"{family}-{number}")
    taint = {"key": SPARE, "effect": "NoSchedule"}
    cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": {SPARE: "yes"}},
            "spec": {"taints": [taint]},
        }
    )
    try:
        begin(cluster, node)
        yield node
    finally:
        script("node", "remove", str(number))
    cluster.kubectl("delete", "node", node.name, "--ignore-not-found")


def begin(cluster: Cluster, node: Node) -> None:
    """Starts the node's kubelet, and returns once nobody takes it for unreachable any more."""
    script("node", "start", str(node.number))
    wait_until(
        lambda: [SPARE] == [t["key"] for t in cluster.get("node", node.name)["spec"]["taints"]],
        "the node to be reachable",
    )


@pytest.fixture
def marks(cluster: Cluster, tmp_path: Path) -> Marks:
    if not cluster.is_local:
        pytest.skip("only the pods of dev/cluster write to this machine's files")
    return Marks.make(tmp_path / "marks")


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.kill()


def waits(cluster: Cluster, namespace: str, reason: str) -> Callable[[], bool]:
    """Whether the scheduler says so of the only pod."""

    def told() -> bool:
        items = cluster.get("pods", f"--namespace={namespace}")["items"]
        conditions = [each for item in items for each in item["status"].get("conditions", ())]
        return any(reason in each.get("message", "") for each in conditions)

    return told


def only_record(ledger: Ledger) -> Record:
    [record] = ledger.records()
    return record


def test_a_trial_of_a_lost_node_is_run_again_elsewhere(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    cli: Any,
    spare: Node,
    marks: Marks,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What Kubernetes takes to give the node up is real; what podmap adds is a minute else.
    monkeypatch.setattr(observe, "LOST_AFTER_S", 3)
    monkeypatch.setenv("KUBECONFIG", str(account.kubeconfig))
    prefers = {"preference": {"matchExpressions": [{"key": SPARE, "operator": "Exists"}]}}
    affinity = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, **prefers}]}
    both = [TO_SPARE, SOON]
    spec = marks.spec(
        image,
        # The one on the lost node would go on for ever.
        'mark start; [ "$PODMAP_ATTEMPT" = 1 ] && while :; do sleep 0.1; done; result; mark end',
        trial={"pod": {"spec": {"affinity": {"nodeAffinity": affinity}, "tolerations": both}}},
        retries={"user": 0, "infra": 1},
        store=str(cli.store),
    )
    path = cli.spec(json.dumps(spec))

    def lose() -> None:
        wait_until(lambda: marks.of("start"), "the trial to run")
        (pod,) = cluster.get("pods", f"--namespace={namespace}")["items"]
        assert spare.name == pod["spec"]["nodeName"]
        script("node", "lose", str(spare.number))

    with ThreadPoolExecutor(1) as pool:
        losing = pool.submit(lose)
        ran = cli("run", path, "--backend", "kubernetes", "--json")
        losing.result()
    assert (0, {"COMPLETE": 1}) == (ran.code, ran.json["counts"]), ran.err
    record = only_record(Ledger.open(ran.json["run_uri"]))
    lost, done = record.attempts
    assert lost.diagnosis is not None
    assert (Category.NODE_LOST, spare.name) == (lost.diagnosis.category, lost.node)
    assert spare.name in lost.diagnosis.summary
    assert (TrialState.COMPLETE, None) == (record.state, done.diagnosis)
    assert spare.name != done.node
    assert [(0, 1), (0, 2)] == marks.of("start")
    assert [(0, 2)] == marks.of("end")


def test_a_taint_is_waited_out(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    spare_again: Node,
    marks: Marks,
    processes: Processes,
    image: str,
) -> None:
    cluster.kubectl("taint", "node", spare_again.name, f"{CLOSED}=yes:NoSchedule")
    pinned = {"nodeSelector": {SPARE: "yes"}, "tolerations": [TO_SPARE]}
    ledger = prepare(marks.spec(image, "result", trial={"pod": {"spec": pinned}}), marks.folder)
    process = processes.start(ledger, account.kubeconfig)
    wait_until(waits(cluster, namespace, "untolerated taint"), "the scheduler to say no")
    assert (TrialState.RUNNING, ()) == (only_record(ledger).state, only_record(ledger).attempts)
    cluster.kubectl("taint", "node", spare_again.name, f"{CLOSED}-")
    assert 0 == process.wait(90)
    record = only_record(ledger)
    assert (TrialState.COMPLETE, 1) == (record.state, len(record.attempts))
    assert spare_again.name == record.attempts[0].node


@pytest.fixture
def spare_again(cluster: Cluster, spare: Node) -> Node:
    """The node, with a kubelet, also after it was lost."""
    begin(cluster, spare)
    return spare


def test_what_no_node_has_room_for_waits_and_is_told_and_can_be_stopped(
    cluster: Cluster, account: Cluster, namespace: str, cli: Any, marks: Marks, image: str
) -> None:
    spec = marks.spec(image, "result", trial={"resources": {"memory": "1Pi"}})
    process = cli.start(
        "run", cli.spec(json.dumps(spec)), "--backend", "kubernetes",
        "--kubeconfig", str(account.kubeconfig),
    )  # fmt: skip
    assert process.stderr is not None
    err: list[str] = []
    told = threading.Event()

    def read() -> None:
        for line in process.stderr:
            err.append(line)
            if "Insufficient memory" in line:
                told.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert told.wait(90), err
    assert {"RUNNING"} == {record["state"] for record in cli.records().values()}
    process.terminate()
    assert 143 == process.wait(90), err
    reader.join()
    assert {"WAITING"} == {record["state"] for record in cli.records().values()}
    assert [] == cluster.get("pods", f"--namespace={namespace}")["items"]


def test_a_quota_is_waited_for_and_the_run_goes_on_when_it_is_raised(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    marks: Marks,
    processes: Processes,
    image: str,
) -> None:
    within = f"--namespace={namespace}"
    cluster.kubectl("create", "quota", "few", "--hard=pods=1", within)
    cluster.wait_for("quota/few", "jsonpath={.status.hard.pods}=1", within)
    spec = marks.spec(image, "mark start; hold; result", trials=3, parallelism=3)
    ledger = prepare(spec, marks.folder)
    process = processes.start(ledger, account.kubeconfig)
    wait_until(lambda: marks.of("start"), "the first trial")
    assert 1 == len(cluster.get("pods", within)["items"])
    raised = '--patch={"spec": {"hard": {"pods": "3"}}}'
    cluster.kubectl("patch", "quota/few", "--type=merge", raised, within)
    wait_until(lambda: len(marks.of("start")) == 3, "all trials to run at once")
    marks.release()
    assert 0 == process.wait(90)
    records = list(ledger.records())
    assert [(TrialState.COMPLETE, 1)] * 3 == [(r.state, len(r.attempts)) for r in records]
    assert [] == cluster.get("pods", within)["items"]
