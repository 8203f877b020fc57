"""An independent witness of a row's pods: a watch of its own, with the time of each sight."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from bench.on_cluster.place import Place

MAIN_CONTAINERS = frozenset({"trial", "base"})
WATCH_S = 3 * 3600


@dataclass
class Sight:
    """When things were seen of one pod, in seconds of the wall clock; infinite if they were not.

    Attributes:
        made: The pod is there.
        let_go: No scheduling gate holds it any more; equal to `made` if none ever did.
        ended: Its main container has ended.
        span: When the trial in it began and ended, by its own word; empty if it has not said.
    """

    made: float
    let_go: float = math.inf
    ended: float = math.inf
    span: tuple[float, float] | tuple[()] = field(default=())


class Witness:
    """Watches the pods of a place from now until it is closed.

    Attributes:
        broken: Whether the watch ended early, so that some pods may not have been seen.
    """

    def __init__(self, place: Place) -> None:
        """Begins to watch."""
        listed = place.cluster.ask("GET", place.path("pods"))
        self.broken = False
        self._place = place
        self._version = listed["metadata"]["resourceVersion"]
        self._sights: dict[str, Sight] = {}
        self._closing = False
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> list[Sight]:
        """Stops watching; what was seen of each pod."""
        self._closing = True
        while self._thread.is_alive():
            with contextlib.suppress(OSError):
                if self._socket is not None:
                    self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(1)
        return list(self._sights.values())

    def _watch(self) -> None:
        # The server ends a watch whose reader is behind; it goes on from where it was.
        while not (self._closing or self.broken):
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                self._follow()

    def _follow(self) -> None:
        with contextlib.closing(self._place.cluster.open()) as connection:
            connection.connect()
            self._socket = connection.sock
            query = f"watch=1&resourceVersion={self._version}&timeoutSeconds={WATCH_S}"
            path = f"{self._place.path('pods')}?{query}"
            connection.request("GET", path, headers=self._place.cluster.headers)
            for line in connection.getresponse():
                self._take(json.loads(line), time.time())

    def _take(self, event: dict[str, Any], now: float) -> None:
        pod = event["object"]
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            self.broken = True
            return
        self._version = pod["metadata"]["resourceVersion"]
        sight = self._sights.setdefault(pod["metadata"]["uid"], Sight(now))
        if not pod["spec"].get("schedulingGates"):
            sight.let_go = min(sight.let_go, now)
        for status in pod["status"].get("containerStatuses") or ():
            ended = status["state"].get("terminated")
            if ended is not None and status["name"] in MAIN_CONTAINERS:
                sight.ended = min(sight.ended, now)
                sight.span = sight.span or span_of(ended.get("message") or "")


def span_of(message: str) -> tuple[float, float] | tuple[()]:
    """When a trial began and ended, from what it has left; empty if it does not say."""
    try:
        told = json.loads(message)
        return float(told["started"]), float(told["ended"])
    except (ValueError, LookupError, TypeError):
        return ()
