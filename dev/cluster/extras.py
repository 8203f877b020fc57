"""What only some tests need: fake nodes (KWOK) and an S3 server (versitygw)."""

from __future__ import annotations

import socket

from api import Api, wait
from instance import Instance
from processes import end, running, start
from programs import HERE, kwok, versitygw

BUCKET = "podmap"
S3_ACCOUNT = ("podmap", "podmap-secret")


def start_fake_nodes(instance: Instance, count: int) -> None:
    """Starts KWOK, and this many nodes that only pretend to run pods.

    A pod lands there if it tolerates the taint `kwok.x-k8s.io/node` and asks for the label
    `type: kwok`.
    """
    program = kwok()
    certificates = instance.folder / "certs"
    if not running(instance, "kwok"):
        command = [
            program,
            "--kubeconfig=admin.kubeconfig",
            f"--config={HERE / 'kwok/stages.yaml'}",
            "--manage-all-nodes=false",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            f"--server-address=127.0.0.1:{instance.port('kwok')}",
            f"--node-port={instance.port('kwok')}",
            f"--tls-cert-file={certificates}/api.crt",
            f"--tls-private-key-file={certificates}/api.key",
        ]
        start(instance, "kwok", command)
    api = Api(instance)
    names = [f"{instance.name}-fake-{number}" for number in range(1, count + 1)]
    for name in names:
        metadata = {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name},
        }
        taint = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        api.apply(f"/api/v1/nodes/{name}", {**node, "spec": {"taints": [taint]}})
    wait(instance, "kwok", lambda: all(map(api.node_ready, names)))


def silence_fake_nodes(instance: Instance) -> None:
    """Ends KWOK, so that nothing answers for the fake nodes and their pods; they stay."""
    end(lambda: running(instance, "kwok"))


def start_s3(instance: Instance) -> None:
    """Starts the S3 server, with a bucket `podmap`."""
    program = versitygw()
    folder = instance.folder / "s3"
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    if not running(instance, "s3"):
        access, secret = S3_ACCOUNT
        address = f"127.0.0.1:{instance.port('s3')}"
        account = [f"--access={access}", f"--secret={secret}", "--region=us-east-1"]
        start(instance, "s3", [program, f"--port={address}", *account, "--quiet", "posix", folder])
    wait(instance, "s3", lambda: _listens(instance.port("s3")))


def s3_environment(instance: Instance) -> dict[str, str]:
    """What a client of the S3 server, in a pod too, has in its environment."""
    access, secret = S3_ACCOUNT
    return {
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{instance.port('s3')}",
        "PODMAP_TEST_BUCKET": BUCKET,
    }


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
