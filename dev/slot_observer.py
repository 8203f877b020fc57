"""Sees from outside what a run does with its slots: a watch of its own, for tests and benchmarks.

Standard library only.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SLOT_GATE = "podmap.io/slot"
TRIAL_LABEL = "podmap.io/trial"


class SlotObserver:
    """Counts the pods of a namespace that are let go and have not ended.

    Attributes:
        most: The most that there ever were at the same time.
        created: How many pods each trial has had, by its number as text.
        ended: The trials of which a pod has ended.
        changes: When a pod was let go (+1) or ended (-1), in seconds of `time.monotonic` at which
            the watch told it.
    """

    def __init__(self, kubectl: str | Path, kubeconfig: str | Path, namespace: str) -> None:
        """Begins to watch; pods that are there already are told first.

        Args:
            kubectl: The program.
            kubeconfig: Of an account that may watch pods.
            namespace: All podmap's pods in it are taken for those of one run.
        """
        self.most = 0
        self.created: Counter[str] = Counter()
        self.ended: set[str] = set()
        self.changes: list[tuple[float, int]] = []
        self._open: set[str] = set()
        self._uids: set[str] = set()
        path = f"/api/v1/namespaces/{namespace}/pods?watch=1&labelSelector={TRIAL_LABEL}"
        self._watch = subprocess.Popen(
            [str(kubectl), f"--kubeconfig={kubeconfig}", "get", f"--raw={path}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """How many are let go and have not ended now."""
        return len(self._open)

    @property
    def gaps_s(self) -> list[float]:
        """How long each slot that was freed stood empty before the next pod was let go."""
        return gaps_s(self.changes)

    def close(self) -> None:
        """Stops watching."""
        self._watch.terminate()
        self._thread.join()
        self._watch.communicate()

    def _look(self) -> None:
        for line in self._watch.stdout or ():
            event = json.loads(line)
            self._take(event["type"], event["object"], time.monotonic())

    def _take(self, kind: str, pod: dict[str, Any], now: float) -> None:
        uid, trial = pod["metadata"]["uid"], pod["metadata"]["labels"][TRIAL_LABEL]
        if uid not in self._uids:
            self._uids.add(uid)
            self.created[trial] += 1
        gates = {gate["name"] for gate in pod["spec"].get("schedulingGates") or ()}
        if kind == "DELETED" or _has_ended(pod):
            self.ended.add(trial)
            if uid in self._open:
                self._open.discard(uid)
                self.changes.append((now, -1))
        elif SLOT_GATE not in gates and uid not in self._open:
            self._open.add(uid)
            self.changes.append((now, +1))
        self.most = max(self.most, len(self._open))


def _has_ended(pod: dict[str, Any]) -> bool:
    # The kubelet tells that containers have ended before it gives the pod its last phase.
    containers = pod["status"].get("containerStatuses") or ()
    stopped = bool(containers) and all("terminated" in one["state"] for one in containers)
    return stopped or pod["status"].get("phase") in ("Succeeded", "Failed")


def gaps_s(changes: Iterable[tuple[float, int]]) -> list[float]:
    """How long each freed slot stood empty; slots that were not filled any more do not count.

    Args:
        changes: Time in seconds, and +1 where a pod was let go or -1 where one ended; in order.
    """
    freed: deque[float] = deque()
    gaps = []
    for at, change in changes:
        if change < 0:
            freed.append(at)
        elif freed:
            gaps.append(at - freed.popleft())
    return gaps


def summary(gaps: Sequence[float]) -> str:
    """Median, 95th percentile and longest of some gaps, as one line."""
    if not gaps:
        return "no slot was handed over"
    ordered = sorted(gaps)
    median, high = (ordered[int(len(ordered) * share)] for share in (0.5, 0.95))
    return (
        f"{len(ordered)} slots were filled after {median * 1000:.0f} ms (median), "
        f"{high * 1000:.0f} ms (95 %), {ordered[-1] * 1000:.0f} ms (longest)"
    )
