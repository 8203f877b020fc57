"""Why attempts end: the statuses are as a Kubernetes 1.36 writes them, shortened."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from podmap.backends.kubernetes.diagnosis.observe import diagnose, killed_annotation
from podmap.clock import parse_iso
from podmap.records import Category, Diagnosis

from .statuses import make_pod

STARTED = "2026-11-22T10:00:05Z"
RUNNING = {"running": {"startedAt": STARTED}}
EVICTED_FOR_MEMORY = (
    "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
    "Container trial was using 5Gi, request is 1Gi, has larger consumption of memory. "
)
RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: "


def at(text: str) -> str:
    """A time on the pods' day."""
    return f"2026-11-22T{text}Z"


def ended(code: int, reason: str = "", message: str = "", finished: str = "10:05:00") -> Any:
    reason = reason or ("Error" if code else "Completed")
    state = {"exitCode": code, "reason": reason, "startedAt": STARTED, "finishedAt": at(finished)}
    return {"terminated": {**state, "message": message} if message else state}


def waiting(reason: str, message: str = "") -> Any:
    return {"waiting": {"reason": reason, "message": message}}


def disrupted(reason: str, message: str = "", when: str = "10:04:00", kind: str = "") -> Any:
    return {
        "type": kind or "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": at(when),
    }


def deleted(due: str = "10:04:30", grace_s: int = 30, **annotations: str) -> dict[str, Any]:
    return {
        "deletionTimestamp": at(due),
        "deletionGracePeriodSeconds": grace_s,
        "annotations": annotations,
    }


ENDS = {
    "exit code": ({"state": ended(1, message="Boom")}, "user_exit", "ended with exit code 1"),
    "segfault": ({"state": ended(139)}, "user_exit", r"exit code 139 \(SIGSEGV\)"),
    "memory": (
        {"state": ended(137, "OOMKilled")},
        "oom",
        "container trial was killed for memory: it used more than its limit of 16Gi",
    ),
    "memory of a worker process": ({"state": ended(1, "OOMKilled")}, "oom", "limit of 16Gi"),
    "memory of the node": ({"state": ended(137)}, "user_exit", r"137 \(SIGKILL\)"),
    "too little memory to start": (
        {
            "state": ended(
                128,
                "StartError",
                RUNC + "container init was OOM-killed (memory limit too low?): unknown",
            )
        },
        "oom",
        "limit of 16Gi",
    ),
    "memory of an init container": (
        {"phase": "Failed", "init": ended(137, "OOMKilled"), "state": waiting("PodInitializing")},
        "oom",
        "container fetch was killed for memory: it used more than its node had left",
    ),
    "memory of a sidecar": (
        {"phase": "Failed", "state": ended(1), "sidecar": ended(137, "OOMKilled")},
        "oom",
        "container proxy was killed",
    ),
    "init container": (
        {"phase": "Failed", "init": ended(3), "state": waiting("PodInitializing")},
        "user_exit",
        "init container fetch ended with exit code 3, so the trial never started",
    ),
    "evicted for memory": (
        {
            "phase": "Failed",
            "reason": "Evicted",
            "message": EVICTED_FOR_MEMORY,
            "state": ended(137),
            "conditions": (disrupted("TerminationByKubelet"),),
        },
        "evicted",
        "evicted: node gpu-7 ran low on memory",
    ),
    "evicted for its disk": (
        {
            "phase": "Failed",
            "reason": "Evicted",
            "message": "Pod ephemeral local storage usage exceeds the total limit of containers",
            "state": ended(137),
        },
        "evicted",
        "evicted: it used more disk than it may",
    ),
    "evicted before its containers were known": (
        {"phase": "Failed", "reason": "Evicted", "message": "Pod The node had condition: [Disk]"},
        "evicted",
        "evicted: node gpu-7 evicted the pod",
    ),
    "drained": (
        {
            "metadata": deleted(),
            "state": ended(143, finished="10:04:01"),
            "conditions": (disrupted("EvictionByEvictionAPI", "Eviction API: evicting"),),
        },
        "evicted",
        "evicted from node gpu-7",
    ),
    "disrupted by something new": (
        {"state": ended(143), "conditions": (disrupted("DeletionBySomethingNew"),)},
        "evicted",
        r"evicted \(DeletionBySomethingNew\)",
    ),
    "preempted": (
        {
            "metadata": deleted(),
            "state": ended(143, finished="10:04:00"),
            "conditions": (disrupted("PreemptionByScheduler", "default-scheduler: preempting"),),
        },
        "preempted",
        "gave its place on gpu-7 to a pod of higher priority",
    ),
    "preempted, and its SIGTERM handler ends with 0": (
        {"state": ended(0), "conditions": (disrupted("PreemptionByScheduler"),)},
        "preempted",
        "higher priority",
    ),
    "stopped by Kueue": (
        {
            "metadata": deleted(),
            "state": ended(143),
            "conditions": (disrupted("StoppedByKueue", "Preempted", kind="TerminationTarget"),),
        },
        "preempted",
        "Kueue took its quota back",
    ),
    "ended for a critical pod": (
        {"phase": "Failed", "reason": "Preempting", "state": ended(137)},
        "preempted",
        "room for a critical one",
    ),
    "node shut down": (
        {"phase": "Failed", "reason": "Terminated", "state": ended(143)},
        "node_lost",
        "node gpu-7 shut down or was lost",
    ),
    **{
        f"{reason} with exit code {code}": (
            {"phase": "Failed", "reason": reason, "message": "why", "state": ended(code)},
            "node_lost",
            rf"node gpu-7 ended the pod \({reason}\)",
        )
        for reason in ("NodeShutdown", "UnexpectedAdmissionError", "NodeAffinity", "Drained")
        for code in (137, 143)
    },
    "a failure of its own, whatever the node says later": (
        {"phase": "Failed", "reason": "NodeAffinity", "state": ended(3)},
        "user_exit",
        "exit code 3",
    ),
    "node gone": (
        {"phase": "Failed", "state": RUNNING, "conditions": (disrupted("DeletionByPodGC"),)},
        "node_lost",
        "node gpu-7 is gone",
    ),
    "node back after a restart": (
        {"phase": "Failed", "state": ended(255, "Unknown")},
        "node_lost",
        "lost track of the container",
    ),
    "container not found any more": (
        {"phase": "Failed", "state": ended(137, "ContainerStatusUnknown")},
        "node_lost",
        "lost track of the container",
    ),
    "no trace": ({"phase": "Failed"}, "node_lost", "left no exit code"),
    "refused by its node": (
        {
            "phase": "Failed",
            "reason": "OutOfcpu",
            "message": "Pod was rejected: Node didn't have enough resource: cpu",
        },
        "node_rejected",
        r"node gpu-7 refused the pod \(OutOfcpu\)",
    ),
    "refused with a status of its containers": (
        {"phase": "Failed", "reason": "UnexpectedAdmissionError", "state": waiting("Creating")},
        "node_rejected",
        "UnexpectedAdmissionError",
    ),
    "command not in the image": (
        {
            "state": ended(
                128,
                "StartError",
                RUNC + 'exec: "pythn": executable file not found in $PATH: unknown',
            )
        },
        "create_error",
        'the command of container trial cannot be started in its image: "pythn": executable file '
        "not found",
    ),
    "runtime trouble": (
        {
            "state": ended(
                128, "StartError", RUNC + "nvidia-container-cli: mount error: no such file"
            )
        },
        "node_rejected",
        "node gpu-7 could not start container trial",
    ),
    "deadline of the pod": (
        {
            "phase": "Failed",
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
            "spec": {"nodeName": "gpu-7", "activeDeadlineSeconds": 5400, "containers": []},
            "state": ended(143),
        },
        "user_timeout",
        "longer than activeDeadlineSeconds, 5400 s",
    ),
    "deleted by hand": (
        {"metadata": deleted(), "state": ended(137, finished="10:04:30")},
        "evicted",
        "deleted while it waited or ran, and not by its podmap run",
    ),
}


@pytest.mark.parametrize(("pod", "category", "summary"), ENDS.values(), ids=ENDS)
def test_each_end_has_its_category_and_a_cure(
    pod: dict[str, Any], category: str, summary: str
) -> None:
    found = diagnose(make_pod(**pod))
    assert found is not None
    assert Category(category) is found.category
    assert re.search(summary, found.summary), found.summary
    assert "\n" not in found.summary
    assert found.resolution.endswith(".")


GOOD = {
    "ended well": {"phase": "Succeeded", "state": ended(0, message='{"y": 1}')},
    "ended well without a result": {"phase": "Succeeded", "state": ended(0)},
    "a child was killed for memory, and the trial did without": {"state": ended(0, "OOMKilled")},
    "ended well, its sidecar did not": {"phase": "Failed", "state": ended(0), "sidecar": ended(1)},
    "ended well, then deleted": {
        "metadata": deleted(due="10:05:00", grace_s=0),
        "state": ended(0, finished="10:04:59"),
    },
    "result first, preempted in the same second": {
        "metadata": deleted(),
        "state": ended(0, message='{"y": 1}', finished="10:04:00"),
        "conditions": (disrupted("PreemptionByScheduler"),),
    },
    "running": {"state": RUNNING},
    "being preempted, but still running": {
        "metadata": deleted(),
        "state": RUNNING,
        "conditions": (disrupted("PreemptionByScheduler"),),
    },
    "new": {"phase": "Pending", "startTime": None, "spec": {"nodeName": None}},
    "waiting for its image": {"phase": "Pending", "state": waiting("ContainerCreating")},
    "its sidecar crashes": {"state": RUNNING, "sidecar": waiting("CrashLoopBackOff")},
}


@pytest.mark.parametrize("pod", GOOD.values(), ids=GOOD)
def test_what_ended_well_or_goes_on_has_no_diagnosis(pod: dict[str, Any]) -> None:
    assert diagnose(make_pod(**pod), now=parse_iso(at("10:04:10"))) is None


def test_a_failure_before_a_disruption_keeps_its_own_cause() -> None:
    pod = make_pod(
        metadata=deleted(),
        state=ended(1, finished="10:04:00"),
        conditions=(disrupted("EvictionByEvictionAPI", when="10:04:00"),),
    )
    assert Category.USER_EXIT is diagnose(pod).category


REASON = Diagnosis(Category.USER_TIMEOUT, "over its 2 h", "detail", "raise trial.timeout")


@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_what_podmap_ended_carries_podmaps_reason(code: int) -> None:
    pod = make_pod(
        metadata=deleted(**killed_annotation(REASON)),
        state=ended(code, message='{"y": 1}', finished="10:04:20"),
    )
    assert REASON == diagnose(pod)


@pytest.mark.parametrize("state", [ended(0), ended(143), None], ids=["0", "143", "unstarted"])
def test_a_deadline_that_podmap_set_to_end_it_carries_the_reason(
    state: dict[str, Any] | None,
) -> None:
    annotations = {"annotations": killed_annotation(REASON)}
    name = {"name": "digits-0badcafe-3-a1"}
    pod = make_pod(
        phase="Failed", reason="DeadlineExceeded", metadata={**name, **annotations}, state=state
    )
    assert REASON == diagnose(pod)


def test_what_ended_before_podmap_ended_it_keeps_its_own_end() -> None:
    pod = make_pod(
        metadata=deleted(**killed_annotation(REASON)),
        state=ended(0, message='{"y": 1}', finished="10:03:59"),
    )
    assert diagnose(pod) is None


def test_a_reason_without_a_deletion_or_deadline_does_not_count() -> None:
    pod = make_pod(metadata={"annotations": killed_annotation(REASON)}, state=ended(0))
    assert diagnose(pod) is None


def test_a_reason_that_cannot_be_read_is_a_cancellation() -> None:
    pod = make_pod(
        metadata=deleted(**{"podmap.io/killed-because": "[]"}),
        state=ended(143, finished="10:04:20"),
    )
    assert Category.CANCELLED is diagnose(pod).category


def test_the_end_of_the_log_stands_in_the_detail() -> None:
    found = diagnose(make_pod(state=ended(1, message="Traceback ...\nValueError: lr\n")))
    assert found is not None
    assert "Traceback ...\nValueError: lr" == found.detail


def test_a_result_is_no_log() -> None:
    found = diagnose(make_pod(state=ended(1, message=json.dumps({"y": 1}))))
    assert found is not None
    assert "" == found.detail


def test_a_node_that_does_not_answer_a_deletion_is_lost() -> None:
    pod = make_pod(
        metadata=deleted(due="10:04:30"),
        state=RUNNING,
        conditions=(disrupted("DeletionByTaintManager", "NoExecute taint"),),
    )
    assert diagnose(pod, now=parse_iso(at("10:05:29"))) is None
    found = diagnose(pod, now=parse_iso(at("10:05:30")))
    assert found is not None
    assert (Category.NODE_LOST, "node gpu-7 does not answer") == (found.category, found.summary)
    assert "DeletionByTaintManager" in found.detail
