"""Reads the trial template of a Katib Experiment: a Job, of which one container is the trial."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from podmap.spec.importers.draft import Draft

BASE = ("spec", "trialTemplate", "trialSpec")
MAIN = "trial"
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^}]+)\}|\$\{trialSpec\.([^}]+)\}")
_GPU = "nvidia.com/gpu"
_POD_OF_A_JOB = ("spec", "template")
_POD_OF_A_MASTER = ("spec", "pytorchReplicaSpecs", "Master", "template")


def read_trial(draft: Draft) -> dict[str, Any]:
    """The spec's `trial`, and what of its Job goes elsewhere in the spec.

    Args:
        draft: Of the Experiment.
    """
    refs = _references(draft)
    for key in ("primaryPodLabels", "successCondition", "failureCondition", "configMap"):
        if draft.look("spec", "trialTemplate", key) is not None:
            draft.lose("a trial is one pod, and succeeds as it exits with 0", *BASE[:2], key)
    kind = str(draft.get(*BASE, "kind") or "")
    draft.get(*BASE, "apiVersion")
    replicas = draft.look(*BASE, "spec", "pytorchReplicaSpecs") or {}
    if kind == "Job":
        template: tuple[str, ...] = _POD_OF_A_JOB
        _read_job(draft)
    elif kind == "PyTorchJob" and list(replicas) == ["Master"]:
        template = _POD_OF_A_MASTER
        draft.get(*BASE, "spec", "pytorchReplicaSpecs", "Master", "replicas")
        draft.get(*BASE, "spec", "pytorchReplicaSpecs", "Master", "restartPolicy")
    else:
        draft.lose(
            f"{kind or 'it'} makes several pods, or none that podmap knows: write trial.image and "
            "trial.command",
            *BASE,
        )
        return {"command": ["sh", "-c", "echo 'write trial.command' >&2; exit 64"]}
    return _read_pod(draft, (*BASE, *template), refs)


def _references(draft: Draft) -> dict[str, str]:
    """Name of a trial parameter to the param that it stands for."""
    given = draft.look("spec", "trialTemplate", "trialParameters") or []
    draft.get("spec", "trialTemplate", "trialParameters")
    return {str(one.get("name")): str(one.get("reference")) for one in given}


def _read_job(draft: Draft) -> None:
    base = (*BASE, "spec")
    again = draft.get(*base, "backoffLimit")
    if again:
        draft.spec["retries"] = {"user": again}
    for key in ("ttlSecondsAfterFinished", "completions", "parallelism", "suspend"):
        if draft.look(*base, key) is not None:
            draft.lose("podmap makes pods, and no Job", *base, key)


def _read_pod(draft: Draft, at: tuple[str, ...], refs: Mapping[str, str]) -> dict[str, Any]:
    trial: dict[str, Any] = {}
    limit = draft.get(*BASE, "spec", "activeDeadlineSeconds")
    if limit:
        trial["deadline"] = f"{limit}s"
    overlay: dict[str, Any] = {}
    pod = _overlay_spec(draft, trial, (*at, "spec"), refs)
    if pod:
        overlay["spec"] = pod
    metadata = draft.get(*at, "metadata")
    if metadata:
        overlay["metadata"] = metadata
    if overlay:
        trial["pod"] = overlay
    return trial


def _overlay_spec(
    draft: Draft, trial: dict[str, Any], at: tuple[str, ...], refs: Mapping[str, str]
) -> dict[str, Any]:
    """Reads the pod's containers into the trial; what it has beyond, for the overlay."""
    pod = dict(draft.look(*at) or {})
    draft.get(*at, "restartPolicy")
    pod.pop("restartPolicy", None)
    containers = pod.pop("containers", None) or []
    primary = draft.get("spec", "trialTemplate", "primaryContainerName")
    names = [container.get("name") for container in containers]
    index = names.index(primary) if primary in names else 0
    others = []
    for place, container in enumerate(containers):
        if place == index:
            rest = _read_container(draft, trial, (*at, "containers", place), refs)
            others += [{"name": MAIN, **rest}] if rest else []
        else:
            draft.get(*at, "containers", place)
            others.append(container)
    for name in pod:
        draft.get(*at, name)
    return {**pod, **({"containers": others} if others else {})}


def _read_container(
    draft: Draft, trial: dict[str, Any], place: tuple[str | int, ...], refs: Mapping[str, str]
) -> dict[str, Any]:
    """Takes the trial's own fields; the rest of the container, for the overlay."""
    container = dict(draft.look(*place) or {})
    draft.get(*place, "name")
    container.pop("name", None)
    image = container.pop("image", None)
    if image:
        draft.get(*place, "image")
        trial["image"] = str(image)
    for key in ("command", "args"):
        words = container.pop(key, None)
        if words is not None:
            trial[key] = [
                _filled(draft, str(word), refs, (*place, key, index))
                for index, word in enumerate(words)
            ]
    if "command" not in trial and "args" in trial:
        draft.comments["trial", "args"] = "for the image's own entrypoint"
    env = container.pop("env", None)
    if env:
        trial["env"] = _env(draft, env, refs, (*place, "env"))
    resources = container.pop("resources", None)
    if resources:
        trial["resources"] = _resources(draft, (*place, "resources"))
    for key in container:
        draft.get(*place, key)
    return container


def _filled(draft: Draft, text: str, refs: Mapping[str, str], place: tuple[str | int, ...]) -> str:
    """A text with podmap's placeholders in place of Katib's."""
    draft.get(*place)

    def replace(match: re.Match[str]) -> str:
        if match[1] is None:
            if match[2] in ("Name", "metadata.name"):
                return "{run.id}-{trial.number}"
            draft.lose(f"{match[0]} has no counterpart, and is left out", *place)
            return ""
        param = refs.get(match[1])
        if param is None:
            draft.lose(f"{match[0]} is no trial parameter, and is left out", *place)
            return ""
        return "{params." + param + "}"

    return _PLACEHOLDER.sub(replace, text)


def _env(
    draft: Draft, env: list[Any], refs: Mapping[str, str], place: tuple[str | int, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, entry in enumerate(env):
        at, name = (*place, index), str(entry.get("name"))
        draft.get(*at, "name")
        source = entry.get("valueFrom") or {}
        if "secretKeyRef" in source:
            ref = draft.get(*at, "valueFrom", "secretKeyRef")
            found[name] = {"secret": ref.get("name"), "key": ref.get("key")}
        elif "configMapKeyRef" in source:
            ref = draft.get(*at, "valueFrom", "configMapKeyRef")
            found[name] = {"config_map": ref.get("name"), "key": ref.get("key")}
        elif "fieldRef" in source:
            found[name] = {"field": draft.get(*at, "valueFrom", "fieldRef").get("fieldPath")}
        elif source:
            draft.lose("write it into trial.pod", *at, "valueFrom")
        else:
            found[name] = _filled(draft, str(entry.get("value", "")), refs, (*at, "value"))
    return found


def _resources(draft: Draft, place: tuple[str | int, ...]) -> dict[str, Any]:
    limits = draft.get(*place, "limits") or {}
    requests = draft.get(*place, "requests") or {}
    found: dict[str, Any] = {}
    for name in dict.fromkeys((*requests, *limits)):
        want, most = requests.get(name), limits.get(name)
        if name == "cpu":
            found["cpu"] = want if want is not None else most
            if most is not None and most != want:
                found["cpu_limit"] = most
        else:
            value = most if most is not None else want
            if want is not None and most is not None and want != most:
                draft.lose(f"{name}: request and limit are one, {most}", *place, "requests", name)
            found["gpu" if name == _GPU else name] = _whole(value) if "/" in name else value
    return found


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value
