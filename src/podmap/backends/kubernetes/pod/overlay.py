"""Lays a spec's overlay over a pod, without losing what makes it podmap's pod."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from podmap.backends.launch import CONTRACT
from podmap.spec.model import PodOverlay
from podmap.spec.overlay import merge

_HARDENED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


def apply_overlay(
    manifest: Mapping[str, Any],
    overlay: PodOverlay | None,
    *,
    container: str,
    own_env: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The pod with the overlay merged over it, every container hardened.

    A null in the overlay takes a key away. Containers that the overlay adds are hardened as the
    main one is, each as far as its own `securityContext` does not say otherwise.

    Args:
        manifest: The pod without its overlay.
        overlay: As `podmap.spec.check_pod` lets it pass; None for none.
        container: The name of the main container.
        own_env: podmap's own variables of the main container. They win over all others, and stand
            first, so that the overlay's values can refer to them as `$(PODMAP_TRIAL)`.
    """
    patch = {} if overlay is None else {"metadata": overlay.metadata, "spec": overlay.spec}
    merged = merge(manifest, patch)
    spec = dict(merged["spec"])
    for key in ("initContainers", "containers"):
        if spec.get(key) is not None:
            spec[key] = [_hardened(each) for each in spec[key]]
    spec["containers"] = [
        {**each, "env": _with_own(each, own_env)} if each["name"] == container else each
        for each in spec["containers"]
    ]
    cleaned: dict[str, Any] = _without_nulls({**merged, "spec": spec})
    return cleaned


def _hardened(container: Mapping[str, Any]) -> dict[str, Any]:
    context = container.get("securityContext")
    return {**container, "securityContext": merge(_HARDENED, context or {})}


def _with_own(
    container: Mapping[str, Any], own_env: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The container's variables, in which podmap's own are what podmap says.

    A ConfigMap or Secret of `envFrom` may hold any names, of which those win that stand in `env`:
    so there those stand too that the trial does not have, as empty.
    """
    own = list(own_env)
    if container.get("envFrom"):
        known = {each["name"] for each in own_env}
        own += [{"name": name, "value": ""} for name in sorted(CONTRACT - known)]
    env = container.get("env") or []
    return [*own, *(each for each in env if not each["name"].startswith("PODMAP_"))]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value
