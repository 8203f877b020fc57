"""Who watches a run's pods from outside: on the API server itself, and through its deaths.

It knows nothing of podmap but the labels and the gate of its pods.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from chaos.ground import Ground
from slot_observer import SLOT_GATE, TRIAL_LABEL

ATTEMPT_LABEL = "podmap.io/attempt"
RUN_LABEL = "podmap.io/run"
OURS = "app.kubernetes.io/managed-by=podmap"
AGAIN_S = 0.3
# A watch that is silent for longer is made anew: a server that was stopped says nothing.
SILENT_S = 20.0


class Watcher:
    """Counts the pods of a namespace that are let go and have not ended; enter it.

    Attributes:
        most: The most that there ever were at once.
        ended: The trials of which a pod has ended.
        succeeded: How many pods of each trial have ended with exit code 0; without those that were
            deleted by hand, of whose end nobody may have known.
        twice: Trials of which two pods were let go and had not ended at the same time.
        attempts: Trial and attempt of each pod whose container has started.
    """

    def __init__(self, ground: Ground) -> None:
        """Asks nothing yet."""
        self.most = 0
        self.ended: set[int] = set()
        self.succeeded: Counter[int] = Counter()
        self.twice: set[int] = set()
        self.attempts: set[tuple[int, int]] = set()
        self._ground = ground
        self._open: dict[str, int] = {}
        self._good: set[str] = set()
        self._over = threading.Event()
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        if not self._listed.wait(60):
            raise OSError("the watcher cannot list pods")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(SILENT_S + 10)

    @property
    def alive(self) -> int:
        """How many are let go and have not ended now."""
        return len(self._open)

    def _live(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
                self._look()
            self._over.wait(AGAIN_S)

    def _look(self) -> None:
        listed = json.loads(b"".join(self._ask("")))
        if "items" not in listed:  # an error
            return
        self.take_list(listed)
        self._listed.set()
        version = listed["metadata"]["resourceVersion"]
        for line in self._ask(f"&watch=1&resourceVersion={version}&timeoutSeconds=15"):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            self.take(event["type"], event["object"])
            if self._over.is_set():
                return

    def take_list(self, listed: dict[str, Any]) -> None:
        """Takes in all pods that there are."""
        there = {pod["metadata"]["uid"] for pod in listed["items"]}
        for uid in set(self._open) - there:
            self._close(uid)
        # Who has ended made room for who was let go meanwhile, whatever the list's order.
        for pod in sorted(listed["items"], key=has_ended, reverse=True):
            self.take("ADDED", pod)

    def _ask(self, query: str) -> Iterator[bytes]:
        connection = self._ground.open()
        connection.timeout = SILENT_S
        with contextlib.closing(connection):
            path = f"{self._ground.pods_path}?labelSelector={OURS}{query}"
            connection.request("GET", path, headers=dict(self._ground.headers))
            yield from connection.getresponse()

    def take(self, kind: str, pod: dict[str, Any]) -> None:
        """Takes in an event of a pod."""
        uid, labels = pod["metadata"]["uid"], pod["metadata"]["labels"]
        trial = int(labels[TRIAL_LABEL])
        states = [each["state"] for each in pod["status"].get("containerStatuses") or ()]
        if any("running" in state or "terminated" in state for state in states):
            self.attempts.add((trial, int(labels[ATTEMPT_LABEL])))
        codes = [each["terminated"]["exitCode"] for each in states if "terminated" in each]
        if codes == [0] and uid not in self._good and uid not in self._ground.deleted:
            self._good.add(uid)
            self.succeeded[trial] += 1
        gates = {gate["name"] for gate in pod["spec"].get("schedulingGates") or ()}
        if kind == "DELETED" or has_ended(pod):
            self.ended.add(trial)
            self._close(uid)
        elif SLOT_GATE not in gates and uid not in self._open:
            if trial in self._open.values():
                self.twice.add(trial)
            self._open[uid] = trial
            self.most = max(self.most, len(self._open))

    def _close(self, uid: str) -> None:
        self._open.pop(uid, None)


def has_ended(pod: dict[str, Any]) -> bool:
    """Whether a pod's container has ended."""
    states = [each["state"] for each in pod["status"].get("containerStatuses") or ()]
    stopped = any("terminated" in state for state in states)
    return stopped or pod["status"].get("phase") in ("Succeeded", "Failed")


def wait_until(ready: Any, timeout_s: float, every_s: float = 0.2) -> Any:
    """What a function returns once that is true; what it returned last if it never was."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ready()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(every_s)
