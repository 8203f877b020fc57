"""A real Kubernetes: the one of PODMAP_TEST_KUBECONFIG, or else dev/cluster's.

KUBECONFIG alone is not taken: it may point at a cluster that is no place for tests.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "dev/cluster/cluster"
RBAC = ROOT / "deploy/rbac.yaml"
SKIPPED = "PODMAP_SKIP_CLUSTER is set: nothing was tested on a real Kubernetes"


@dataclass(frozen=True)
class Cluster:
    """A cluster, and an account on it."""

    kubeconfig: Path
    kubectl_program: str
    is_local: bool
    """It is dev/cluster's: it has our images, and its nodes are ours to break."""

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """What kubectl prints to stdout; it must succeed."""
        done = self.try_kubectl(*words, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def try_kubectl(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """As `kubectl`, but it may fail."""
        command = [self.kubectl_program, f"--kubeconfig={self.kubeconfig}", *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    def get(self, *words: str) -> Any:
        """The object or list that `kubectl get` prints, as JSON."""
        return json.loads(self.kubectl("get", *words, "--output=json"))

    def create(self, *objects: dict[str, Any]) -> None:
        """Creates objects."""
        self.kubectl("create", "--filename=-", text="\n---\n".join(map(json.dumps, objects)))

    def wait_for(self, what: str, condition: str, *words: str, timeout_s: int = 60) -> None:
        """Waits until something is so; the condition is one of `kubectl wait`'s."""
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={timeout_s}s", *words)


def script(*words: str, **environment: str) -> str:
    """What dev/cluster/cluster prints to stdout; it must succeed."""
    done = subprocess.run(
        [SCRIPT, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{SCRIPT} {' '.join(words)}: {done.stderr[-3000:]}"
    return done.stdout


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("PODMAP_SKIP_CLUSTER"):
        terminalreporter.section("Kubernetes", sep="!", red=True, bold=True)
        terminalreporter.line(SKIPPED, red=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, as its administrator. One that these tests had to start ends with them."""
    if os.environ.get("PODMAP_SKIP_CLUSTER"):
        pytest.skip(SKIPPED)
    theirs = os.environ.get("PODMAP_TEST_KUBECONFIG")
    if theirs:
        kubectl = shutil.which("kubectl")
        assert kubectl, "PODMAP_TEST_KUBECONFIG is set, and no kubectl is on the PATH"
        yield Cluster(Path(theirs), kubectl, is_local=False)
        return
    was_up = subprocess.run([SCRIPT, "status"], capture_output=True, check=False).returncode == 0
    kubeconfig = Path(script("up").strip())
    yield Cluster(kubeconfig, script("build").strip() + "/kubectl", is_local=True)
    if not was_up:
        script("down")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"podmap-test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    # Pods are refused until the controllers have made it.
    cluster.wait_for("serviceaccount/default", "create", f"--namespace={name}")
    yield name
    # The namespace would grant its pods half a minute each, and the next tests need the room.
    within = f"--namespace={name}"
    cluster.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false", within)
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def account(cluster: Cluster, namespace: str, tmp_path: Path) -> Cluster:
    """The cluster as deploy/rbac.yaml's account sees it, with the test's namespace as default."""
    rules = RBAC.read_text().replace("namespace: podmap", f"namespace: {namespace}")
    cluster.kubectl("apply", "--filename=-", text=rules)
    token = cluster.kubectl(
        "create", "token", "podmap", "--duration=2h", f"--namespace={namespace}"
    )
    view = ["config", "view", "--minify", "--raw", "--flatten", "--output=json"]
    config = json.loads(cluster.kubectl(*view))
    config["users"] = [{"name": "podmap", "user": {"token": token.strip()}}]
    config["contexts"][0]["context"].update(user="podmap", namespace=namespace)
    kubeconfig = tmp_path / "account.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    return replace(cluster, kubeconfig=kubeconfig)


@pytest.fixture(scope="session")
def s3(cluster: Cluster) -> dict[str, str]:
    """The environment of a client of an S3 server, here or in a pod on the host's network.

    PODMAP_TEST_BUCKET in it is a bucket that is there.
    """
    if not cluster.is_local:
        pytest.skip("only dev/cluster has an S3 server beside it")
    exports = (shlex.split(line)[1].split("=", 1) for line in script("s3").splitlines())
    return {name: value for name, value in exports}


@pytest.fixture(scope="session")
def fake_nodes(cluster: Cluster) -> dict[str, Any]:
    """Nodes that finish pods without running them (dev/cluster/kwok/stages.yaml).

    It is what a pod's spec needs to land on one.
    """
    if not cluster.is_local:
        pytest.skip("only dev/cluster has fake nodes")
    script("kwok")
    tolerations = [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]
    return {"nodeSelector": {"type": "kwok"}, "tolerations": tolerations}


@pytest.fixture(scope="session")
def worker_images(cluster: Cluster) -> tuple[str, str]:
    """Images with Airflow: nothing but it, and with what examples/hp_sweep needs."""
    if not cluster.is_local:
        pytest.skip("workers need this machine's network and folders, and images made here")
    airflow, hp_sweep = script("airflow").split()
    return airflow, hp_sweep


@pytest.fixture(scope="session")
def image() -> str:
    """An image with sh and Python; PODMAP_TEST_IMAGE names one for clusters without ours."""
    return os.environ.get("PODMAP_TEST_IMAGE", "localhost/podmap-test:1")
