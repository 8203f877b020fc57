"""One cluster among those of this machine: its folder, number, ports and names."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CLAIMS = Path("/run/podmap-cluster")
MOST = 30
# Below the range that the kernel gives to outgoing connections (from 32768).
FIRST_PORT, PORTS_EACH = 21000, 30
# Sockets lie up to 45 characters below the folder; a socket's path has at most 107.
LONGEST_FOLDER = 60


class ClusterError(Exception):
    """What the person who started the command is told, without a traceback."""


@dataclass(frozen=True)
class Instance:
    """A cluster's number decides all its names and ports; its folder holds all its files."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        """What its nodes, cgroups and pod networks are called after."""
        return f"podmap-{self.number}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each request to the API server."""
        return self.folder / "audit.log"

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.port('apiserver')}"

    def port(self, part: str, node: int = 0) -> int:
        """The port of a part of it.

        Args:
            part: apiserver, etcd, etcd-peer, kwok, s3 or kubelet.
            node: which kubelet, from 1.
        """
        parts = ["apiserver", "etcd", "etcd-peer", "kwok", "s3", "kubelet"]
        return FIRST_PORT + PORTS_EACH * self.number + parts.index(part) + node


def folder_asked_for() -> Path:
    """CLUSTER_DIR, or else `.cluster` in the work tree, or in /var/tmp if that is too deep.

    Raises:
        ClusterError: CLUSTER_DIR is too long a path.
    """
    asked = os.environ.get("CLUSTER_DIR")
    folder = Path(asked or REPOSITORY / ".cluster").absolute()
    if len(str(folder)) <= LONGEST_FOLDER:
        return folder
    if asked:
        raise ClusterError(
            f"CLUSTER_DIR is {len(asked)} characters long: sockets lie below it, "
            f"so it may have {LONGEST_FOLDER}"
        )
    return Path(f"/var/tmp/podmap-{_short_hash(folder)}")


def find(folder: Path) -> Instance | None:
    """The cluster that has this folder, running or not; None if there is none."""
    for claim in CLAIMS.glob("*.json"):
        if json.loads(claim.read_text())["folder"] == str(folder):
            return Instance(int(claim.stem), folder)
    return None


def claim(folder: Path) -> Instance:
    """A cluster for this folder, with a number that no other one has.

    Raises:
        ClusterError: all numbers are taken, or their ports.
    """
    with locked(CLAIMS):
        for number in range(MOST):
            instance = Instance(number, folder)
            file = CLAIMS / f"{number}.json"
            if not file.exists() and _free(instance):
                file.write_text(json.dumps({"folder": str(folder)}))
                return instance
    raise ClusterError(f"no room for one more cluster: see the folders named in {CLAIMS}")


def release(instance: Instance) -> None:
    """Gives the number back."""
    (CLAIMS / f"{instance.number}.json").unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same folder waiting."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def locked_for(folder: Path) -> Iterator[None]:
    """Keeps other processes that start or end this folder's cluster waiting."""
    with locked(CLAIMS / _short_hash(folder)):
        yield


def _short_hash(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:12]


def _free(instance: Instance) -> bool:
    first = instance.port("apiserver")
    for port in range(first, first + PORTS_EACH):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
