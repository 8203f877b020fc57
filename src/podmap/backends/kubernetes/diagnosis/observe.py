"""What is seen of an attempt in its pod's JSON: where it stands, what it left, what is wrong.

Pure functions of the pod's JSON and the time. A pod that waits is never a failure, whatever it
waits for; one that can never start is, as soon as that is certain.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from podmap.backends.base import Cut, Observation, Phase
from podmap.backends.kubernetes.diagnosis.ended import diagnose_end
from podmap.backends.kubernetes.diagnosis.waiting import diagnose_stuck, patience_ends
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import RESULT_BYTES, result_limit_bytes
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.clock import iso, utc_now
from podmap.names import LABEL_PREFIX
from podmap.records import Category, Diagnosis

KILLED_ANNOTATION = f"{LABEL_PREFIX}/killed-because"
"""Holds the diagnosis of a pod that podmap itself ends, for all who watch it."""
LOST_AFTER_S = 60
"""How long after the end of its grace a pod that is being deleted is given up as lost."""

# Codes that the kubelet and runtimes make up where a container has none of its own.
_MADE_UP = frozenset({"ContainerStatusUnknown", "Unknown", "StartError", "ContainerCannotRun"})


class FirstSeen(NamedTuple):
    """When a pod was first seen so, by this host's clock: no other clock can be compared with it.

    Attributes:
        placed: On its node; None for the node's own word.
        deleting: Being deleted; None for the API server's own word.
    """

    placed: datetime | None = None
    deleting: datetime | None = None


UNSEEN = FirstSeen()


def first_seen(pod: PodJson, *, now: datetime, before: FirstSeen = UNSEEN) -> FirstSeen:
    """When a pod was first seen as it is now.

    Args:
        pod: As the API gives it.
        now: The time.
        before: What was known of the same pod before.
    """
    placed = fields.status_of(pod).get("startTime")
    deleting = pod["metadata"].get("deletionTimestamp")
    return FirstSeen(
        before.placed or (now if placed else None), before.deleting or (now if deleting else None)
    )


def observe(
    pod: PodJson,
    *,
    now: datetime | None = None,
    deleted: bool = False,
    since: FirstSeen = UNSEEN,
) -> Observation:
    """What is seen of an attempt in its pod.

    Args:
        pod: As the API gives it, with podmap's labels.
        now: The time; None for the clock's.
        deleted: Whether the pod is not there any more, and this is the last that was seen of it.
        since: When it was first seen as it is.

    Raises:
        ValueError: The labels are not those of an attempt.
    """
    now = now or utc_now()
    run_id, number, attempt = fields.attempt_of(pod)
    diagnosis = diagnose(pod, now=now, deleted=deleted, since=since)
    ended = fields.ended(pod) or {}
    started = ended or fields.state(fields.trial_container(pod), "running") or {}
    result, cut = _result(pod)
    return Observation(
        name=pod["metadata"]["name"],
        run_id=run_id,
        number=number,
        attempt=attempt,
        epoch=fields.epoch_of(pod),
        phase=_phase(pod, diagnosis, deleted),
        node=(pod.get("spec") or {}).get("nodeName") or "",
        image_id=fields.trial_container(pod).get("imageID") or "",
        started=_time(started.get("startedAt")),
        finished=_finished(pod, diagnosis),
        exit_code=None if ended.get("reason") in _MADE_UP else ended.get("exitCode"),
        result=result,
        result_cut=cut,
        diagnosis=diagnosis,
        memory_bytes=fields.memory_limit_bytes(pod),
    )


def diagnose(
    pod: PodJson,
    *,
    now: datetime | None = None,
    deleted: bool = False,
    since: FirstSeen = UNSEEN,
) -> Diagnosis | None:
    """Why an attempt did not end well, or can never start.

    Args:
        pod: As the API gives it.
        now: The time; None for the clock's.
        deleted: As in `observe`.
        since: As in `observe`.

    Returns:
        None while it waits or runs, and when its container ended with exit code 0.
    """
    now = now or utc_now()
    if deleted or fields.ended(pod) is not None or fields.is_terminal(pod):
        return diagnose_end(pod, killed=_killed(pod))
    due = fields.deletion_due(pod)
    if due is None:
        return diagnose_stuck(pod, now=now, placed=since.placed)
    if now < _lost_at(pod, due, since):
        return None
    return _killed(pod) or _unanswered(pod, due)


def recheck_at(pod: PodJson, since: FirstSeen = UNSEEN) -> datetime | None:
    """When to observe the pod again although nothing was heard of it; None for never.

    Args:
        pod: As the API gives it.
        since: As in `observe`.
    """
    if fields.ended(pod) is not None or fields.is_terminal(pod):
        return None
    due = fields.deletion_due(pod)
    return patience_ends(pod, since.placed) if due is None else _lost_at(pod, due, since)


def _lost_at(pod: PodJson, due: datetime, since: FirstSeen) -> datetime:
    """When a pod that is being deleted is given up."""
    if since.deleting is not None:
        grace_s = pod["metadata"].get("deletionGracePeriodSeconds") or 0
        due = since.deleting + timedelta(seconds=grace_s)
    return due + timedelta(seconds=LOST_AFTER_S)


def killed_annotation(reason: Diagnosis) -> dict[str, str]:
    """The annotation to be set on a pod when podmap ends it, by its deadline or its deletion.

    Set it on the resource version at which the pod was last seen running, so that an attempt that
    ended meanwhile keeps its own end.
    """
    return {KILLED_ANNOTATION: json.dumps(reason.to_json())}


def _killed(pod: PodJson) -> Diagnosis | None:
    text = (pod["metadata"].get("annotations") or {}).get(KILLED_ANNOTATION)
    if text is None:
        return None
    try:
        found = Diagnosis.from_json(json.loads(text))
        if all(isinstance(each, str) for each in (found.summary, found.detail, found.resolution)):
            return found
        raise TypeError("not all of it is text")
    except fields.UNREADABLE:  # somebody else wrote it
        detail = f"{KILLED_ANNOTATION}: {text!s:.200}"
        return Diagnosis(Category.CANCELLED, "podmap ended it", detail)


def _unanswered(pod: PodJson, due: datetime) -> Diagnosis:
    node = pod["spec"].get("nodeName") or "?"
    taint = fields.condition(pod, "DisruptionTarget") or {}
    told = f" ({taint['reason']}: {taint.get('message', '')})" if taint.get("reason") else ""
    return Diagnosis(
        Category.NODE_LOST,
        f"node {node} does not answer",
        f"The pod was to be ended by {iso(due)}{told}, and {LOST_AFTER_S} s later the node has "
        "still not said that it was.",
        f"It is tried again elsewhere. Look at `kubectl describe node {node}`; while the node is "
        "cut off its old process may still run there, and the pod stays until the node is back or "
        "deleted.",
    )


def _phase(pod: PodJson, diagnosis: Diagnosis | None, deleted: bool) -> Phase:
    if fields.ended(pod) is not None or fields.is_terminal(pod):
        return Phase.ENDED
    if deleted:
        return Phase.GONE
    if diagnosis is not None:
        return Phase.ENDED
    running = fields.state(fields.trial_container(pod), "running") is not None
    return Phase.RUNNING if running else Phase.PENDING


def _finished(pod: PodJson, diagnosis: Diagnosis | None) -> str | None:
    """When the trial ended; of containers whose end nobody saw, when the pod was given up."""
    ended = _time((fields.ended(pod) or {}).get("finishedAt"))
    if ended is not None or diagnosis is None:
        return ended
    disrupted = fields.condition(pod, "DisruptionTarget") or {}
    asked = fields.deletion_asked(pod)
    return _time(disrupted.get("lastTransitionTime")) or (iso(asked) if asked else None)


def _time(text: Any) -> str | None:
    found = fields.moment(text)
    return iso(found) if found else None


def _result(pod: PodJson) -> tuple[bytes | None, Cut | None]:
    """The result, and which end of it the kubelet cut off.

    After another exit code the message may be the end of the log instead, and no result counts.
    """
    ended = fields.ended(pod) or {}
    message = ended.get("message")
    if ended.get("exitCode") != 0 or not message:
        return None, None
    result, limit = message.encode("utf-8", "replace"), result_limit_bytes(pod)
    # Only a result that fills the room and cannot be read is known to be cut.
    if len(result) < limit or _is_json(message):
        return result, None
    # The kubelet keeps the last 4096 bytes; of these the first, where the pod has many containers.
    return result, Cut.START if limit == RESULT_BYTES else Cut.BOTH


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
