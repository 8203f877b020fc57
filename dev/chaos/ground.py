"""Where pods run: the real test cluster, or a fake one whose nodes do as a script says."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from bench.on_cluster.place import Place
from chaos.sweep import FAIL_ALWAYS, FAIL_ONCE, SPEAK, Size

from podmap.testing.fake_cluster import FakeCluster, Script

Deleted = dict[str, tuple[int, int]]
"""Trial and attempt of pods, by their UIDs."""


class Ground(Protocol):
    """Where pods run, and how they are looked at past all proxies."""

    @property
    def deleted(self) -> Deleted:
        """The pods that were deleted by hand."""

    @property
    def pods_path(self) -> str:
        """The API's path of the pods."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What each request carries."""

    def open(self) -> http.client.HTTPConnection:
        """A new connection to the API server."""

    def left(self) -> list[str]:
        """What there is of pods and leases."""

    def delete_pods(self, count: int) -> None:
        """Deletes so many of the running pods, by hand."""

    def expect_deletions(self) -> None:
        """Counts all pods that are on nodes as deleted by hand: something is about to do so."""


@dataclass(frozen=True)
class RealGround:
    """A namespace of the test cluster."""

    place: Place
    deleted: Deleted = field(default_factory=dict)

    @property
    def pods_path(self) -> str:
        return self.place.path("pods")

    @property
    def headers(self) -> Mapping[str, str]:
        return self.place.cluster.headers

    def open(self) -> http.client.HTTPConnection:
        return self.place.cluster.open()

    def left(self) -> list[str]:
        return self._kubectl("get", "pods,leases", "--output=name").split()

    def delete_pods(self, count: int) -> None:
        pods = self._pods("--field-selector=status.phase=Running")
        chosen = random.Random(1).sample(pods, min(count, len(pods)))
        self.deleted.update(map(_identity, chosen))
        if chosen:
            names = [pod["metadata"]["name"] for pod in chosen]
            self._kubectl("delete", "pods", "--wait=false", "--ignore-not-found", *names)

    def expect_deletions(self) -> None:
        placed = [pod for pod in self._pods() if pod["spec"].get("nodeName")]
        self.deleted.update(map(_identity, placed))

    def _pods(self, *words: str) -> list[dict[str, Any]]:
        return list(json.loads(self._kubectl("get", "pods", *words, "--output=json"))["items"])

    def _kubectl(self, *words: str) -> str:
        return self.place.cluster.kubectl(*words, f"--namespace={self.place.namespace}")


@dataclass(frozen=True)
class FakeGround:
    """A fake cluster; its trials run nothing, and so write no marks."""

    cluster: FakeCluster
    deleted: Deleted = field(default_factory=dict)

    @property
    def pods_path(self) -> str:
        return "/api/v1/namespaces/default/pods"

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    def open(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.cluster.server).netloc)

    def left(self) -> list[str]:
        return [f"pod/{name}" for name in self.cluster.pod_names()]

    def delete_pods(self, count: int) -> None:
        running = self._running()[:count]
        self.deleted.update(map(_identity, running))
        for pod in running:
            self.cluster.delete_pod(pod["metadata"]["name"])

    def expect_deletions(self) -> None:
        self.deleted.update(map(_identity, self._running()))

    def _running(self) -> list[dict[str, Any]]:
        pods = filter(None, map(self.cluster.pod, self.cluster.pod_names()))
        return [pod for pod in pods if pod["status"].get("phase") == "Running"]


def _identity(pod: Mapping[str, Any]) -> tuple[str, tuple[int, int]]:
    labels = pod["metadata"]["labels"]
    trial, attempt = labels["podmap.io/trial"], labels["podmap.io/attempt"]
    return pod["metadata"]["uid"], (int(trial), int(attempt))


@contextlib.contextmanager
def fake_ground(size: Size) -> Iterator[FakeGround]:
    """A fake cluster on which trials do as those of the sweep do."""

    def script(pod: dict[str, Any]) -> Script:
        labels = pod["metadata"]["labels"]
        n, attempt = int(labels["podmap.io/trial"]), int(labels["podmap.io/attempt"])
        fails = n % 10 == FAIL_ALWAYS or (n % 10 == FAIL_ONCE and attempt == 1)
        if fails:
            return Script(run_s=size.work_s, exit_code=1, result="")
        score = size.expected(n)[1]
        if n % SPEAK == 0:
            said = f'podmap: {{"final": {{"score": {score}}}}}\n'
            return Script(run_s=size.work_s, result="", last_output=said)
        return Script(run_s=size.work_s, result=json.dumps({"score": score}))

    with FakeCluster(script=script, speed=1.0) as cluster:
        yield FakeGround(cluster)


def kubeconfig(path: Path, server: str) -> Path:
    """Writes a kubeconfig of a cluster that asks for no credentials."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": server}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [
            {"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": "default"}}
        ],
        "current-context": "fake",
    }
    path.write_text(json.dumps(config))
    return path
