"""The cluster itself: it does what the other tests here rely on, and its account no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cluster, script

pytestmark = pytest.mark.cluster


def pod(name: str, image: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod as podmap's are: no rights, and a result in the termination message."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "trial", "image": image, "command": command, "securityContext": security}
    container.update(spec.pop("container", {}))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
            **spec,
        },
    }


def ended(account: Cluster, name: str, exit_code: int = 0) -> dict[str, Any]:
    """How the pod's container ended."""
    account.wait_for(f"pod/{name}", "jsonpath={.status.containerStatuses[0].state.terminated}")
    end = account.get(f"pod/{name}")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert exit_code == end["exitCode"], account.try_kubectl("logs", name).stdout
    return dict(end)


@pytest.mark.parametrize("user", [0, 1000], ids=["root", "uid 1000"])
def test_result_and_log_reach_the_account(account: Cluster, image: str, user: int) -> None:
    command = ["sh", "-c", "echo seen; echo '{\"y\": 4}' >/dev/termination-log"]
    account.create(pod("one", image, *command, securityContext={"runAsUser": user}))
    assert '{"y": 4}\n' == ended(account, "one")["message"]
    assert "seen\n" == account.kubectl("logs", "one")


def test_scheduling_gate_holds_a_pod_until_it_is_patched_away(account: Cluster, image: str) -> None:
    account.create(pod("gated", image, "true", schedulingGates=[{"name": "podmap.io/slot"}]))
    account.wait_for("pod/gated", "jsonpath={.status.conditions[0].reason}=SchedulingGated")
    assert "nodeName" not in account.get("pod/gated")["spec"]
    remove = [{"op": "remove", "path": "/spec/schedulingGates"}]
    account.kubectl("patch", "pod/gated", "--type=json", f"--patch={json.dumps(remove)}")
    ended(account, "gated")


def test_container_over_its_memory_is_killed_and_its_log_kept(account: Cluster, image: str) -> None:
    eat = "print('eating', flush=True); held = b'x' * (512 << 20)"
    limit = {"resources": {"limits": {"memory": "64Mi"}}}
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError", **limit}
    account.create(pod("hungry", image, "python3", "-c", eat, container=fallback))
    end = ended(account, "hungry", 137)
    assert ("OOMKilled", "eating\n") == (end["reason"], end["message"])


def test_digits_train_in_their_image(account: Cluster) -> None:
    if not account.is_local:
        pytest.skip("only dev/cluster has the image")
    args = ["python", "train.py", "--model", "svm", "--output", "/dev/termination-log"]
    account.create(pod("digits", "localhost/podmap-digits:1", *args))
    assert json.loads(ended(account, "digits")["message"])["accuracy"] > 0.9


def test_pod_keeps_a_file_on_s3(account: Cluster, s3: dict[str, str]) -> None:
    uri = f"s3://{s3['PODMAP_TEST_BUCKET']}/a/b.txt"
    code = (
        "import fsspec\n"
        f"with fsspec.open('{uri}', 'w') as file: file.write('kept')\n"
        f"with fsspec.open('{uri}') as file: seen = file.read()\n"
        "with open('/dev/termination-log', 'wb') as file: file.write(seen)\n"
    )
    env = {"env": [{"name": name, "value": value} for name, value in s3.items()]}
    command = ["python", "-c", code]
    digits = "localhost/podmap-digits:1"
    account.create(pod("store", digits, *command, container=env, hostNetwork=True))
    assert "kept" == ended(account, "store")["message"]


def test_fake_nodes_finish_pods_as_their_annotations_say(
    account: Cluster, fake_nodes: dict[str, Any]
) -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": 2}}}
    good, bad = (pod(x, "none:1", container=gpu, **fake_nodes) for x in ("good", "bad"))
    good["metadata"]["annotations"] = {"fake.podmap.io/result": '{"y": 4}'}
    bad["metadata"]["annotations"] = {
        "fake.podmap.io/exit-code": "3",
        "fake.podmap.io/duration": "100ms",
    }
    account.create(good, bad)
    assert '{"y": 4}' == ended(account, "good")["message"]
    ended(account, "bad", 3)


NEEDED = {
    *(f"{verb} pods" for verb in ("create", "get", "list", "watch", "patch", "delete")),
    "get pods/log",
    *(f"{verb} leases" for verb in ("create", "get", "update", "delete")),
}
REFUSED = {
    "deletecollection pods",
    "create pods/exec",
    "update pods/status",
    "list leases",
    "patch leases",
    "get secrets",
    "get configmaps",
    "list events",
    "create serviceaccounts/token",
    "create jobs",
    "get nodes",
}


def test_account_may_do_what_podmap_does_and_no_more(account: Cluster) -> None:
    allowed = set()
    for right in NEEDED | REFUSED:
        verb, resource, subresource = f"{right}/".replace("/", " ").split(" ")[:3]
        part = f"--subresource={subresource}"
        asked = account.try_kubectl("auth", "can-i", "--quiet", verb, resource, part)
        if asked.returncode == 0:
            allowed.add(right)
    assert NEEDED == allowed


def test_account_has_no_rights_in_other_namespaces(account: Cluster) -> None:
    refused = account.try_kubectl("get", "pods", "--namespace=kube-system")
    assert 'cannot list resource "pods"' in refused.stderr


@pytest.fixture
def second_cluster() -> Iterator[Path]:
    """The folder of a cluster beside the first one; it is ended, whatever the test does."""
    with tempfile.TemporaryDirectory(prefix="podmap-") as parent:
        folder = Path(parent) / "c"
        yield folder
        script("down", CLUSTER_DIR=str(folder))


def test_two_clusters_stand_side_by_side_and_leave_nothing(
    cluster: Cluster, second_cluster: Path, image: str
) -> None:
    if not cluster.is_local:
        pytest.skip("only dev/cluster is started and ended here")
    where = {"CLUSTER_DIR": str(second_cluster)}
    kubeconfig = Path(script("up", **where).strip())
    second = Cluster(kubeconfig, cluster.kubectl_program, is_local=True)
    second.wait_for("serviceaccount/default", "create")
    second.create(pod("sleeper", image, "sleep", "1000"))
    second.wait_for("pod/sleeper", "condition=Ready")
    (node,) = second.get("nodes")["items"]
    name = node["metadata"]["name"]
    assert name not in cluster.kubectl("get", "nodes")
    kill_containerd(second_cluster)
    assert processes_of(second_cluster)
    script("down", **where)

    assert {} == processes_of(second_cluster)
    assert str(second_cluster) not in Path("/proc/self/mountinfo").read_text()
    assert name not in Path("/etc/hosts").read_text()
    assert [] == list(Path("/sys/fs/cgroup").glob(f"*/{name.rpartition('-node-')[0]}"))
    assert not second_cluster.exists()
    assert "ok" == cluster.kubectl("get", "--raw=/readyz")


def processes_of(folder: Path) -> dict[int, str]:
    """The command lines that name the folder, of programs and of containers' shims."""
    command = ["ps", "-ww", "-eo", "pid,args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    processes = (line.split(maxsplit=1) for line in listed.stdout.splitlines()[1:])
    return {int(pid): command for pid, command in processes if str(folder) in command}


def kill_containerd(folder: Path) -> None:
    """As a crash does: its containers go on, and nobody looks after them."""
    for pid, command in processes_of(folder).items():
        if command.startswith("containerd "):
            os.kill(pid, signal.SIGKILL)
