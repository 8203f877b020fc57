"""Checks that an image can be pulled, by a pod that only pulls: it runs nothing that is there."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping
from typing import Any

from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.diagnosis.waiting import diagnose_stuck, waiting_reason
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import CONTAINER, SLOT_GATE
from podmap.clock import utc_now
from podmap.doctor.question import ClusterView
from podmap.doctor.verdict import Verdict, hurts, ok
from podmap.names import LABEL_PREFIX, MANAGED_BY, new_epoch
from podmap.records import Category

IMAGE = "image"
NOTHING = "/podmap-doctor-runs-nothing"
"""No image has it: the container is made once the image is there, and then cannot be started."""
_LOOK_EVERY_S = 1.0
_AFTER_PULL = frozenset({"CreateContainerError", "RunContainerError"})
"""What some runtimes say of a program that an image lacks; others begin and end the container."""


async def check_image(
    at: ClusterView, image: str, *, within_s: float, look_every_s: float = _LOOK_EVERY_S
) -> list[Verdict]:
    """Whether a node of the trials' can pull an image; the pod is removed at the end.

    Args:
        at: The cluster.
        image: The image.
        within_s: Seconds that it may take.
        look_every_s: Between two looks at the pod.

    Raises:
        BackendError: The server does not answer.
    """
    body = pull_only(at.pod, image)
    path = pods_path(at.namespace, body["metadata"]["name"])
    began = time.monotonic()
    try:
        await at.client.create(pods_path(at.namespace), body)
    except ApiError as error:
        return [_hurts(image, f"the pod that would pull {image} is refused: {error.message}")]
    try:
        while True:
            pod = await at.client.get(path)
            took_s = time.monotonic() - began
            verdict = _seen(pod, image, took_s=took_s, over=took_s > within_s)
            if verdict is not None:
                return [verdict]
            await asyncio.sleep(look_every_s)
    finally:
        await at.client.delete(path, grace_s=0)


def pull_only(pod: Mapping[str, Any], image: str) -> dict[str, Any]:
    """A trial's pod, made to pull an image and to do nothing else: it is of no run.

    Args:
        pod: The trial's, gated.
        image: The image.
    """
    body = copy.deepcopy(dict(pod))
    metadata, spec = body["metadata"], body["spec"]
    metadata["name"] = f"podmap-doctor-{new_epoch()}".lower()
    own = metadata["labels"].items()
    kept = {k: v for k, v in own if k != MANAGED_BY and not k.startswith(LABEL_PREFIX)}
    metadata["labels"] = {**kept, MANAGED_BY: "podmap-doctor"}
    spec["schedulingGates"] = [
        each for each in spec.get("schedulingGates") or () if each["name"] != SLOT_GATE
    ]
    spec["containers"] = [each for each in spec["containers"] if each["name"] == CONTAINER]
    spec["containers"][0].update(image=image, command=[NOTHING], args=[])
    spec.pop("initContainers", None)
    return body


def _seen(pod: Mapping[str, Any], image: str, *, took_s: float, over: bool) -> Verdict | None:
    """What the pod says of its image; None while it says nothing yet."""
    container = fields.trial_container(pod)
    waits = fields.state(container, "waiting")
    made = bool(container.get("imageID")) and waits is None
    if made or (waits or {}).get("reason") in _AFTER_PULL:
        node = (pod.get("spec") or {}).get("nodeName") or "a node"
        return ok(IMAGE, f"{node} has pulled {image} (pod, pull and start: {took_s:.1f} s)")
    stuck = diagnose_stuck(pod, now=utc_now())
    if stuck is not None and stuck.category is Category.IMAGE_PULL:
        found = ": ".join(filter(None, (stuck.summary, stuck.detail)))
        return _hurts(image, found, stuck.resolution)
    if not over:
        return None
    told = stuck.summary if stuck is not None else waiting_reason(pod) or "its node says nothing"
    return _hurts(image, f"no node has pulled {image} within {took_s:.0f} s: {told}")


def _hurts(image: str, found: str, setting: str = "") -> Verdict:
    return hurts(
        IMAGE,
        found,
        "no trial can start",
        setting or f"trial.image ({image}), trial.pod.spec.imagePullSecrets or trial.resources",
    )
