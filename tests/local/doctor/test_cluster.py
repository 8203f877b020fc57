"""Each check of a cluster fires on a fake one that has the fault, and says what to change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.backends.kubernetes.pauses import Pauses
from podmap.doctor.cluster import check_cluster
from podmap.doctor.question import Question
from podmap.doctor.verdict import Level, Verdict
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script

QUICK = Pauses(unmet_s=0.2, request_pauses_s=(0.01, 0.05))
NS = "/api/v1/namespaces/ml"
SPEC = {
    "apiVersion": "podmap/v1",
    "name": "asked",
    "search": {"kind": "grid", "params": {"x": {"low": 0, "high": 9}}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"image": "fake", "command": ["train"], "resources": {"cpu": 2, "memory": "1Gi"}},
    "parallelism": 4,
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kubeconfig(cluster: FakeCluster, tmp_path: Path) -> Path:
    return cluster.kubeconfig(tmp_path / "config", namespace="ml")


def ask(kubeconfig: Path, spec: Any = None, **more: Any) -> list[Verdict]:
    options = {"pauses": QUICK}
    target = Target("kubernetes", kubeconfig=str(kubeconfig), options=options)
    loaded = load(spec) if spec else None
    return asyncio.run(check_cluster(Question(target, "/nowhere", loaded=loaded, **more)))


def levels(found: list[Verdict]) -> dict[str, Level]:
    return {each.name: each.level for each in found}


def fired(found: list[Verdict], name: str, level: Level = Level.HURTS) -> Verdict:
    """The verdict of a check that has fired, alone; it says all that it should."""
    (one,) = (each for each in found if each.level is not Level.OK)
    assert (name, level) == (one.name, one.level)
    if level is not Level.UNSEEN:
        assert one.found
        assert one.why
        assert one.setting
    return one


def test_a_cluster_that_lacks_nothing(cluster: FakeCluster, kubeconfig: Path) -> None:
    cluster.tell("/api/v1/nodes", [node("a", "4")])
    found = ask(kubeconfig)
    assert {
        "cluster": Level.OK,
        "cluster clock": Level.OK,
        "rights": Level.OK,
        "pod security": Level.OK,
        "gates": Level.OK,
        "leases": Level.OK,
        "quota": Level.OK,
        "nodes": Level.OK,
        "network policy": Level.OK,
    } == levels(found), found
    assert cluster.pod_names("ml") == []


def node(name: str, cpu: str) -> dict[str, Any]:
    allocatable = {"cpu": cpu, "memory": "64Gi", "pods": "110"}
    return {"metadata": {"name": name}, "spec": {}, "status": {"allocatable": allocatable}}


@pytest.fixture
def healthy(cluster: FakeCluster) -> FakeCluster:
    cluster.tell("/api/v1/nodes", [node("a", "32")])
    return cluster


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with FakeCluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "config")
    (one,) = ask(kubeconfig)
    assert ("cluster", Level.UNREACHABLE) == (one.name, one.level)
    assert cluster.server in one.found


def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (one,) = ask(tmp_path / "none")
    assert Level.UNREACHABLE is one.level
    assert "there is no kubeconfig" in one.found


def test_credentials_that_are_refused_are_one_line(tmp_path: Path) -> None:
    with FakeCluster(token="right") as cluster:
        (one,) = ask(cluster.kubeconfig(tmp_path / "config", token="wrong"))
    assert Level.UNREACHABLE is one.level
    assert "does not accept the credentials" in one.found


def test_what_is_not_kubernetes_is_one_line(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.tell("/version", {"name": "another server"})
    (one,) = ask(kubeconfig)
    assert ("cluster", Level.UNREACHABLE) == (one.name, one.level)
    assert "what answers is not a Kubernetes API" in one.found


def test_an_answer_of_another_form_is_not_known(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.tell("/api/v1/nodes", [5])
    one = next(each for each in ask(kubeconfig) if each.name == "nodes")
    assert Level.UNREACHABLE is one.level
    assert "its answer is not one of Kubernetes'" in one.found


def test_an_old_kubernetes_fires(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.tell("/version", {"major": "1", "minor": "26+", "gitVersion": "v1.26.9-eks"})
    one = fired(ask(kubeconfig), "cluster")
    assert "v1.26.9-eks" in one.found
    assert one.setting.startswith("Kubernetes 1.27")


@pytest.mark.parametrize(("off_s", "side"), [(120.0, "ahead of"), (-120.0, "behind")])
def test_a_clock_that_is_off_fires(
    healthy: FakeCluster, kubeconfig: Path, off_s: float, side: str
) -> None:
    healthy.set_clock(off_s)
    one = fired(ask(kubeconfig), "cluster clock")
    assert f"s {side} this host's" in one.found


@pytest.mark.parametrize(
    ("verb", "resource"),
    [("get", "pods/log"), ("watch", "pods"), ("patch", "pods"), ("delete", "pods")],
)
def test_a_right_that_is_missing_fires(
    healthy: FakeCluster, kubeconfig: Path, verb: str, resource: str
) -> None:
    healthy.forbid(verb, resource)
    one = fired(ask(kubeconfig), f"rights: {verb} {resource}")
    assert "deploy/rbac.yaml" in one.setting
    assert f"verbs [{verb}]" in one.setting


def test_a_missing_right_to_make_pods_leaves_the_gates_untried(
    healthy: FakeCluster, kubeconfig: Path
) -> None:
    healthy.forbid("create", "pods")
    found = levels(ask(kubeconfig))
    assert (Level.HURTS, Level.UNSEEN) == (found["rights: create pods"], found["gates"])


def test_leases_that_may_not_be_made_fire(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.forbid("create", "leases")
    found = levels(ask(kubeconfig))
    assert {"rights: create leases": Level.HURTS, "leases": Level.HURTS} == {
        name: level for name, level in found.items() if level is not Level.OK
    }


def test_a_lease_that_stays_fires(healthy: FakeCluster, kubeconfig: Path) -> None:
    refusal = {"status": 403, "reason": "Forbidden", "message": "policy: no lease is deleted"}
    healthy.fail("delete", "leases", times=1, **refusal)
    found = {each.name: each for each in ask(kubeconfig)}
    assert Level.HURTS is found["leases"].level
    assert "delete lease podmap-doctor-" in found["leases"].setting


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('violates PodSecurity "restricted:latest": runAsNonRoot', "runAsNonRoot: true"),
        ("failed quota: team: must specify limits.cpu", "cpu_limit"),
        ('pods "x" is forbidden: exceeded quota: q, requested: a=1, used: a=1, limited: a=1', ""),
    ],
    ids=["pod-security", "quota-wants-limits", "quota-full"],
)
def test_a_pod_that_admission_refuses_fires(
    healthy: FakeCluster, kubeconfig: Path, message: str, told: str
) -> None:
    text = f'pods "asked" is forbidden: {message}'
    healthy.fail("create", "pods", times=None, status=403, reason="Forbidden", message=text)
    gates = next(each for each in ask(kubeconfig) if each.name == "gates")
    assert Level.HURTS is gates.level, gates
    assert told in gates.setting


def test_a_webhook_without_a_dry_run_is_told(healthy: FakeCluster, kubeconfig: Path) -> None:
    text = "admission webhook x does not support dry run"
    healthy.fail("create", "pods", times=1, status=400, reason="BadRequest", message=text)
    fired(ask(kubeconfig), "gates", Level.UNSEEN)


def test_a_server_that_takes_the_gate_off_fires(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.strip_gates()
    one = fired(ask(kubeconfig), "gates")
    assert "podmap.io/slot" in one.found


def test_a_namespace_that_is_not_there_fires(healthy: FakeCluster, kubeconfig: Path) -> None:
    gone = {"status": 404, "reason": "NotFound", "message": 'namespaces "ml" not found'}
    healthy.fail("get", NS, times=None, **gone)
    one = fired(ask(kubeconfig), "namespace")
    assert "kubectl create namespace ml" in one.setting


def test_a_restricted_namespace_fires_unless_the_pod_fits(
    healthy: FakeCluster, kubeconfig: Path
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    healthy.tell(NS, {"metadata": {"name": "ml", "labels": labels}})
    one = fired(ask(kubeconfig, SPEC), "pod security")
    assert "runAsNonRoot: true" in one.setting
    context = {"runAsNonRoot": True, "runAsUser": 1000}
    trial = {**SPEC["trial"], "pod": {"spec": {"securityContext": context}}}  # type: ignore[dict-item]
    assert Level.OK is levels(ask(kubeconfig, {**SPEC, "trial": trial}))["pod security"]


@pytest.mark.parametrize(
    ("hard", "used", "fits"),
    [({"requests.cpu": "8"}, {"requests.cpu": "3"}, 2), ({"pods": "4"}, {"pods": "4"}, 0)],
    ids=["little", "full"],
)
def test_a_quota_without_room_for_all_fires(
    healthy: FakeCluster, kubeconfig: Path, hard: Any, used: Any, fits: int
) -> None:
    quota = {"metadata": {"name": "team"}, "status": {"hard": hard, "used": used}}
    healthy.tell(f"{NS}/resourcequotas", [quota])
    one = fired(ask(kubeconfig, SPEC), "quota")
    assert f"room for {fits} more of 4 pods at once: quota team" in one.found
    assert f"parallelism: {max(fits, 1)}" in one.setting


def test_nodes_without_room_for_all_fire(healthy: FakeCluster, kubeconfig: Path) -> None:
    healthy.tell("/api/v1/nodes", [node("a", "3"), node("b", "5")])
    one = fired(ask(kubeconfig, SPEC), "nodes")
    assert "room for 3 of 4 pods at once now: cpu of 2 nodes" == one.found


CLOSED = {
    "metadata": {"name": "closed"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


@pytest.mark.parametrize(
    ("spec", "fires"),
    [
        ({}, True),
        ({"egress": [{"to": []}]}, False),
        ({"policyTypes": ["Ingress"]}, False),
        ({"podSelector": {"matchLabels": {"app": "web"}}}, False),
        (
            {"podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "podmap"}}},
            True,
        ),
        (
            {
                "podSelector": {
                    "matchExpressions": [{"key": "podmap.io/run", "operator": "DoesNotExist"}]
                }
            },
            False,
        ),
    ],
    ids=["all", "some-way-out", "ingress", "others", "podmaps", "not-podmaps"],
)
def test_a_policy_that_lets_nothing_out_fires(
    healthy: FakeCluster, kubeconfig: Path, spec: Any, fires: bool
) -> None:
    policy = {**CLOSED, "spec": {**CLOSED["spec"], **spec}}  # type: ignore[dict-item]
    healthy.tell("/apis/networking.k8s.io/v1/namespaces/ml/networkpolicies", [policy])
    found = ask(kubeconfig)
    if fires:
        assert "closed" in fired(found, "network policy").found
    else:
        assert Level.OK is levels(found)["network policy"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{NS}/resourcequotas", "quota"),
        ("/api/v1/nodes", "nodes"),
        (NS, "pod security"),
        ("/apis/networking.k8s.io/v1/namespaces/ml/networkpolicies", "network policy"),
    ],
)
def test_what_the_account_may_not_read_counts_for_nothing(
    healthy: FakeCluster, kubeconfig: Path, path: str, name: str
) -> None:
    healthy.forbid_path(path)
    fired(ask(kubeconfig), name, Level.UNSEEN)


def test_a_check_that_gets_no_answer_leaves_the_others(
    healthy: FakeCluster, kubeconfig: Path
) -> None:
    healthy.fail("get", f"{NS}/resourcequotas", times=None, status=418, message="no tea")
    one = fired(ask(kubeconfig), "quota", Level.UNREACHABLE)
    assert "no tea" in one.found


def test_an_image_is_pulled_by_a_pod_that_runs_nothing(tmp_path: Path) -> None:
    with FakeCluster(script=Script(cannot_start="no such file")) as cluster:
        cluster.tell("/api/v1/nodes", [node("a", "32")])
        kubeconfig = cluster.kubeconfig(tmp_path / "config", namespace="ml")
        found = {each.name: each for each in ask(kubeconfig, image="ml:1")}
        assert Level.OK is found["image"].level, found["image"]
        assert "has pulled ml:1" in found["image"].found
        assert [] == cluster.pod_names("ml")
        assert 1 == cluster.requests["delete pods"]


@pytest.mark.parametrize(
    ("script", "within_s", "told"),
    [
        (Script(waiting="InvalidImageName", message="no such image"), 60.0, "no such image"),
        (Script(unplaced="0/1 nodes are available"), 0.0, "no node takes it: 0/1 nodes"),
        (Script(waiting="ContainerCreating"), 0.0, "within 0 s"),
    ],
    ids=["wrong-name", "no-node", "slow"],
)
def test_an_image_that_is_not_pulled_fires(
    tmp_path: Path, script: Script, within_s: float, told: str
) -> None:
    with FakeCluster(script=script) as cluster:
        cluster.tell("/api/v1/nodes", [node("a", "32")])
        kubeconfig = cluster.kubeconfig(tmp_path / "config", namespace="ml")
        one = fired(ask(kubeconfig, image="ml:1", image_within_s=within_s), "image")
        assert told in one.found
        assert [] == cluster.pod_names("ml")


def test_an_image_whose_pod_is_refused_fires(healthy: FakeCluster, kubeconfig: Path) -> None:
    refusal = {
        "status": 403,
        "reason": "Forbidden",
        "message": "images of this registry are denied",
    }
    healthy.fail("create", "pods", times=None, **refusal)
    found = {each.name: each for each in ask(kubeconfig, image="ml:1")}
    assert "images of this registry are denied" in found["image"].found
    assert Level.HURTS is found["image"].level
