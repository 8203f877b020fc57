"""Why a pod that has ended, or is gone, did not end well: who ended it, or its exit code."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import CONTAINER
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.records import Category, Diagnosis

_DETAIL_CHARS = 2000
_CHECKPOINTS = (
    "It is tried again (retries.infra); a trial that writes checkpoints to $PODMAP_CHECKPOINT "
    "loses little."
)
_SIGNALLED = (0, 137, 143)
"""Exit codes that an end by SIGTERM and SIGKILL may have: 0 where SIGTERM is handled."""

_KILLED = (137, 143)

# Where the image or command is at fault, no node will start it. Else the node is.
_BAD_COMMAND = re.compile(
    r"\bexec: \"|exec format error|executable file|exec user process|chdir to cwd"
    r"|no command specified",
    re.IGNORECASE,
)
_OOM_AT_START = re.compile(r"OOM-killed|memory limit too low", re.IGNORECASE)

_READ_THE_LOG = "Read the end of the log; `podmap render` shows the command, to run it by hand."
_EXIT_CURES = {
    126: "The program was found but cannot be executed: see its permissions and its first line.",
    127: "A shell did not find the program: see the image's PATH.",
    128 + signal.SIGILL: "The program uses instructions that the node's processor lacks: choose "
    "other nodes (trial.pod.spec.nodeSelector), or build for an older processor.",
    128 + signal.SIGBUS: "Often /dev/shm is full, as with data loaders of several processes: give "
    "trial.shm, for example shm: 8Gi.",
    128 + signal.SIGSEGV: "Native code crashed: see that the versions of drivers and libraries in "
    "the image fit the node, and PYTHONFAULTHANDLER=1 to see where.",
    128 + signal.SIGKILL: "SIGKILL from outside the container, or from itself. The kernel may have "
    "killed it when the whole node ran out of memory: give trial.resources.memory, and look "
    "at the node's kernel log.",
    128 + signal.SIGTERM: "SIGTERM from inside the container: see what in it ends the process.",
}

# The reason that the kubelet gives a whole pod, and what it says.
_KUBELET_ENDS: Mapping[str, tuple[Category, str]] = {
    "Preempting": (Category.PREEMPTED, "node {node} ended the pod to make room for a critical one"),
    "Terminated": (Category.NODE_LOST, "node {node} shut down or was lost"),
    "Shutdown": (Category.NODE_LOST, "node {node} shut down or was lost"),
    "NodeLost": (Category.NODE_LOST, "node {node} shut down or was lost"),
}
# The reason of the condition by which the control plane or a queue ends a pod.
_DISRUPTIONS: Mapping[str, tuple[Category, str]] = {
    "PreemptionByScheduler": (
        Category.PREEMPTED,
        "preempted: the scheduler gave its place on {node} to a pod of higher priority",
    ),
    "StoppedByKueue": (Category.PREEMPTED, "preempted: Kueue took its quota back"),
    "EvictionByEvictionAPI": (
        Category.EVICTED,
        "evicted from node {node}, as in a drain or a scale-down",
    ),
    "DeletionByTaintManager": (
        Category.NODE_LOST,
        "node {node} was lost, or got a NoExecute taint",
    ),
    "DeletionByPodGC": (Category.NODE_LOST, "node {node} is gone"),
    "TerminationByKubelet": (Category.NODE_LOST, "node {node} ended the pod"),
}
_DISRUPTION_CURES: Mapping[Category, str] = {
    Category.PREEMPTED: "A higher kubernetes.priority_class keeps its place. ",
    Category.EVICTED: "",
    Category.NODE_LOST: "Look at `kubectl describe node {node}`. ",
}


def diagnose_end(pod: PodJson, *, killed: Diagnosis | None) -> Diagnosis | None:
    """Why an attempt did not end well; None if its container ended with exit code 0.

    What first ended the attempt counts: a pod that is deleted, evicted or preempted after its
    container has ended keeps its own end, and an exit code that comes of the deletion does not
    count. A result that came with exit code 0 counts unless podmap itself had ended the attempt.

    Args:
        pod: Ended, or gone.
        killed: Why podmap ended it; None if it did not.
    """
    ended = fields.ended(pod)
    asked = fields.deletion_asked(pod)
    if killed is not None:
        # podmap ends a pod by its deadline, and deletes it where that is not enough.
        past_deadline = fields.status_of(pod).get("reason") == "DeadlineExceeded"
        if past_deadline or (asked is not None and not _ended_before(ended, asked)):
            return killed
    if ended is not None and ended.get("exitCode") == 0 and ended.get("message"):
        return None
    return (
        _by_kubelet(pod)
        or _by_control_plane(pod, ended)
        or _by_deletion(pod, ended, asked)
        or _by_container(pod, ended)
    )


def _ended_before(ended: Mapping[str, Any] | None, moment: datetime | None) -> bool:
    """Whether the trial's container ended by itself before that; times are whole seconds."""
    finished = fields.moment((ended or {}).get("finishedAt"))
    if ended is None or finished is None or moment is None:
        return False
    own = ended.get("exitCode") not in _SIGNALLED or ended.get("reason") == "OOMKilled"
    return finished < moment or (finished == moment and own)


def _by_kubelet(pod: PodJson) -> Diagnosis | None:
    """An end that the kubelet decided, which it writes as the whole pod's reason."""
    reason = fields.status_of(pod).get("reason") or ""
    message = (fields.status_of(pod).get("message") or "").strip()
    node = _node(pod)
    if reason == "Evicted":
        return _evicted(message, node)
    if reason == "DeadlineExceeded":
        return _past_deadline(pod, message)
    if reason in _KUBELET_ENDS:
        category, text = _KUBELET_ENDS[reason]
        return Diagnosis(category, text.format(node=node), message, _CHECKPOINTS)
    started = any(fields.state(each, "waiting") is None for each in fields.all_containers(pod))
    if reason and not started:
        return Diagnosis(
            Category.NODE_REJECTED,
            f"node {node} refused the pod ({reason})",
            message,
            "It is tried again (retries.infra). It happens when the node's room is taken between "
            "scheduling and arrival, or when its devices are not ready; if it goes on, look at "
            f"`kubectl describe node {node}`.",
        )
    code = (fields.ended(pod) or {}).get("exitCode")
    if reason and (code is None or code in _KILLED):
        text = f"node {node} ended the pod ({reason})"
        return Diagnosis(Category.NODE_LOST, text, message, _CHECKPOINTS)
    return None


def _evicted(message: str, node: str) -> Diagnosis:
    resource = re.search(r"low on resource: ([\w./-]*\w)", message)
    disk = re.search(r"ephemeral[- ](local )?storage|emptydir volume", message, re.IGNORECASE)
    if resource:
        cure = f"Ask for as much {resource[1]} as it uses (trial.resources), and it goes last. "
        what = f"node {node} ran low on {resource[1]}"
    elif disk:
        cure = "Raise trial.resources.disk, or the `empty` of its volume, or write less to disk. "
        what = "it used more disk than it may"
    else:
        cure, what = "", f"node {node} evicted the pod"
    return Diagnosis(Category.EVICTED, f"evicted: {what}", message, cure + _CHECKPOINTS)


def _past_deadline(pod: PodJson, message: str) -> Diagnosis:
    limit = pod["spec"].get("activeDeadlineSeconds")
    return Diagnosis(
        Category.USER_TIMEOUT,
        f"it was on its node for longer than activeDeadlineSeconds, {limit} s",
        message,
        "This is the safety net behind trial.timeout, which no podmap process was there to "
        "enforce; or the overlay sets activeDeadlineSeconds. Raise trial.timeout if the trial "
        "needs longer.",
    )


def _by_control_plane(pod: PodJson, ended: Mapping[str, Any] | None) -> Diagnosis | None:
    """An end that the control plane or a queue decided, which it tells in a condition."""
    for kind in ("DisruptionTarget", "TerminationTarget"):
        told = fields.condition(pod, kind)
        if told is None or told.get("status") != "True":
            continue
        if _ended_before(ended, fields.moment(told.get("lastTransitionTime"))):
            continue
        reason = told.get("reason") or kind
        category, text = _DISRUPTIONS.get(reason, (Category.EVICTED, f"evicted ({reason})"))
        return Diagnosis(
            category,
            text.format(node=_node(pod)),
            told.get("message") or "",
            _DISRUPTION_CURES[category].format(node=_node(pod)) + _CHECKPOINTS,
        )
    return None


def _by_deletion(
    pod: PodJson, ended: Mapping[str, Any] | None, asked: datetime | None
) -> Diagnosis | None:
    if asked is None or _ended_before(ended, asked):
        return None
    code = None if ended is None else ended.get("exitCode")
    return Diagnosis(
        Category.EVICTED,
        "the pod was deleted while it waited or ran, and not by its podmap run",
        _detail(ended, None if code is None else f"Its container ended with exit code {code}."),
        "Somebody or something deleted it: `kubectl delete`, a clean-up job, a controller; the "
        "API server's audit log says who. " + _CHECKPOINTS,
    )


def _by_container(pod: PodJson, ended: Mapping[str, Any] | None) -> Diagnosis | None:
    if ended is not None and ended.get("exitCode") == 0:
        return None
    if ended is not None:
        return _of_container(pod, CONTAINER, ended) or _own_failure(pod, ended)
    for each in fields.containers(pod, "initContainerStatuses"):
        stopped = fields.state(each, "terminated")
        if stopped is not None and stopped.get("exitCode") != 0:
            name = each.get("name", "?")
            return _of_container(pod, name, stopped) or _init_failure(name, stopped)
    return Diagnosis(
        Category.NODE_LOST,
        "the pod is gone, or has failed, and its trial left no exit code",
        fields.status_of(pod).get("message") or "",
        "Its node was lost, or somebody deleted it while nobody watched. " + _CHECKPOINTS,
    )


def _which(message: str) -> str:
    found = re.search(r'exec: ("[^"]{1,100}": [^:]{1,80})', message)
    return f": {found[1].strip()}" if found else ""


def _of_container(pod: PodJson, name: str, ended: Mapping[str, Any]) -> Diagnosis | None:
    """What can end a container besides its own program."""
    reason, message = ended.get("reason") or "", ended.get("message") or ""
    start_failed = reason in ("StartError", "ContainerCannotRun")
    if reason == "OOMKilled" or (start_failed and _OOM_AT_START.search(message)):
        return _oom(pod, name, ended)
    if reason in ("ContainerStatusUnknown", "Unknown"):
        return Diagnosis(
            Category.NODE_LOST,
            f"node {_node(pod)} lost track of the container, as after a restart",
            message,
            _CHECKPOINTS,
        )
    if not start_failed:
        return None
    if _BAD_COMMAND.search(message):
        return Diagnosis(
            Category.CREATE_ERROR,
            f"the command of container {name} cannot be started in its image{_which(message)}",
            message,
            "See that trial.command names a program that is in the image and executable, and that "
            "the working directory exists; `podmap render` shows what is started.",
        )
    return Diagnosis(
        Category.NODE_REJECTED,
        f"node {_node(pod)} could not start container {name}",
        message,
        "It is tried again (retries.infra). If it is always the same node, cordon it: "
        f"`kubectl cordon {_node(pod)}`, and look at its runtime, disk and devices.",
    )


def _oom(pod: PodJson, name: str, ended: Mapping[str, Any]) -> Diagnosis:
    limit = _memory_limit(pod, name)
    more = f"more than its limit of {limit}" if limit else "more than its node had left"
    cure = "Raise trial.resources.memory, or let podmap do it: retries.oom.times."
    if name != CONTAINER:
        cure = f"Raise the memory limit of container {name} in trial.pod.spec."
    elif not limit:
        cure = "Give trial.resources.memory, so that the trial gets a node with room for it."
    facts = f"Exit code {ended.get('exitCode')} on node {_node(pod)}, reason OOMKilled."
    return Diagnosis(
        Category.OOM,
        f"container {name} was killed for memory: it used {more}",
        _detail(ended, facts),
        cure,
    )


def _memory_limit(pod: PodJson, name: str) -> str:
    resources = fields.container_spec(pod, name).get("resources") or {}
    return str((resources.get("limits") or {}).get("memory") or "")


def _explain_exit(code: int) -> tuple[str, str]:
    """What follows an exit code in a sentence, may be empty, and what to do."""
    cure = _EXIT_CURES.get(code)
    try:
        name = f" ({signal.Signals(code - 128).name})" if code > 128 else ""
    except ValueError:
        name = ""
    return name, f"{cure} {_READ_THE_LOG}" if cure else _READ_THE_LOG


def _own_failure(pod: PodJson, ended: Mapping[str, Any]) -> Diagnosis:
    code = int(ended.get("exitCode") or 0)
    for each in fields.all_containers(pod):
        stopped = fields.state(each, "terminated") or {}
        if each.get("name") != CONTAINER and stopped.get("reason") == "OOMKilled":
            return _oom(pod, each.get("name", "?"), stopped)
    what, cure = _explain_exit(code)
    return Diagnosis(
        Category.USER_EXIT,
        f"the training command ended with exit code {code}{what}",
        _detail(ended, None),
        cure,
    )


def _init_failure(name: str, ended: Mapping[str, Any]) -> Diagnosis:
    code = int(ended.get("exitCode") or 0)
    what, cure = _explain_exit(code)
    return Diagnosis(
        Category.USER_EXIT,
        f"init container {name} ended with exit code {code}{what}, so the trial never started",
        _detail(ended, None),
        cure,
    )


def _detail(ended: Mapping[str, Any] | None, facts: str | None) -> str:
    """The facts, and the end of the log where the kubelet gave it."""
    message = ((ended or {}).get("message") or "").strip()
    if _is_result(message):
        message = ""
    return "\n".join(part for part in (facts, message[-_DETAIL_CHARS:]) if part)


def _is_result(message: str) -> bool:
    try:
        return isinstance(json.loads(message), dict)
    except (ValueError, RecursionError):
        return False


def _node(pod: PodJson) -> str:
    return (pod.get("spec") or {}).get("nodeName") or "?"
