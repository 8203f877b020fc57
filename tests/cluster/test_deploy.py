"""What deploy/ gives an administrator, on a real Kubernetes: namespace, network, admission."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .api import Api, proxied
from .conftest import ROOT, Cluster

pytestmark = pytest.mark.cluster

DEPLOY = ROOT / "deploy"


@pytest.fixture(scope="module")
def admission(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with deploy/admission.yaml."""
    cluster.kubectl("apply", f"--filename={DEPLOY}/admission.yaml")
    yield cluster
    cluster.kubectl("delete", f"--filename={DEPLOY}/admission.yaml", "--ignore-not-found")


@pytest.fixture
def api(account: Cluster, namespace: str, image: str) -> Iterator[Api]:
    with proxied(account, namespace, image) as api:
        yield api


def allow(cluster: Cluster, **data: str) -> None:
    """Changes what pods may ask for; `""` is nothing."""
    patch = json.dumps({"data": data})
    where = ["configmap", "podmap-allowed", "--namespace=kube-system"]
    cluster.kubectl("patch", *where, "--type=merge", f"--patch={patch}")


def dry_run(api: Api, spec: dict[str, Any]) -> tuple[int, str]:
    """The status of a pod's creation and what the server says, of a pod that is not kept."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "asked-"},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{"name": "trial", "image": api.image}],
            **spec,
        },
    }
    status, answer = api.ask(f"{api.pods()}?dryRun=All", pod)
    return status, answer.get("message", "")


def wait_until_refused(api: Api, spec: dict[str, Any], told: str) -> None:
    """Asks until the server refuses the pod for the reason; a new policy takes it a moment."""
    for _ in range(300):
        status, message = dry_run(api, spec)
        if status == 403 and told in message:
            return
        assert "expression" not in message, message
    raise AssertionError(f"not refused for {told!r}: {status} {message}")


def wait_until_taken(api: Api, spec: dict[str, Any]) -> None:
    for _ in range(300):
        status, message = dry_run(api, spec)
        if status == 201:
            return
        assert "expression" not in message, message
    raise AssertionError(f"not taken: {status} {message}")


def container(image: str, **more: Any) -> dict[str, Any]:
    return {"name": "trial", "image": image, **more}


def test_an_administrator_fixes_what_pods_may_ask_for(
    admission: Cluster, api: Api, namespace: str, image: str
) -> None:
    host = {"hostNetwork": True}
    assert 201 == dry_run(api, host)[0], "a namespace without the label is not concerned"
    admission.kubectl("label", "namespace", namespace, "podmap.io/trials=limited")
    wait_until_refused(api, host, "hostNetwork")
    assert (201, "") == dry_run(api, {})

    secret_env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}]
    devices = {"limits": {"nvidia.com/gpu": "9"}}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"serviceAccountName": "podmap"}, "service account podmap"),
        ({"automountServiceAccountToken": True}, "automountServiceAccountToken"),
        ({"priorityClassName": "system-cluster-critical"}, "priority class"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath"),
        (
            {
                "volumes": [
                    {
                        "name": "v",
                        "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
                    }
                ]
            },
            "token",
        ),
        (
            {"containers": [container(image, securityContext={"privileged": True})]},
            "privileged",
        ),
        (
            {
                "initContainers": [
                    {
                        "name": "first",
                        "image": image,
                        "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}},
                    }
                ]
            },
            "capabilities",
        ),
        ({"containers": [container(image, resources=devices)]}, "devices"),
    ]
    for spec, told in refused:
        status, message = dry_run(api, spec)
        assert (403, True) == (status, told in message), (spec, message)

    allow(
        admission,
        images="localhost/podmap-,registry.example.com/ml/",
        secrets="s3",
        claims="datasets",
        nodeSelectorKeys="pool",
        tolerationKeys="gpu",
    )
    stranger = {"containers": [container("docker.io/library/miner:1")]}
    wait_until_refused(api, stranger, "docker.io/library/miner:1")
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "private"}}
    toleration = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}
    for spec, told in [
        ({"containers": [container(image, env=secret_env)]}, "secret"),
        (
            {"containers": [container(image, envFrom=[{"secretRef": {"name": "hf"}}])]},
            "secret",
        ),
        ({"volumes": [{"name": "v", "secret": {"secretName": "hf"}}]}, "secret"),
        ({"volumes": [claim]}, "claim"),
        ({"nodeSelector": {"kubernetes.io/hostname": "n"}}, "nodeSelector"),
        ({"tolerations": [toleration]}, "toleration"),
        ({"tolerations": [{"operator": "Exists"}]}, "toleration"),
    ]:
        status, message = dry_run(api, spec)
        assert (403, True) == (status, told in message), (spec, message)
    assert (201, "") == dry_run(api, {"nodeSelector": {"pool": "gpu"}})

    allow(admission, serviceAccounts="default, podmap", tokens="true")
    wait_until_taken(api, {"serviceAccountName": "podmap", "automountServiceAccountToken": True})


def test_the_namespace_takes_podmaps_pods_and_nothing_privileged(
    cluster: Cluster, namespace: str, image: str
) -> None:
    text = (DEPLOY / "namespace.yaml").read_text()
    text = text.replace("name: podmap\n", f"name: {namespace}\n")
    text = text.replace("namespace: podmap\n", f"namespace: {namespace}\n")
    cluster.kubectl("apply", "--filename=-", text=text)
    policies = cluster.get("networkpolicy", f"--namespace={namespace}")["items"]
    assert ["podmap-nothing-comes-in", "podmap-out-to-the-world"] == sorted(
        policy["metadata"]["name"] for policy in policies
    )
    with proxied(cluster, namespace, image) as api:
        assert 403 == dry_run(api, {"hostNetwork": True})[0]
        context = {"runAsNonRoot": True, "runAsUser": 1000}
        launch = api.launch("true", template=api.template(securityContext=context))
        assert 0 == api.ended(api.create(launch)).exit_code
