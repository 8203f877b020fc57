"""`podmap run --backend kubernetes` as a user types it, against a real Kubernetes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from podmap.ledger.ledger import Ledger

from .conftest import Cluster
from .runs import wait_until

pytestmark = pytest.mark.cluster


def spec(image: str, script: str, **more: Any) -> str:
    """Two trials of a script, whose first argument is 1 or 2."""
    trial = {
        "image": image,
        "command": ["sh", "-c", script, "trial"],
        "args": ["{params.n}"],
        "pod": {"spec": {"terminationGracePeriodSeconds": 1}},
        **more.pop("trial", {}),
    }
    return json.dumps(
        {
            "apiVersion": "podmap/v1",
            "name": "typed",
            "search": {"kind": "grid", "params": {"n": {"low": 1, "high": 2}}},
            "objective": {"metric": "y", "direction": "maximize"},
            "trial": trial,
            "parallelism": 2,
            **more,
        }
    )


def run(cli: Any, account: Cluster, text: str, *more: str) -> Any:
    kubeconfig = ("--kubeconfig", str(account.kubeconfig))
    return cli("run", cli.spec(text), "--backend", "kubernetes", *kubeconfig, *more)


def attempts(run_uri: str) -> dict[int, list[str]]:
    """Of each trial, how each of its attempts ended."""
    return {
        record.number: [a.diagnosis.category.value if a.diagnosis else "" for a in record.attempts]
        for record in Ledger.open(run_uri).records()
    }


SHORT = {"trial": {"timeout": "1s"}}
USERS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "user_exit": ('[ "$1" = 1 ] && exit 3', {}, ["user_exit"] * 2),
    "user_timeout": ('[ "$1" = 1 ] && sleep 1000', SHORT, ["user_timeout"] * 2),
    "no_result": ('[ "$1" = 1 ] && exit 0', {}, ["no_result"] * 2),
    "bad_result": ('[ "$1" = 1 ] && echo {} >"$PODMAP_RESULT" && exit 0', {}, ["bad_result"] * 2),
}  # fmt: skip


@pytest.mark.parametrize(("script", "more", "expected"), USERS.values(), ids=USERS)
def test_a_users_failure_spends_the_users_retries(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    cli: Any,
    image: str,
    script: str,
    more: dict[str, Any],
    expected: list[str],
) -> None:
    whole = f'{script}; echo "{{\\"y\\": $1}}" >"$PODMAP_RESULT"'
    text = spec(image, whole, retries={"user": 1, "infra": 0}, **more)
    ran = run(cli, account, text, "--json")
    assert (1, {"COMPLETE": 1, "FAILED": 1}) == (ran.code, ran.json["counts"]), ran.err
    assert {0: expected, 1: [""]} == attempts(ran.json["run_uri"])
    assert [] == cluster.get("pods", f"--namespace={namespace}")["items"]


def test_an_eviction_spends_the_infrastructures_retries(
    cluster: Cluster, account: Cluster, namespace: str, cli: Any, image: str
) -> None:
    script = (
        'trap "exit 143" TERM; [ "$1$PODMAP_ATTEMPT" = 11 ] && { sleep 1000 & wait; }; '
        'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
    )
    pods = f"/api/v1/namespaces/{namespace}/pods"

    def evict() -> None:
        def victims() -> list[str]:
            items = cluster.get("pods", f"--namespace={namespace}")["items"]
            return [
                item["metadata"]["name"]
                for item in items
                if item["metadata"]["labels"]["podmap.io/trial"] == "0"
                and item["status"].get("phase") == "Running"
            ]

        (name,) = wait_until(victims, "the trial to run")
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        words = ("create", f"--raw={pods}/{name}/eviction", "--filename=-")
        cluster.kubectl(*words, text=json.dumps(eviction))

    with ThreadPoolExecutor(1) as pool:
        evicting = pool.submit(evict)
        text = spec(image, script, retries={"user": 0, "infra": 1})
        ran = run(cli, account, text, "--json")
        evicting.result()
    assert (0, {"COMPLETE": 2}) == (ran.code, ran.json["counts"]), ran.err
    assert {0: ["evicted", ""], 1: [""]} == attempts(ran.json["run_uri"])
    assert [] == cluster.get("pods", f"--namespace={namespace}")["items"]


def test_an_image_that_cannot_be_pulled_stops_the_run_once(
    cluster: Cluster, account: Cluster, namespace: str, cli: Any
) -> None:
    text = spec(
        "Not/An:Image:1", "true", search={"kind": "grid", "params": {"n": {"low": 1, "high": 40}}}
    )
    ran = run(cli, account, text, "--json")
    assert 1 == ran.code
    states = ran.json["counts"]
    assert 40 == states["CANCELLED"] + states["FAILED"]
    assert states["FAILED"] <= 3  # the slots, and one that stood ready
    # They are being deleted; the node has only to say so.
    pods = ("get", "pods", "--output=name", f"--namespace={namespace}")
    wait_until(lambda: not cluster.kubectl(*pods), "the pods to go")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "field": ({"trial": {"pod": {"spec": {"nodeselector": {"a": "b"}}}}}, "spec.nodeselector"),
    "service account": (
        {"kubernetes": {"service_account": "nobody"}},
        "there is no service account nobody",
    ),
    "priority": ({"kubernetes": {"priority_class": "no"}}, "there is no PriorityClass no"),
}  # fmt: skip


@pytest.mark.parametrize(("more", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_pod_that_is_refused_is_told_once_before_anything_runs(
    account: Cluster, cli: Any, image: str, more: dict[str, Any], expected: str
) -> None:
    ran = run(cli, account, spec(image, "true", **more))
    assert (2, "") == (ran.code, ran.out), ran.err
    assert 1 == len(ran.err.strip().splitlines())
    assert expected in ran.err
    assert [] == list(Path(cli.store).glob("*/*"))


def test_a_hopeless_pod_gets_sigterm_and_its_last_report_counts(
    cluster: Cluster, account: Cluster, namespace: str, cli: Any, image: str
) -> None:
    script = """say() { echo "podmap: {\\"step\\": $1, \\"y\\": $2}"; }
        if [ "$1" = 2 ]; then echo '{"y": 2}' >"$PODMAP_RESULT"; exit; fi
        trap 'say 2 0.25; exit 0' TERM; say 1 -1; while :; do sleep 0.1; done"""
    text = spec(image, script, prune={"kind": "threshold", "lower": 0})
    ran = run(cli, account, text, "--json")
    assert (0, {"COMPLETE": 1, "PRUNED": 1}) == (ran.code, ran.json["counts"]), ran.err
    record = Ledger.open(ran.json["run_uri"]).read_record(0)
    assert record is not None
    assert (0.25, ((1, {"y": -1}), (2, {"y": 0.25}))) == (record.objective, record.reports)
    assert record.reason.startswith("threshold: at step 1 its y was -1, below 0")
    assert [] == cluster.get("pods", f"--namespace={namespace}")["items"]
