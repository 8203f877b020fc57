"""Pods as the API server sends them."""

from __future__ import annotations

from typing import Any

from podmap.names import attempt_labels, attempt_name

RUN = "0123abcd"
START, END = "2026-11-01T09:00:00Z", "2026-11-01T09:01:00Z"


def raw_pod(
    state: str = "pending",
    *,
    number: int = 0,
    version: int = 1,
    uid: str = "",
    epoch: str = "e1",
    gates: tuple[str, ...] = (),
    **metadata: Any,
) -> dict[str, Any]:
    """A pod in a state: gated, pending, running, succeeded or failed."""
    name = attempt_name("digits", RUN, number, 1)
    labels = attempt_labels(sweep="digits", run_id=RUN, number=number, attempt=1, epoch=epoch)
    containers: dict[str, Any] = {
        "running": {"running": {"startedAt": START}},
        "succeeded": {"terminated": _ended(0)},
        "failed": {"terminated": _ended(3)},
    }.get(state, {})
    phase = {"running": "Running", "succeeded": "Succeeded", "failed": "Failed"}.get(state)
    status: dict[str, Any] = {"phase": phase or "Pending"}
    if containers:
        status["containerStatuses"] = [{"name": "trial", "state": containers}]
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid or f"uid-{number}",
            "resourceVersion": str(version),
            "labels": dict(labels),
            **metadata,
        },
        "spec": {
            "nodeName": "" if state in ("gated", "pending") else "node-1",
            "containers": [{"name": "trial", "env": [{"name": "A", "value": "x" * 1000}]}],
            "schedulingGates": [{"name": gate} for gate in gates],
        },
        "status": status,
    }


def _ended(code: int) -> dict[str, Any]:
    ended = {"exitCode": code, "startedAt": START, "finishedAt": END, "reason": "Completed"}
    return {**ended, "message": '{"x": 1}'} if code == 0 else ended
