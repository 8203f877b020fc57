"""The pod of an attempt as a cluster shows it, at each stage and for each way to end.

What is shown here is read by the same code that reads real pods, so that a failure in a test has
the diagnosis that it would have on a cluster.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from podmap.backends.kubernetes.diagnosis.observe import killed_annotation
from podmap.backends.kubernetes.pod.build import CONTAINER
from podmap.clock import iso
from podmap.records import Diagnosis
from podmap.testing.kubelet import termination_message
from podmap.testing.sweep.fail import Failure, FailureKind

_SHUTDOWN = "Pod was terminated in response to imminent node shutdown."

Pod = dict[str, Any]

NODE = "node-1"
_SIGKILL, _SIGTERM = 137, 143
_MEMORY_LOW = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container "
    "trial was using more than its request."
)


def waiting(pod: Mapping[str, Any]) -> Pod:
    """The pod before it has a node."""
    return _with(pod, {"phase": "Pending"})


def unplaced(pod: Mapping[str, Any], message: str) -> Pod:
    """The pod while the scheduler finds no node for it, and says why."""
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    made = _with(pod, {"phase": "Pending"})
    made["status"]["conditions"] = [{**told, "message": message}]
    return made


def running(pod: Mapping[str, Any], *, started: datetime) -> Pod:
    """The pod while its training runs."""
    state = {"running": {"startedAt": iso(started)}}
    return _on_node(pod, "Running", state, started)


def exited(
    pod: Mapping[str, Any],
    *,
    started: datetime,
    now: datetime,
    code: int,
    result: bytes = b"",
    output: str = "",
    reason: str = "",
) -> Pod:
    """The pod after its container has ended.

    Args:
        pod: As it was sent.
        started: When the container started.
        now: When it ended.
        code: Its exit code.
        result: What it left.
        output: What it printed.
        reason: Of the container's end; empty for the usual.
    """
    message = termination_message(pod, result=result, log=output, exit_code=code)
    ended = {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "startedAt": iso(started),
        "finishedAt": iso(now),
        "message": message,
    }
    phase = "Failed" if code else "Succeeded"
    return _on_node(pod, phase, {"terminated": ended}, started)


def killed(
    pod: Mapping[str, Any], *, started: datetime | None, now: datetime, why: Diagnosis
) -> Pod:
    """The pod after podmap has ended it.

    Args:
        pod: As it was sent.
        started: When its container started; None if it had not.
        now: When it ended.
        why: What podmap notes on it.
    """
    if started is None:
        ended = _with(pod, {"phase": "Failed", "reason": "DeadlineExceeded"})
    else:
        ended = exited(pod, started=started, now=now, code=_SIGTERM)
        ended["status"]["reason"] = "DeadlineExceeded"
    annotations = ended["metadata"].setdefault("annotations", {})
    annotations.update(killed_annotation(why))
    return ended


def failed(
    pod: Mapping[str, Any], failure: Failure, *, started: datetime, now: datetime, output: str
) -> Pod:
    """The pod after what a test wanted to happen to it.

    Args:
        pod: As it was sent.
        failure: Any but those that podmap itself ends, and a refusal by the API server.
        started: When the container started, or the node got the pod.
        now: When it happened.
        output: What the training had printed.
    """
    if failure.kind is FailureKind.NODE_REJECTED:
        message = "Pod was rejected: Node didn't have enough resource: cpu"
        return _rejected(pod, "OutOfcpu", message, started)
    if failure.kind is FailureKind.IMAGE_PULL:
        return _without_image(pod, started)
    if failure.kind is FailureKind.OOM:
        return exited(pod, started=started, now=now, code=_SIGKILL, reason="OOMKilled")
    if failure.kind is FailureKind.EVICTED:
        ended = exited(pod, started=started, now=now, code=_SIGKILL, output=output)
        ended["status"].update({"reason": "Evicted", "message": _MEMORY_LOW})
        return ended
    if failure.kind is FailureKind.NODE_SHUTDOWN:
        ended = exited(pod, started=started, now=now, code=failure.code, output=output)
        ended["status"].update({"phase": "Failed", "reason": failure.text, "message": _SHUTDOWN})
        return ended
    if failure.kind is FailureKind.PREEMPTED:
        ended = exited(pod, started=started, now=now, code=_SIGTERM, output=output)
        return _disrupted(
            ended, "PreemptionByScheduler", "preempted by a pod of priority 1000", now
        )
    taint = "Taint manager: deleting due to NoExecute taint"
    return _disrupted(running(pod, started=started), "DeletionByTaintManager", taint, now)


def _rejected(pod: Mapping[str, Any], reason: str, message: str, arrived: datetime) -> Pod:
    status = {"phase": "Failed", "reason": reason, "message": message, "startTime": iso(arrived)}
    made = _with(pod, status)
    made["spec"]["nodeName"] = NODE
    return made


def _without_image(pod: Mapping[str, Any], arrived: datetime) -> Pod:
    main = next(each for each in pod["spec"]["containers"] if each["name"] == CONTAINER)
    image = main["image"]
    message = (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        f"{image}: not found"
    )
    return _on_node(
        pod, "Pending", {"waiting": {"reason": "ErrImagePull", "message": message}}, arrived
    )


def _disrupted(pod: Pod, reason: str, message: str, now: datetime) -> Pod:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": iso(now),
    }
    pod["status"]["conditions"] = [condition]
    pod["metadata"]["deletionTimestamp"] = iso(now)
    pod["metadata"]["deletionGracePeriodSeconds"] = 0
    return pod


def _on_node(pod: Mapping[str, Any], phase: str, state: Pod, arrived: datetime) -> Pod:
    container = {"name": CONTAINER, "imageID": "", "state": state}
    others = [
        {"name": each["name"], "state": state}
        for each in pod["spec"]["containers"]
        if each["name"] != CONTAINER
    ]
    status = {
        "phase": phase,
        "startTime": iso(arrived),
        "containerStatuses": [container, *others],
    }
    made = _with(pod, status)
    made["spec"]["nodeName"] = NODE
    return made


def _with(pod: Mapping[str, Any], status: Pod) -> Pod:
    made = copy.deepcopy(dict(pod))
    made["spec"].pop("schedulingGates", None)
    made["status"] = {"conditions": [], **status}
    return made
