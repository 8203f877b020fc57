"""Pods whose containers cannot be made: which will never start, and which may yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.records import Category, Diagnosis

PULL_PATIENCE_S = 900
"""How long an image may fail to be pulled for a reason that may pass, from the pod's arrival."""
CREATE_PATIENCE_S = 180
"""How long a container may fail to be created for a reason that may pass, from the arrival."""

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
_AT_ONCE = frozenset({"InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"})

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


def diagnose_stuck(pod: PodJson, *, now: datetime) -> Diagnosis | None:
    """Why a pod on a node can never start; None while it may yet.

    What a registry or node says decides: that an image is not there or may not be had, or that a
    Secret is missing, is final at once. What may pass (a registry that does not answer or asks
    for patience) and what is not understood is given 15 minutes for an image, 3 for the rest.

    Args:
        pod: Not ended, and not being deleted.
        now: The time.
    """
    for name, waiting in _refused(pod):
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        if not _is_final(reason, message) and not _patience_is_over(pod, reason, now):
            continue
        if reason in _PULL:
            return _no_image(pod, name, reason, message)
        return _no_container(name, reason, message)
    return None


def stuck_until(pod: PodJson) -> datetime | None:
    """When the patience with a pod ends; None if there is nothing to be patient with."""
    ends = [_patience_end(pod, waiting.get("reason") or "") for _, waiting in _refused(pod)]
    return min((end for end in ends if end is not None), default=None)


def refusal(pod: PodJson) -> str:
    """What the node says of a container that it cannot make so far; empty if it does not."""
    for name, waiting in _refused(pod):
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


def _refused(pod: PodJson) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for each in fields.all_containers(pod):
        waiting = fields.state(each, "waiting")
        if waiting is not None and waiting.get("reason") in _PULL | _CREATE:
            yield each.get("name", "?"), waiting


def _is_final(reason: str, message: str) -> bool:
    if reason in _AT_ONCE:
        return True
    if _MAY_PASS.search(message):
        return False
    final = _PULL_IS_FINAL if reason in _PULL else _CREATE_IS_FINAL
    return final.search(message) is not None


def _patience_is_over(pod: PodJson, reason: str, now: datetime) -> bool:
    end = _patience_end(pod, reason)
    return end is not None and now >= end


def _patience_end(pod: PodJson, reason: str) -> datetime | None:
    arrived = fields.moment(fields.status_of(pod).get("startTime"))
    if arrived is None:
        return None
    patience_s = PULL_PATIENCE_S if reason in _PULL else CREATE_PATIENCE_S
    return arrived + timedelta(seconds=patience_s)


def _no_image(pod: PodJson, name: str, reason: str, message: str) -> Diagnosis:
    image = _image(pod, name)
    cure = "See the image's name and tag (trial.image)"
    if reason == "ErrImageNeverPull":
        cure = "Put the image on the node, or let it be pulled (imagePullPolicy in trial.pod)"
    elif re.search(r"denied|unauthor|forbidden|auth|scope", message, re.IGNORECASE):
        cure += ", and give the pull secret: trial.pod.spec.imagePullSecrets: [{name: ...}]"
    elif _MAY_PASS.search(message):
        cure = "See whether the registry answers the nodes, and for its rate limits"
    return Diagnosis(
        Category.IMAGE_PULL,
        f"image {image} cannot be pulled ({reason})",
        message,
        f"{cure}. The run stops, since every trial needs the image.",
    )


def _no_container(name: str, reason: str, message: str) -> Diagnosis:
    cure = "See trial.env, trial.volumes and trial.pod; `podmap render` shows the pod"
    if re.search(r"secret|configmap", message, re.IGNORECASE):
        cure = "Create it in the pod's namespace, or correct its name or key in trial.env"
    elif re.search(r"run as root|runAsNonRoot|non-numeric", message):
        cure = "Set trial.pod.spec.securityContext.runAsUser to a number other than 0"
    elif "no command specified" in message:
        cure = "The image has no entrypoint: give trial.command"
    return Diagnosis(
        Category.CREATE_ERROR,
        f"container {name} cannot be created ({reason}): {_first_words(message)}".rstrip(": "),
        message,
        f"{cure}. The run stops, since every trial would fail so.",
    )


def _first_words(message: str, limit: int = 120) -> str:
    words = " ".join(message.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _image(pod: PodJson, name: str) -> str:
    for key in ("containers", "initContainers"):
        for each in pod["spec"].get(key) or ():
            if each["name"] == name:
                return str(each.get("image") or "?")
    return "?"
