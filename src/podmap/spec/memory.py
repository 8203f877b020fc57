"""The memory of a trial's container, wherever its template says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from podmap.spec.check_pod import MAIN
from podmap.spec.model import PodOverlay, Resources, TrialTemplate
from podmap.spec.quantity import parse_bytes

_KINDS = ("limits", "requests")


def memory_of(template: TrialTemplate) -> int | None:
    """The memory limit of the trial's container in bytes; None if it has none.

    The overlay's counts before `resources`, as in the pod. One that it writes in a way that
    podmap does not read (`1e9`) counts as none.
    """
    limits = _overlaid(template).get("limits") or {}
    if isinstance(limits, Mapping) and "memory" in limits:
        try:
            return None if limits["memory"] is None else parse_bytes(limits["memory"])
        except ValueError:
            return None
    return template.resources.memory if template.resources else None


def with_memory(template: TrialTemplate, memory_bytes: int) -> TrialTemplate:
    """The template with another memory, as request and limit, in place of the overlay's too."""
    resources = (template.resources or Resources()).model_copy(update={"memory": memory_bytes})
    update: dict[str, Any] = {"resources": resources}
    if template.pod is not None and _overlaid(template):
        containers = [
            _without_memory(each) if _is_main(each) else each
            for each in template.pod.spec["containers"]
        ]
        spec = {**template.pod.spec, "containers": containers}
        update["pod"] = PodOverlay(metadata=template.pod.metadata, spec=spec)
    return template.model_copy(update=update)


def _overlaid(template: TrialTemplate) -> Mapping[str, Any]:
    """The resources that the overlay gives the trial's container."""
    containers = template.pod.spec.get("containers") if template.pod else None
    for each in containers if isinstance(containers, list) else ():
        if _is_main(each) and isinstance(each.get("resources"), Mapping):
            found: Mapping[str, Any] = each["resources"]
            return found
    return {}


def _is_main(container: Any) -> bool:
    return isinstance(container, Mapping) and container.get("name") == MAIN


def _without_memory(container: Mapping[str, Any]) -> Mapping[str, Any]:
    resources = dict(container.get("resources") or {})
    for kind in _KINDS:
        if isinstance(resources.get(kind), Mapping):
            resources[kind] = {k: v for k, v in resources[kind].items() if k != "memory"}
    return {**container, "resources": resources}
