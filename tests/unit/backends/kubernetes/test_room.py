"""How many more pods fit into quotas and on nodes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from podmap.backends.kubernetes.room import Room, amount, demand, node_room, quota_room


def pod(limits: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    resources = {"limits": limits} if limits else {}
    return {"spec": {"containers": [{"name": "trial", "resources": resources}], **spec}}


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    status = {"hard": hard, "used": used or {}}
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": status}


def node(name: str, allocatable: dict[str, str], **spec: Any) -> dict[str, Any]:
    labels = spec.pop("labels", {})
    ready = spec.pop("ready", "True")
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "allocatable": {"pods": "110", **allocatable},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", "0.25"), ("16Gi", str(16 * 2**30)), ("1e3", "1000"), (4, "4"), ("1.5", "1.5")],
)
def test_a_quantity_is_a_number(text: Any, number: str) -> None:
    assert Decimal(number) == amount(text)


@pytest.mark.parametrize("text", ["", "Gi", "1X", None, "1.2.3"])
def test_what_is_no_quantity_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        amount(text)


def test_a_pod_asks_for_its_containers_or_its_largest_first_one() -> None:
    first = {"name": "first", "resources": {"requests": {"cpu": "3", "memory": "1Gi"}}}
    asked = demand(pod({"cpu": "2", "memory": "4Gi"}, initContainers=[first]))
    assert (Decimal(3), Decimal(4 * 2**30)) == (asked["requests.cpu"], asked["requests.memory"])
    assert (Decimal(2), Decimal(1)) == (asked["limits.cpu"], asked["pods"])


@pytest.mark.parametrize(
    ("quotas", "room"),
    [
        ([], Room(None)),
        ([quota({"pods": "10"}, {"pods": "7"})], Room(3, "quota team: pods 7 of 10 used")),
        (
            [quota({"pods": "10", "requests.cpu": "5"}, {"requests.cpu": "500m"})],
            Room(2, "quota team: requests.cpu 500m of 5 used"),
        ),
        ([quota({"cpu": "1"})], Room(0, "quota team: cpu 0 of 1 used")),
        ([quota({"limits.nvidia.com/gpu": "1"})], Room(None)),
        (
            [quota({"count/pods": "1"}, {"pods": "0"})],
            Room(1, "quota team: count/pods 0 of 1 used"),
        ),
        ([quota({"pods": "0"}, scopes=["Terminating"])], Room(None)),
        (
            [quota({"pods": "0"}, scopes=["NotTerminating"])],
            Room(0, "quota team: pods 0 of 0 used"),
        ),
        ([quota({"pods": "0"}, scopes=["BestEffort"])], Room(None)),
        (
            [
                quota(
                    {"pods": "0"},
                    scopeSelector={
                        "matchExpressions": [
                            {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}
                        ]
                    },
                )
            ],
            Room(None),
        ),
    ],
    ids=["none", "pods", "cpu", "short", "other", "count", "ends", "lasts", "best", "priority"],
)
def test_quotas_have_room_for_so_many(quotas: list[dict[str, Any]], room: Room) -> None:
    assert room == quota_room(quotas, pod({"cpu": "2"}))


def test_nodes_have_room_beside_what_runs_there() -> None:
    nodes = [node("a", {"cpu": "4"}), node("b", {"cpu": "8"})]
    running = {**pod({"cpu": "3"}, nodeName="a"), "status": {"phase": "Running"}}
    over = {**pod({"cpu": "8"}, nodeName="b"), "status": {"phase": "Succeeded"}}
    assert Room(4, "cpu of 2 nodes") == node_room(nodes, [running, over], pod({"cpu": "2"}))


@pytest.mark.parametrize(
    ("kept", "room"),
    [
        ({"unschedulable": True}, 0),
        ({"ready": "Unknown"}, 0),
        ({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}, 0),
        ({"taints": [{"key": "gpu", "effect": "PreferNoSchedule"}]}, 2),
        ({"taints": [{"key": "spot", "effect": "NoSchedule"}]}, 2),
        ({"labels": {"pool": "cpu"}}, 0),
    ],
    ids=["cordoned", "unknown", "tainted", "soft", "tolerated", "other-pool"],
)
def test_a_node_that_takes_no_such_pod_counts_for_nothing(kept: Any, room: int) -> None:
    wanted = pod(
        {"cpu": "2"},
        nodeSelector={"pool": "gpu"},
        tolerations=[{"key": "spot", "operator": "Exists"}],
    )
    given = node("a", {"cpu": "4"}, **{"labels": {"pool": "gpu"}, **kept})
    assert room == node_room([given], [], wanted).pods


def test_a_pod_that_asks_for_nothing_counts_by_number() -> None:
    assert 110 == node_room([node("a", {"cpu": "4"})], [], pod()).pods
