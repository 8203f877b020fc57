"""Merges pod overlays, by the merge keys of Kubernetes' strategic merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MERGE_KEYS: Mapping[str, tuple[str, ...]] = {
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
_BY_NAME = ("name",)
# Lists that Kubernetes replaces as a whole although their items may have names.
_ATOMIC = frozenset({"tolerations", "options"})
_DEFAULTS = {"protocol": "TCP"}


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A new mapping: `base` with `patch` over it.

    Mappings are merged deeply. Lists of things that all have the list's merge key (`name`, but
    `mountPath` in volumeMounts and so on) are merged thing by thing, in the order of `base`, new
    ones at the end; other lists and all other values are replaced. A null in `patch` stays a null,
    for whoever applies the result to a pod to delete the key.
    """
    merged = dict(base)
    for key, value in patch.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = _merge_lists(key, old, value)
        else:
            merged[key] = value
    return merged


def _merge_lists(key: str, base: list[Any], patch: list[Any]) -> list[Any]:
    names = _MERGE_KEYS.get(key, _BY_NAME)
    if key in _ATOMIC or not all(_named(item, names) for item in (*base, *patch)):
        return patch
    merged = {_identity(item, names): item for item in base}
    for item in patch:
        identity = _identity(item, names)
        merged[identity] = merge(merged[identity], item) if identity in merged else item
    return list(merged.values())


def _named(item: Any, names: tuple[str, ...]) -> bool:
    return isinstance(item, Mapping) and names[0] in item


def _identity(item: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(item.get(name, _DEFAULTS.get(name, ""))) for name in names)
