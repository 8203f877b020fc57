"""The control plane: etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

from api import Api, wait
from instance import Instance
from processes import start
from programs import run

USERS = {
    "admin": ("admin", "system:masters"),
    "controllers": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
}
NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


PARTS = ("etcd", "apiserver", "controllers", "scheduler")


def start_server(instance: Instance, programs: Path, nodes: list[str]) -> None:
    """Starts etcd and the API server, with credentials for these nodes."""
    certificates = _certificates(instance)
    _users(instance, {**USERS, **{n: (f"system:node:{n}", "system:nodes") for n in nodes}})
    policy = instance.folder / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY))
    etcd = f"http://127.0.0.1:{instance.port('etcd')}"
    peers = f"http://127.0.0.1:{instance.port('etcd-peer')}"
    start(
        instance,
        "etcd",
        [
            programs / "etcd",
            "--data-dir=etcd",
            "--log-level=warn",
            "--unsafe-no-fsync",
            f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ],
    )
    start(
        instance,
        "apiserver",
        [
            programs / "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={instance.port('apiserver')}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates}/accounts.key",
            f"--service-account-signing-key-file={certificates}/accounts.key",
            f"--tls-cert-file={certificates}/api.crt",
            f"--tls-private-key-file={certificates}/api.key",
            f"--client-ca-file={certificates}/ca.crt",
            f"--token-auth-file={certificates}/tokens.csv",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--kubelet-preferred-address-types=Hostname",
            "--allow-privileged=true",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={instance.audit_log}",
        ],
    )


def start_controllers(instance: Instance, programs: Path) -> None:
    """Starts the controllers and the scheduler when the API server is ready."""
    wait(instance, "apiserver", Api(instance).ready)
    certificates = instance.folder / "certs"
    # Port 0: they serve nothing.
    common = [
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=500",
    ]
    start(
        instance,
        "controllers",
        [
            programs / "kube-controller-manager",
            *common,
            "--kubeconfig=controllers.kubeconfig",
            f"--service-account-private-key-file={certificates}/accounts.key",
            f"--root-ca-file={certificates}/ca.crt",
            "--use-service-account-credentials=true",
            # A lost node is noticed after 20 s, not 50: tests wait for it.
            "--node-monitor-period=2s",
            "--node-monitor-grace-period=20s",
        ],
    )
    scheduler = [programs / "kube-scheduler", *common, "--kubeconfig=scheduler.kubeconfig"]
    start(instance, "scheduler", scheduler)


def _certificates(instance: Instance) -> Path:
    folder = instance.folder / "certs"
    folder.mkdir()
    names = "DNS:localhost,IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc"
    (folder / "names").write_text(f"subjectAltName={names}\n")
    for command in (
        "ecparam -name prime256v1 -genkey -noout -out accounts.key",
        f"req -x509 {NEW_KEY} -days 3650 -subj /CN={instance.name} -keyout ca.key -out ca.crt",
        f"req {NEW_KEY} -subj /CN=kube-apiserver -keyout api.key -out api.csr",
        "x509 -req -days 3650 -in api.csr -extfile names -out api.crt"
        " -CA ca.crt -CAkey ca.key -CAcreateserial",
    ):
        run(["openssl", *command.split()], cwd=folder, quiet=True)
    return folder


def _users(instance: Instance, users: dict[str, tuple[str, str]]) -> None:
    """Writes `<name>.kubeconfig` for each, complete in itself, and the server's list of tokens."""
    certificates = instance.folder / "certs"
    authority = base64.b64encode((certificates / "ca.crt").read_bytes()).decode()
    lines = []
    for name, (user, group) in users.items():
        token = secrets.token_hex(16)
        lines.append(f'{token},{user},{name},"{group}"\n')
        (certificates / f"{name}.token").write_text(token)
        write_kubeconfig(instance.folder / f"{name}.kubeconfig", instance, authority, token)
    (certificates / "tokens.csv").write_text("".join(lines))


def write_kubeconfig(file: Path, instance: Instance, authority: str, token: str) -> None:
    """Writes a kubeconfig; JSON is YAML."""
    cluster = {"server": instance.server, "certificate-authority-data": authority}
    name = instance.name
    context = {"cluster": name, "user": name, "namespace": "default"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
    }
    file.touch(mode=0o600)
    file.write_text(json.dumps(config, indent=1))
