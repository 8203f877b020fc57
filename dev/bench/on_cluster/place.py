"""Where a row runs: dev/cluster's Kubernetes, and a namespace and an account for this row alone."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import shlex
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "dev/cluster/cluster"
RBAC = ROOT / "deploy/rbac.yaml"
FAKE_NODES = 5
# What the stock operator asks for beyond podmap's role.
OPERATOR_RULES = [
    {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]},
]


class BenchError(Exception):
    """What the person who started the benchmark is told, without a traceback."""


@dataclass(frozen=True)
class Cluster:
    """dev/cluster's Kubernetes, as its administrator."""

    kubeconfig: Path
    audit_log: Path
    programs: Path

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """What kubectl prints; it must succeed."""
        command = [self.programs / "kubectl", f"--kubeconfig={self.kubeconfig}", *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    @cached_property
    def config(self) -> dict[str, Any]:
        """The kubeconfig, complete in itself."""
        view = ["config", "view", "--minify", "--raw", "--flatten", "--output=json"]
        config: dict[str, Any] = json.loads(self.kubectl(*view))
        return config

    def open(self) -> http.client.HTTPSConnection:
        """A new connection to the API server."""
        cluster = self.config["clusters"][0]["cluster"]
        certificate = base64.b64decode(cluster["certificate-authority-data"]).decode()
        authority = ssl.create_default_context(cadata=certificate)
        host = urlsplit(cluster["server"])
        return http.client.HTTPSConnection(host.hostname or "", host.port, context=authority)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer to one request, from JSON."""
        connection = self.open()
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, self.headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise BenchError(f"{method} {path}: {answer.status}: {text[:500]!r}")
            return json.loads(text)

    @property
    def headers(self) -> dict[str, str]:
        """What each request carries."""
        token = self.config["users"][0]["user"]["token"]
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Place:
    """A namespace, and a kubeconfig of the account that is used there and nowhere else."""

    cluster: Cluster
    namespace: str
    kubeconfig: Path

    @property
    def user(self) -> str:
        """The account as the audit log calls it."""
        return f"system:serviceaccount:{self.namespace}:podmap"

    def path(self, kind: str) -> str:
        """The API path of the namespace's objects of a kind."""
        group = "apis/batch/v1" if kind == "jobs" else "api/v1"
        return f"/{group}/namespaces/{self.namespace}/{kind}"


@contextlib.contextmanager
def cluster_up() -> Iterator[Cluster]:
    """dev/cluster's Kubernetes; one that had to be started ends with the benchmark."""
    was_up = subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode == 0
    if not was_up:
        subprocess.run([SCRIPT, "up"], check=True, stdout=subprocess.DEVNULL)
    try:
        exports = {}
        for line in _script("env").splitlines():
            name, _, value = shlex.split(line)[1].partition("=")
            exports[name] = value
        yield Cluster(
            Path(exports["KUBECONFIG"]),
            Path(exports["PODMAP_CLUSTER_AUDIT"]),
            Path(_script("build").strip()),
        )
    finally:
        if not was_up:
            subprocess.run([SCRIPT, "down"], check=True)


def start_fake_nodes() -> None:
    """Has the cluster have nodes that finish pods without running them."""
    _script("kwok", str(FAKE_NODES))


@contextlib.contextmanager
def fake_nodes_silent() -> Iterator[None]:
    """While it lasts, nobody answers for the fake nodes, as when they have lost power."""
    _script("kwok", "silent")
    try:
        yield
    finally:
        start_fake_nodes()


def worker_image() -> str:
    """An image with Airflow, for the KubernetesExecutor's workers, which all nodes have."""
    return _script("airflow").split()[0]


@contextlib.contextmanager
def place(cluster: Cluster, folder: Path) -> Iterator[Place]:
    """A new namespace with deploy/rbac.yaml's account.

    Args:
        cluster: Where.
        folder: Where the account's kubeconfig is written.
    """
    name = f"podmap-bench-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    within = f"--namespace={name}"
    try:
        cluster.kubectl("wait", "serviceaccount/default", "--for=create", "--timeout=60s", within)
        rules = RBAC.read_text().replace("namespace: podmap", f"namespace: {name}")
        cluster.kubectl("apply", "--filename=-", text=rules)
        for each in _operator_rights(name):
            cluster.kubectl("apply", "--filename=-", text=json.dumps(each))
        token = cluster.kubectl("create", "token", "podmap", "--duration=4h", within).strip()
        config = json.loads(json.dumps(cluster.config))
        config["users"] = [{"name": "podmap", "user": {"token": token}}]
        config["contexts"][0]["context"].update(user="podmap", namespace=name)
        kubeconfig = folder / f"{name}.kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(config))
        yield Place(cluster, name, kubeconfig)
    finally:
        cluster.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false", within)
        cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s")


def _operator_rights(namespace: str) -> Iterator[dict[str, Any]]:
    metadata = {"name": "operator", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": OPERATOR_RULES,
    }
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "podmap", "namespace": namespace}],
    }


def _script(*words: str) -> str:
    done = subprocess.run(
        [SCRIPT, *words], env=os.environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"{SCRIPT} {' '.join(words)}: {done.stderr[-2000:]}")
    return done.stdout
