"""How one trial runs, from the template: cases, patches, memory, content keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from podmap import names
from podmap.records import Shard, Trial
from podmap.spec.check_pod import MAIN
from podmap.spec.conditions import holds
from podmap.spec.entries import EnvValue, SecretRef
from podmap.spec.model import (
    Case,
    PodOverlay,
    Resources,
    TrialPatch,
    TrialTemplate,
    is_gpu,
)
from podmap.spec.overlay import merge
from podmap.spec.placeholder import find_placeholders
from podmap.spec.quantity import parse_bytes

T = TypeVar("T")


def matches(case: Case, params: Mapping[str, Any]) -> bool:
    """Whether all that a case asks of the params is true."""
    return holds(case.when, params)


def own_template(template: TrialTemplate, trial: Trial) -> TrialTemplate:
    """How this trial runs: the template, the cases that match in order, the item's patch.

    env, resources and volumes are merged by key, the pod overlay deeply; all else is replaced.
    A null in a case or patch takes away what the template gives. `TrialTemplates` is faster for
    many trials.
    """
    return _apply(template, _matching(template, trial.params), trial.patch)


def is_own_template(sweeps: TrialTemplate, own: TrialTemplate) -> bool:
    """Whether what a trial runs, and in what, is not the same for all trials of the sweep.

    So it is where a case or its item changes it, or where params stand in the name of the program
    or of the image.
    """
    parts = ("image", "command", "pod", "volumes")
    if any(getattr(sweeps, part) != getattr(own, part) for part in parts):
        return True
    texts = ((own.command or [""])[0], own.image or "")
    return any(
        found.root in ("params", "shard") for text in texts for found in find_placeholders(text)
    )


class PerTemplate(Generic[T]):
    """What is made of a trial's own template, once for all trials that have the same one.

    Trials have the same one where the same cases match and their items have the same patch.
    Safe to use from any thread.
    """

    def __init__(self, template: TrialTemplate, make: Callable[[TrialTemplate], T]) -> None:
        """Nothing is made yet.

        Args:
            template: The sweep's, as in the spec.
            make: From a trial's own template to what is wanted.
        """
        self._template = template
        self._make = make
        self._made: dict[tuple[tuple[int, ...], str], T] = {}

    def for_trial(self, trial: Trial) -> T:
        """What is made of the trial's own template.

        Raises:
            ValidationError: The trial's patch is no part of a template.
        """
        return self.for_params(trial.params, trial.patch)

    def for_params(self, params: Mapping[str, Any], patch: Mapping[str, Any] | None = None) -> T:
        """As `for_trial`, where there is no trial yet."""
        matching = _matching(self._template, params)
        which = (matching, json.dumps(patch, sort_keys=True) if patch else "")
        if which not in self._made:
            self._made[which] = self._make(_apply(self._template, matching, patch or {}))
        return self._made[which]


class TrialTemplates(PerTemplate[TrialTemplate]):
    """The trials' own templates, as `own_template` gives them; equal ones are one object."""

    def __init__(self, template: TrialTemplate) -> None:
        """Takes the sweep's template, as in the spec."""
        super().__init__(template, lambda own: own)


def _matching(template: TrialTemplate, params: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(i for i, case in enumerate(template.cases) if matches(case, params))


def _apply(
    template: TrialTemplate, matching: Iterable[int], patch: Mapping[str, Any]
) -> TrialTemplate:
    update: dict[str, Any] = {}
    patches: list[TrialPatch] = [template.cases[i] for i in matching]
    if patch:
        patches.append(TrialPatch.model_validate(dict(patch)))
    for one in patches:
        for name in one.model_fields_set & TrialPatch.model_fields.keys():
            old = update[name] if name in update else getattr(template, name)
            update[name] = _merge_field(name, old, getattr(one, name))
    if template.cases:
        update["cases"] = []
    return template.model_copy(update=update) if update else template


def _merge_field(name: str, old: Any, new: Any) -> Any:
    if old is None or new is None:
        return new
    if name in ("env", "volumes"):
        return {**old, **new}
    if name == "resources":
        return _merge_resources(old, new)
    if name == "pod":
        return PodOverlay(
            metadata=merge(old.metadata, new.metadata), spec=merge(old.spec, new.spec)
        )
    return new


def _merge_resources(old: Resources, new: Resources) -> Resources:
    """The resources with others over them; GPUs take the place of GPUs of any kind."""
    given = new.model_dump(exclude_unset=True)
    other_gpus = any(is_gpu(name) for name in given)
    kept = old.model_dump(exclude_unset=True)
    kept = {name: value for name, value in kept.items() if not (other_gpus and is_gpu(name))}
    return Resources.model_construct(**{**kept, **given})


def gpus_of(template: TrialTemplate) -> int:
    """How many GPUs, of any kind, the trial's container holds; the overlay's count before."""
    limits = _overlaid(template).get("limits") or {}
    overlaid = limits if isinstance(limits, Mapping) else {}
    counts = [each for name, each in overlaid.items() if is_gpu(name)]
    if counts:
        return sum(int(each) for each in counts if str(each).isdecimal())
    return template.resources.gpus if template.resources else 0


VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
"""The variable that tells CUDA which GPUs there are."""


def local_gpus(template: TrialPatch) -> int | None:
    """How many GPUs a local trial is given; None where `resources.gpu` does not say.

    Where `env` says itself which GPUs the trial sees, none are given.
    """
    if VISIBLE_GPUS in (template.env or {}) or template.resources is None:
        return None
    return template.resources.gpu


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
    for kind in ("limits", "requests"):
        if isinstance(resources.get(kind), Mapping):
            resources[kind] = {k: v for k, v in resources[kind].items() if k != "memory"}
    return {**container, "resources": resources}


class ContentKeys:
    """Makes the content keys of a sweep's trials: equal keys mean equal work."""

    def __init__(self, template: TrialTemplate, *, cache_version: str = "") -> None:
        """Nothing is made yet.

        Args:
            template: The sweep's, as in the spec.
            cache_version: What a user changes when code or data have changed.
        """
        self._parts = PerTemplate(template, _template_part)
        self._cache_version = cache_version

    def key(
        self,
        params: Mapping[str, Any],
        *,
        seed: int,
        shard: Shard | None = None,
        patch: Mapping[str, Any] | None = None,
    ) -> str:
        """The key of the trial with these params, seed, shard and patch."""
        part = self._parts.for_params(params, patch)
        data = None if shard is None else [shard.uri, shard.version]
        return names.digest([part, dict(params), data, seed, self._cache_version])


def _template_part(template: TrialTemplate) -> str:
    args = [
        arg if isinstance(arg, str) else arg.model_dump(exclude_defaults=True)
        for arg in template.args or ()
    ]
    env = {name: _env_part(value) for name, value in (template.env or {}).items()}
    return names.digest([template.image, list(template.command or ()), args, env], length=64)


def _env_part(value: EnvValue) -> str | list[str] | dict[str, str]:
    if isinstance(value, SecretRef):
        return [value.secret, value.key]
    return value if isinstance(value, str) else value.model_dump()
