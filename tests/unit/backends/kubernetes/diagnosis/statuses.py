"""Pods as the API shows them, in parts, for tests of what they mean."""

from __future__ import annotations

from typing import Any

from podmap.names import attempt_labels

LABELS = {
    **attempt_labels(sweep="digits", run_id="0badcafe", number=3, attempt=1, epoch="e1"),
    "kueue.x-k8s.io/queue-name": "team-a",
}


def make_pod(
    *,
    state: dict[str, Any] | None = None,
    init: dict[str, Any] | None = None,
    sidecar: dict[str, Any] | None = None,
    conditions: tuple[dict[str, Any], ...] = (),
    metadata: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A pod of trial 3, attempt 1, on node `gpu-7` since 10:00:00.

    Args:
        state: The main container's; None for a container without a status.
        init: That of an init container `fetch`; None for no such container.
        sidecar: That of a second container `proxy`; None for no such container.
        conditions: Of the pod.
        metadata: Laid over the pod's own.
        spec: Laid over the pod's own.
        status: Laid over the pod's own.
    """
    containers = [
        {"name": "trial", "image": "train:1", "resources": {"limits": {"memory": "16Gi"}}}
    ]
    made: dict[str, Any] = {
        "metadata": {
            "name": "digits-0badcafe-3-a1",
            "labels": LABELS,
            **(metadata or {}),
        },
        "spec": {"nodeName": "gpu-7", "containers": containers, **(spec or {})},
        "status": {
            "phase": "Running",
            "startTime": "2026-11-22T10:00:00Z",
            "conditions": list(conditions),
            "containerStatuses": [],
            **status,
        },
    }
    if state is not None:
        made["status"]["containerStatuses"].append(
            {"name": "trial", "state": state, "imageID": "sha256:abc"}
        )
    if sidecar is not None:
        containers.append({"name": "proxy", "image": "proxy:1"})
        made["status"]["containerStatuses"].append({"name": "proxy", "state": sidecar})
    if init is not None:
        made["spec"]["initContainers"] = [{"name": "fetch", "image": "fetch:1"}]
        made["status"]["initContainerStatuses"] = [{"name": "fetch", "state": init}]
    return made
