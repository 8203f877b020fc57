"""The doctor on a real Kubernetes: rights taken away, quotas, a restricted namespace, images."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.doctor.cluster import check_cluster
from podmap.doctor.question import Question
from podmap.doctor.verdict import Level, Verdict
from podmap.spec.load import load

from .conftest import Cluster

pytestmark = pytest.mark.cluster


def ask(cluster: Cluster, namespace: str, **more: Any) -> dict[str, Verdict]:
    target = Target("kubernetes", namespace=namespace, kubeconfig=str(cluster.kubeconfig))
    return {each.name: each for each in asyncio.run(check_cluster(Question(target, "/", **more)))}


def levels(found: dict[str, Verdict]) -> dict[str, Level]:
    return {name: each.level for name, each in found.items()}


def spec(image: str, **more: Any) -> Any:
    return load(
        {
            "apiVersion": "podmap/v1",
            "name": "asked",
            "search": {"kind": "grid", "params": {"x": {"low": 0, "high": 9}}},
            "objective": {"metric": "y", "direction": "maximize"},
            "trial": {"image": image, "command": ["true"], **more},
            "parallelism": 3,
        }
    )


def left(cluster: Cluster, namespace: str) -> list[str]:
    found = cluster.get("pods,leases", f"--namespace={namespace}")["items"]
    return [each["metadata"]["name"] for each in found]


def test_the_account_of_the_docs_lacks_nothing(
    cluster: Cluster, account: Cluster, namespace: str, image: str
) -> None:
    found = ask(account, namespace, image=image)
    assert {
        "cluster": Level.OK,
        "cluster clock": Level.OK,
        "rights": Level.OK,
        "pod security": Level.UNSEEN,
        "gates": Level.OK,
        "leases": Level.OK,
        "quota": Level.UNSEEN,
        "nodes": Level.UNSEEN,
        "network policy": Level.UNSEEN,
        "image": Level.OK,
    } == levels(found), found
    assert "11 rights" in found["rights"].found
    assert [] == left(cluster, namespace)


def test_an_administrator_sees_quotas_nodes_and_policies(cluster: Cluster, namespace: str) -> None:
    found = ask(cluster, namespace)
    assert {Level.OK} == set(levels(found).values()), found


def test_each_right_that_is_taken_away_is_found(
    cluster: Cluster, account: Cluster, namespace: str
) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
    ]
    where = ["role", "podmap", f"--namespace={namespace}", "--type=merge"]
    cluster.kubectl("patch", *where, f"--patch={json.dumps({'rules': rules})}")
    found = ask(account, namespace)
    assert {
        "rights: patch pods",
        "rights: delete pods",
        "rights: get pods/log",
        "rights: create leases",
        "rights: update leases",
        "rights: delete leases",
        "leases",
    } == {name for name, level in levels(found).items() if level is Level.HURTS}, found


def test_a_full_quota_is_found_by_whoever_may_read_it_and_by_the_dry_run(
    cluster: Cluster, account: Cluster, namespace: str, image: str
) -> None:
    within = f"--namespace={namespace}"
    cluster.kubectl("create", "quota", "team", "--hard=pods=1,requests.cpu=300m", within)
    cluster.wait_for("resourcequota/team", "jsonpath={.status.hard.pods}=1", within)
    cluster.wait_for("resourcequota/team", "jsonpath={.status.used.pods}=0", within)
    loaded = spec(image, resources={"cpu": 0.1, "memory": "16Mi"})
    quota = ask(cluster, namespace, loaded=loaded)["quota"]
    assert Level.HURTS is quota.level
    assert "room for 1 more of 3 pods at once: quota team: pods 0 of 1 used" == quota.found
    greedy = spec(image, resources={"cpu": 1, "memory": "16Mi"})
    found = ask(account, namespace, loaded=greedy)
    assert (Level.UNSEEN, Level.HURTS) == (found["quota"].level, found["gates"].level), found
    assert "requests.cpu" in found["gates"].found


def test_a_restricted_namespace_is_found_by_its_label_and_by_the_dry_run(
    cluster: Cluster, account: Cluster, namespace: str, image: str
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", namespace, label)
    assert Level.HURTS is ask(cluster, namespace)["pod security"].level
    gates = ask(account, namespace)["gates"]
    assert Level.HURTS is gates.level
    assert "runAsNonRoot: true" in gates.setting
    context = {"runAsNonRoot": True, "runAsUser": 1000}
    loaded = spec(image, pod={"spec": {"securityContext": context}})
    found = ask(cluster, namespace, loaded=loaded, image=image)
    assert {Level.OK} == {found[name].level for name in ("pod security", "gates", "image")}, found


def test_an_image_that_is_not_there_is_found(
    cluster: Cluster, account: Cluster, namespace: str
) -> None:
    found = ask(account, namespace, image="localhost/podmap-none:1", image_within_s=60.0)
    assert Level.HURTS is found["image"].level, found
    assert "localhost/podmap-none:1" in found["image"].found
    assert [] == left(cluster, namespace)
