"""What a pod that has not started waits for, and whether it will ever start.

A wait is never a failure by itself: for room, a queue, a quota or a volume a pod waits for ever,
if no `pending` limits it. One whose node cannot make a container (no such image, no such Secret)
fails once that is certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import QUEUE_LABEL, SLOT_GATE
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.records import Category, Diagnosis

PULL_PATIENCE_S = 900
"""How long an image may fail to be pulled for a reason that may pass, from the pod's arrival."""
CREATE_PATIENCE_S = 180
"""How long a container may fail to be created for a reason that may pass, from the arrival."""

_KUEUE_GATE = "kueue.x-k8s.io/admission"
# What the scheduler says, and what would help. All that match are told: nodes may refuse a pod for
# different reasons. Taints come last, since control planes have one that nobody means to tolerate.
_PLACE_CURES: Mapping[str, str] = {
    r'persistentvolumeclaim "[^"]*" not found': "Create the claim, or correct trial.volumes.",
    r"unbound immediate PersistentVolumeClaims": "See `kubectl describe pvc`: nothing has given "
    "the claim a volume yet.",
    r"node affinity|node selector": "No node has the labels that are asked for: see nodeSelector "
    "and affinity in trial.pod.spec, and `kubectl get nodes --show-labels`.",
    r"Insufficient (?P<what>\S+?)[,.]?(\s|$)": "It starts when room is free. If it never is, no "
    "node may have as much {what} as trial.resources asks for: see `kubectl describe nodes`.",
    r"Too many pods": "It starts when a pod on those nodes ends.",
    r"untolerated taint": "Tolerate the taint (trial.pod.spec.tolerations), or leave those nodes "
    "to others.",
}
# The reasons of a container's `waiting` state that its node gives: of its image, of all else.
_PULL = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CREATE = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
_BACK_OFF = re.compile(r'^Back-off pulling image "[^"]*"(: ErrImagePull: )?')
_FINAL_AT_ONCE = frozenset({"InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"})

_MAY_PASS = re.compile(
    r"timeout|timed out|deadline exceeded|connection (refused|reset)|no route to host"
    r"|too ?many ?requests|rate limit|\b(429|50[0234])\b|unexpected EOF|server misbehaving"
    r"|temporary|failed to sync|is reserved for|no space left",
    re.IGNORECASE,
)
_PULL_IS_FINAL = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|denied|unauthorized|forbidden"
    r"|authentication required|authorization failed|no basic auth|insufficient_scope"
    r"|no match for platform|invalid reference|unsupported media type",
    re.IGNORECASE,
)
_CREATE_IS_FINAL = re.compile(
    r"not found|couldn't find key|runAsNonRoot|non-numeric user|run as root|no command specified"
    r"|invalid|no such file or directory|permission denied",
    re.IGNORECASE,
)
# Reason and message, and what would help; the first that matches counts.
_PULL_CURES: Mapping[str, str] = {
    r"^ErrImageNeverPull": "Put the image on the node, or let it be pulled (imagePullPolicy in "
    "trial.pod)",
    r"denied|unauthor|forbidden|auth|scope": "See the image's name and tag (trial.image), and give "
    "the pull secret: trial.pod.spec.imagePullSecrets: [{name: ...}]",
    _MAY_PASS.pattern: "See whether the registry answers the nodes, and for its rate limits",
    r"": "See the image's name and tag (trial.image)",
}
_CREATE_CURES: Mapping[str, str] = {
    r"secret|configmap": "Create it in the pod's namespace, or correct its name or key in "
    "trial.env",
    r"run as root|runAsNonRoot|non-numeric": "Set trial.pod.spec.securityContext.runAsUser to a "
    "number other than 0",
    r"no command specified": "The image has no entrypoint: give trial.command",
    r"": "See trial.env, trial.volumes and trial.pod; `podmap render` shows the pod",
}


def waiting_reason(pod: PodJson) -> str:
    """What the pod waits for, as one line; empty if it runs or has ended."""
    if fields.is_terminal(pod) or fields.ended(pod) is not None:
        return ""
    if fields.state(fields.trial_container(pod), "running") is not None:
        return ""
    return _held(pod) or _unplaced(pod) or _unready(pod)


def unschedulable(pod: PodJson) -> Diagnosis | None:
    """Why no node takes the pod so far, with what would help; None if that is not its trouble.

    It is a diagnosis of a wait: the pod goes on waiting.
    """
    told = fields.condition(pod, "PodScheduled")
    if told is None or told.get("reason") != "Unschedulable" or fields.is_terminal(pod):
        return None
    message = told.get("message") or ""
    return Diagnosis(Category.UNSCHEDULABLE, _shortened(message), message, _cure(message))


def never_started(pod: PodJson, pending_s: float) -> Diagnosis:
    """Why an attempt is given up that has not started in the time that it may wait.

    Args:
        pod: Its pod, which still waits.
        pending_s: How long it may.
    """
    placing = unschedulable(pod)
    reason = placing.summary if placing else waiting_reason(pod) or "nothing that is known"
    cure = f"{placing.resolution} " if placing else ""
    return Diagnosis(
        Category.UNSCHEDULABLE,
        f"it had not started after {pending_s:g} s (pending): {reason}",
        placing.detail if placing else "",
        f"{cure}A longer `pending`, or none, lets it wait; retries.unschedulable has it tried "
        "again.",
    )


def _held(pod: PodJson) -> str:
    gates = fields.gates(pod)
    others = [name for name in gates if name != SLOT_GATE]
    if _KUEUE_GATE in others:
        queue = pod["metadata"].get("labels", {}).get(QUEUE_LABEL, "?")
        return f"waits for Kueue to admit it in queue {queue}"
    if others:
        return f"held by the scheduling gate {others[0]}, which is not podmap's"
    return "waits for a slot (parallelism)" if gates else ""


def _unplaced(pod: PodJson) -> str:
    if pod["spec"].get("nodeName"):
        return ""
    found = unschedulable(pod)
    if found is None:
        return "waits for the scheduler"
    return f"{found.summary} {found.resolution}".strip()


def _unready(pod: PodJson) -> str:
    node = pod["spec"]["nodeName"]
    refused = _container_refusal(pod)
    if refused:
        return f"node {node} tries again to start it: {refused}"
    for each in fields.containers(pod, "initContainerStatuses"):
        if fields.state(each, "running") is not None and not each.get("started"):
            return f"its init container {each.get('name')} runs on node {node}"
    ready = fields.condition(pod, "PodReadyToStartContainers")
    if ready is not None and ready.get("status") == "False":
        name = pod["metadata"]["name"]
        return (
            f"node {node} has not made its volumes and network yet; if that takes long, "
            f"`kubectl describe pod {name}` says why"
        )
    return f"node {node} gets its image"


def _shortened(message: str) -> str:
    """The scheduler's message without what preemption would not help."""
    text = re.split(r"\b(preemption:|no new claims to )", message)[0].strip().rstrip(".")
    return f"no node takes it: {text}." if text else "no node takes it."


def _cure(message: str) -> str:
    found = [(re.search(pattern, message), cure) for pattern, cure in _PLACE_CURES.items()]
    cures = [cure.format(**match.groupdict()) for match, cure in found if match is not None]
    return " ".join(cures) or "See `kubectl describe pod`."


def diagnose_stuck(
    pod: PodJson, *, now: datetime, placed: datetime | None = None
) -> Diagnosis | None:
    """Why a pod on a node can never start; None while it may yet.

    What a registry or node says decides: that an image is not there or may not be had, or that a
    Secret is missing, is final at once. What may pass (a registry that does not answer or asks
    for patience) and what is not understood is given 15 minutes for an image, 3 for the rest.

    Args:
        pod: Not ended, and not being deleted.
        now: The time.
        placed: When it was first seen on its node, by the same clock; None for the node's own word.
    """
    for name, waiting in _refused_containers(pod):
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        if not _is_final(reason, message) and not _patience_is_over(pod, reason, now, placed):
            continue
        if reason in _PULL:
            return _no_image(pod, name, reason, message)
        return _no_container(name, reason, message)
    return None


def patience_ends(pod: PodJson, placed: datetime | None = None) -> datetime | None:
    """When the patience with a pod ends; None if there is nothing to be patient with.

    Args:
        pod: As the API gives it.
        placed: As `diagnose_stuck` takes it.
    """
    ends = [
        _patience_end(pod, waiting.get("reason") or "", placed)
        for _, waiting in _refused_containers(pod)
    ]
    return min((end for end in ends if end is not None), default=None)


def _container_refusal(pod: PodJson) -> str:
    """What the node says of a container that it cannot make so far; empty if it does not."""
    for name, waiting in _refused_containers(pod):
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        if reason not in _PULL:
            return f"container {name}: {reason}: {message}"
        # While it tries again, two reasons take turns: one line for both.
        reason = "ErrImagePull" if reason == "ImagePullBackOff" else reason
        said = _BACK_OFF.sub("", message)
        return (
            f"image {_image(pod, name)}: {reason}: {said}; it is given up "
            f"{PULL_PATIENCE_S // 60} minutes after the pod came there (see trial.image)"
        )
    return ""


def _refused_containers(pod: PodJson) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in fields.all_containers(pod):
        waiting = fields.state(each, "waiting")
        if waiting is not None and waiting.get("reason") in _PULL | _CREATE:
            yield each.get("name", "?"), waiting


def _is_final(reason: str, message: str) -> bool:
    if reason in _FINAL_AT_ONCE:
        return True
    if _MAY_PASS.search(message):
        return False
    final = _PULL_IS_FINAL if reason in _PULL else _CREATE_IS_FINAL
    return final.search(message) is not None


def _patience_is_over(pod: PodJson, reason: str, now: datetime, placed: datetime | None) -> bool:
    end = _patience_end(pod, reason, placed)
    return end is not None and now >= end


def _patience_end(pod: PodJson, reason: str, placed: datetime | None) -> datetime | None:
    arrived = placed or fields.moment(fields.status_of(pod).get("startTime"))
    if arrived is None:
        return None
    patience_s = PULL_PATIENCE_S if reason in _PULL else CREATE_PATIENCE_S
    return arrived + timedelta(seconds=patience_s)


def _no_image(pod: PodJson, name: str, reason: str, message: str) -> Diagnosis:
    return Diagnosis(
        Category.IMAGE_PULL,
        f"image {_image(pod, name)} cannot be pulled ({reason})",
        message,
        f"{_first_cure(_PULL_CURES, reason, message)}. The run stops, since every trial needs the "
        "image.",
    )


def _no_container(name: str, reason: str, message: str) -> Diagnosis:
    return Diagnosis(
        Category.CREATE_ERROR,
        f"container {name} cannot be created ({reason}): {_first_words(message)}".rstrip(": "),
        message,
        f"{_first_cure(_CREATE_CURES, reason, message)}. The run stops, since every trial would "
        "fail so.",
    )


def _first_cure(cures: Mapping[str, str], reason: str, message: str) -> str:
    text = f"{reason}: {message}"
    return next(cure for pattern, cure in cures.items() if re.search(pattern, text, re.IGNORECASE))


def _first_words(message: str, limit: int = 120) -> str:
    words = " ".join(message.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _image(pod: PodJson, name: str) -> str:
    return str(fields.container_spec(pod, name).get("image") or "?")
