"""Checks a pod overlay: what would break the contract between podmap and its pods."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from podmap.names import MANAGED_BY, is_own_key
from podmap.spec.findings import Finding, Place, did_you_mean, show
from podmap.spec.model import PodOverlay
from podmap.spec.near_miss import unquoted_placeholder
from podmap.spec.placeholder import find_placeholders

MAIN = "trial"
"""The name of the container that an overlay patches to patch the trial's own."""

_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_OWN_FOLDER = "podmap"
"""The folder of the result in the trial's container, under the root."""
_OWN_PREFIX = "PODMAP_"
_CONTAINERS = ("containers", "initContainers")
_OWN_OF_SPEC = {
    "nodeName": "a pod that waits for its slot cannot have one yet; use nodeSelector: "
    "{kubernetes.io/hostname: ...}",
    "ephemeralContainers": "a pod cannot be created with them",
}
_OWN_OF_MAIN = {
    "terminationMessagePath": "it is where the result is written",
    "terminationMessagePolicy": "it is how the result is read",
    "restartPolicy": "retries are podmap's: see retries",
    "restartPolicyRules": "retries are podmap's: see retries",
}


def hides_result(path: str) -> bool:
    """Whether what is mounted at a path would hide, or move, the file of the result."""
    parts = [part for part in posixpath.normpath(path).split("/") if part]
    return not parts or parts[0] == _OWN_FOLDER


def check_pod(place: Place, overlay: PodOverlay) -> Iterator[Finding]:
    """What is wrong in an overlay, beyond its types.

    What else may stand in a PodSpec is the API server's to judge; here is what it would not
    notice, what would break podmap, and what `podmap.backends.kubernetes.pod.overlay` relies on.

    Args:
        place: Where it stands.
        overlay: Of the right types.
    """
    yield from _check_metadata((*place, "metadata"), overlay.metadata)
    where = (*place, "spec")
    yield from _check_directives(where, overlay.spec)
    for key, why in _OWN_OF_SPEC.items():
        if overlay.spec.get(key) is not None:
            yield Finding((*where, key), f"{key} is not allowed: {why}", on="key")
    policy = overlay.spec.get("restartPolicy", "Never")
    if policy != "Never":
        message = f"{show(policy)} is not allowed: retries are podmap's, so it is always Never"
        yield Finding((*where, "restartPolicy"), message, "see retries")
    yield from _check_gates((*where, "schedulingGates"), overlay.spec.get("schedulingGates"))
    for key in _CONTAINERS:
        if key in overlay.spec:
            yield from _check_containers((*where, key), overlay.spec[key], key)


def _check_metadata(place: Place, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    allowed = ("labels", "annotations")
    for key, entries in metadata.items():
        where = (*place, key)
        if key not in allowed:
            message = f"{show(key)} is not allowed; allowed here: labels and annotations"
            yield Finding(where, message, did_you_mean(key, allowed), on="key")
        elif not isinstance(entries, Mapping):
            yield Finding(where, f"{show(entries)} is not allowed: a mapping is needed")
        else:
            for name, value in entries.items():
                yield from _check_entry((*where, name), name, value, is_label=key == "labels")


def _check_entry(place: Place, name: Any, value: Any, *, is_label: bool) -> Iterator[Finding]:
    if not _is_key(name):
        message = (
            f"{show(name)} is not allowed: at most 63 letters, digits, -, _ and ., with a letter "
            "or digit at both ends, perhaps after a domain and /"
        )
        yield Finding(place, message, on="key")
    elif is_own_key(name) or (is_label and name == MANAGED_BY):
        yield Finding(place, f"{show(name)} is podmap's own", on="key")
    elif value is None:
        return
    elif unquoted := unquoted_placeholder(value, ()):
        yield Finding(place, *unquoted)
    elif not isinstance(value, str):
        hint = f'write "{show(value)}"' if isinstance(value, (bool, int, float)) else ""
        yield Finding(place, f"{show(value)} is not allowed: text is needed", hint)
    elif is_label and not find_placeholders(value) and (why := why_no_label(value)):
        yield Finding(place, why, "an annotation can hold any text")


def why_no_label(value: str) -> str:
    """Why a text cannot be the value of a label; empty if it can."""
    if _VALUE.fullmatch(value):
        return ""
    return (
        f"{show(value)} cannot be a label's value: at most 63 letters, digits, -, _ and ., "
        "with a letter or digit at both ends"
    )


def _is_key(name: Any) -> bool:
    prefix, slash, rest = str(name).rpartition("/")
    named = isinstance(name, str) and _NAME.fullmatch(rest) is not None
    return named and (not slash or _PREFIX.fullmatch(prefix) is not None)


def _check_directives(place: Place, value: Any) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            if isinstance(key, str) and key.startswith("$"):
                message = f"{show(key)} is not allowed: patches have no directives here"
                yield Finding((*place, key), message, "null takes a key away", on="key")
            else:
                yield from _check_directives((*place, key), child)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _check_directives((*place, index), child)


def _check_containers(place: Place, containers: Any, key: str) -> Iterator[Finding]:
    if not isinstance(containers, list):
        yield Finding(place, f"{show(containers)} is not allowed: a list is needed")
        return
    for index, container in enumerate(containers):
        where = (*place, index)
        if not isinstance(container, Mapping) or not isinstance(container.get("name"), str):
            yield Finding(where, "a container needs a name", f"the trial's own is {MAIN!r}")
            continue
        context = container.get("securityContext")
        if context is not None and not isinstance(context, Mapping):
            message = f"{show(context)} is not allowed: a mapping is needed"
            yield Finding((*where, "securityContext"), message)
        if container["name"] == MAIN and key == "initContainers":
            message = f"{MAIN!r} is the main container's name: take another"
            yield Finding((*where, "name"), message)
        elif container["name"] == MAIN:
            yield from _check_main(where, container)


def _check_gates(place: Place, gates: Any) -> Iterator[Finding]:
    for index, gate in enumerate(gates if isinstance(gates, list) else ()):
        name = gate.get("name") if isinstance(gate, Mapping) else None
        if isinstance(name, str) and is_own_key(name):
            yield Finding((*place, index), f"{show(name)} is podmap's own gate")


def _check_mounts(place: Place, container: Mapping[str, Any]) -> Iterator[Finding]:
    for key, where in (("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")):
        mounts = container.get(key)
        for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
            path = mount.get(where) if isinstance(mount, Mapping) else None
            if isinstance(path, str) and hides_result(path):
                message = f"{show(path)} is not allowed: the result is written to /{_OWN_FOLDER}"
                yield Finding((*place, key, index, where), message, "mount it elsewhere")


def _check_env_from(place: Place, sources: Any) -> Iterator[Finding]:
    for index, source in enumerate(sources if isinstance(sources, list) else ()):
        prefix = source.get("prefix") if isinstance(source, Mapping) else None
        if not isinstance(prefix, str) or not prefix:
            continue
        if prefix.startswith(_OWN_PREFIX) or _OWN_PREFIX.startswith(prefix):
            message = f"{show(prefix)} is not allowed: names that begin with {_OWN_PREFIX} are"
            yield Finding((*place, index, "prefix"), f"{message} podmap's own")


def _check_main(place: Place, container: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _check_mounts(place, container)
    yield from _check_env_from((*place, "envFrom"), container.get("envFrom"))
    for key, why in _OWN_OF_MAIN.items():
        if key in container:
            yield Finding((*place, key), f"{key} is not allowed: {why}", on="key")
    env = container.get("env")
    if env is None:
        return
    if not isinstance(env, list):
        yield Finding((*place, "env"), f"{show(env)} is not allowed: a list is needed")
        return
    for index, entry in enumerate(env):
        where = (*place, "env", index)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            yield Finding(where, "a variable needs a name, as in {name: A, value: b}")
        elif entry["name"].startswith("PODMAP_"):
            message = f"{show(entry['name'])} is not allowed: names that begin with PODMAP_ are"
            yield Finding((*where, "name"), f"{message} podmap's own")
