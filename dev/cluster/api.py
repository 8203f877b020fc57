"""Asking a cluster's API server, and waiting for what it says."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from instance import ClusterError, Instance
from processes import running


class Api:
    """Requests as the administrator."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.context = ssl.create_default_context(cafile=str(instance.folder / "certs/ca.crt"))
        self.token = (instance.folder / "certs/admin.token").read_text()

    def __call__(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> Any:
        """The answer, read as JSON where it is.

        Raises:
            urllib.error.HTTPError: the server refused.
            OSError: the server could not be reached.
        """
        request = urllib.request.Request(
            self.instance.server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        with urllib.request.urlopen(request, context=self.context, timeout=10) as response:
            text = response.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def apply(self, path: str, body: object) -> None:
        """Makes or changes an object as `kubectl apply --server-side` does."""
        query = "?fieldManager=cluster&force=true"
        self("PATCH", path + query, body, "application/apply-patch+yaml")

    def ready(self) -> bool:
        """Does the server say that it is ready?"""
        try:
            return bool(self("GET", "/readyz") == "ok")
        except OSError:
            return False

    def node_ready(self, name: str) -> bool:
        """Does the node say that it is ready?"""
        try:
            conditions = self("GET", f"/api/v1/nodes/{name}")["status"]["conditions"]
        except (OSError, KeyError):
            return False
        return any(x["type"] == "Ready" and x["status"] == "True" for x in conditions)


def wait(instance: Instance, part: str, fulfilled: Callable[[], bool]) -> None:
    """Waits for a part that was just started.

    Args:
        instance: the cluster.
        part: the part.
        fulfilled: is it so far?

    Raises:
        ClusterError: the part has ended, or is not so far after two minutes.
    """
    deadline = time.monotonic() + 120
    unseen = 0
    while not fulfilled():
        # A process that is about to become its program shows no variables for a moment.
        unseen = 0 if running(instance, part) else unseen + 1
        ended = unseen > 5
        if ended or time.monotonic() > deadline:
            log = (instance.folder / f"{part}.log").read_text().splitlines()
            problem = "has ended" if ended else "is not ready after two minutes"
            raise ClusterError("\n".join([f"{part} {problem}; its log's end:", *log[-10:]]))
        time.sleep(0.1)
