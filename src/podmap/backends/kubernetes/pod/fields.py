"""The fields of a pod that podmap reads: labels, gates, states; safe where one is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from podmap.backends.kubernetes.pod.build import CONTAINER
from podmap.clock import parse_iso
from podmap.names import (
    ATTEMPT_LABEL,
    EPOCH_LABEL,
    RUN_LABEL,
    SWEEP_LABEL,
    TRIAL_LABEL,
    attempt_name,
    is_run_id,
)
from podmap.spec.quantity import parse_bytes

PodJson = Mapping[str, Any]
"""A pod as the API gives it: raw JSON."""
_DROPPED_OF_CONTAINERS = ("args", "command", "env", "envFrom", "volumeMounts")

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a pod may raise whose parts are not of the kinds that the API gives.

Annotations, labels and the status of a pod are written by others, too, so that anything may stand
there: such a pod is left alone.
"""

_EPOCH = 0.0
_TERMINAL = ("Succeeded", "Failed")


def attempt_of(pod: PodJson) -> tuple[str, int, int]:
    """The run's id, the trial's number and the attempt's, as the pod's labels have them.

    Raises:
        ValueError: The labels are not those of an attempt, or those of another pod.
    """
    metadata = pod.get("metadata") or {}
    labels = metadata.get("labels") or {}
    sweep, run_id, number, attempt = (
        str(labels.get(key) or "") for key in (SWEEP_LABEL, RUN_LABEL, TRIAL_LABEL, ATTEMPT_LABEL)
    )
    if not (is_run_id(run_id) and number.isdecimal() and attempt.isdecimal()):
        raise ValueError(f"not the labels of an attempt: {labels}")
    # A copy that somebody made to look at has the labels, too, but is no attempt.
    if metadata.get("name") != attempt_name(sweep, run_id, int(number), int(attempt)):
        raise ValueError(f"not the pod of the attempt in its labels: {metadata.get('name')}")
    return run_id, int(number), int(attempt)


def identity_of(pod: PodJson) -> tuple[str, str, str]:
    """The pod's name, uid and resourceVersion; empty where one is missing.

    Raises:
        TypeError: One is no text; any of `UNREADABLE` where there are no metadata.
    """
    metadata = pod["metadata"]
    name, uid = text(metadata.get("name", "")), text(metadata.get("uid", ""))
    return name, uid, text(metadata.get("resourceVersion", ""))


def seconds(text: Any) -> float | None:
    """A number of seconds in an annotation; None if there is none, or it cannot be understood."""
    try:
        found = float(text)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found < math.inf else None


def text(value: Any) -> str:
    """The value, if it is a text.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def epoch_of(pod: PodJson) -> str:
    """The epoch that the pod's attempt answers, in full; empty if it is not there."""
    metadata = pod.get("metadata") or {}
    for place in ("annotations", "labels"):  # an annotation holds what a label cannot
        value = (metadata.get(place) or {}).get(EPOCH_LABEL)
        if value:
            return str(value)
    return ""


def gates(pod: PodJson) -> list[str]:
    """The names of the scheduling gates that hold the pod."""
    return [gate["name"] for gate in (pod.get("spec") or {}).get("schedulingGates") or ()]


def status_of(pod: PodJson) -> Mapping[str, Any]:
    """The pod's status; empty before there is one."""
    return pod.get("status") or {}


def is_terminal(pod: PodJson) -> bool:
    """Whether the pod's phase says that it will never run again."""
    return status_of(pod).get("phase") in _TERMINAL


def containers(pod: PodJson, kind: str = "containerStatuses") -> list[Mapping[str, Any]]:
    """The statuses of the containers, of `initContainerStatuses` for those of the start."""
    return list(status_of(pod).get(kind) or ())


def all_containers(pod: PodJson) -> Iterator[Mapping[str, Any]]:
    """The statuses of all containers, in the order of their start."""
    yield from containers(pod, "initContainerStatuses")
    yield from containers(pod)


def state(container: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """A container's state of that name (waiting, running, terminated); None if it has another."""
    found: Mapping[str, Any] | None = (container.get("state") or {}).get(name)
    return found


def trial_container(pod: PodJson) -> Mapping[str, Any]:
    """The status of the main container; empty if there is none yet."""
    return next((each for each in containers(pod) if each.get("name") == CONTAINER), {})


def ended(pod: PodJson) -> Mapping[str, Any] | None:
    """The `terminated` state of the main container; None if it has not ended."""
    return state(trial_container(pod), "terminated")


def containers_ended(pod: PodJson) -> bool:
    """Whether nothing of the pod runs any more: it may be deleted without grace.

    A pod whose trial has ended can have a sidecar that still runs.
    """
    if is_terminal(pod):
        return True
    known = list(all_containers(pod))
    wanted = sum(len(pod["spec"].get(key) or ()) for key in ("containers", "initContainers"))
    return len(known) >= wanted and all(state(each, "terminated") for each in known)


def container_spec(pod: PodJson, name: str) -> Mapping[str, Any]:
    """What was asked for a container of the pod; empty if there is none of this name."""
    spec = pod.get("spec") or {}
    for key in ("containers", "initContainers"):
        for each in spec.get(key) or ():
            if each.get("name") == name:
                found: Mapping[str, Any] = each
                return found
    return {}


def memory_limit_bytes(pod: PodJson) -> int | None:
    """The memory limit of the main container as admitted; None if it has none, or an odd one."""
    resources = container_spec(pod, CONTAINER).get("resources") or {}
    limit = (resources.get("limits") or {}).get("memory")
    try:
        return None if limit is None else parse_bytes(limit)
    except ValueError:  # such as 1e9, which only an overlay can have written
        return None


def condition(pod: PodJson, kind: str) -> Mapping[str, Any] | None:
    """The pod's condition of that type; None if there is none."""
    conditions = status_of(pod).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), None)


def moment(value: Any) -> datetime | None:
    """The time in a field; None if it is missing, or the zero that runtimes write for unknown."""
    if not value:
        return None
    found = parse_iso(str(value))
    return found if found.timestamp() > _EPOCH else None


def placed_at(pod: PodJson) -> datetime | None:
    """When the scheduler placed the pod, by the cluster's clock; None if it does not say."""
    placed = condition(pod, "PodScheduled") or {}
    return moment(placed.get("lastTransitionTime")) if placed.get("status") == "True" else None


def deletion_asked(pod: PodJson) -> datetime | None:
    """When the pod's deletion was asked for; None if it was not."""
    due = deletion_due(pod)
    if due is None:
        return None
    return due - timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)


def deletion_due(pod: PodJson) -> datetime | None:
    """When the pod's containers should have ended for its deletion; None if none is asked."""
    return moment((pod.get("metadata") or {}).get("deletionTimestamp"))


def slim(raw: PodJson) -> PodJson:
    """The pod without those parts that say nothing about how the attempt goes."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    spec = {key: value for key, value in (raw.get("spec") or {}).items() if key != "volumes"}
    for kind in ("containers", "initContainers"):
        if kind in spec:
            spec[kind] = [
                {key: each[key] for key in each if key not in _DROPPED_OF_CONTAINERS}
                for each in spec[kind]
            ]
    return {"metadata": metadata, "spec": spec, "status": raw.get("status") or {}}
