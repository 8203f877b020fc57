"""How one trial runs, from the template: cases, patches, memory, placeholders, content keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from podmap import names
from podmap.errors import Problem, SpecError
from podmap.records import Shard, Trial
from podmap.spec.check_pod import MAIN
from podmap.spec.dimension import same_value
from podmap.spec.model import (
    Case,
    EnvValue,
    ParamFlags,
    PodOverlay,
    Resources,
    SecretRef,
    TrialPatch,
    TrialTemplate,
    is_gpu,
)
from podmap.spec.overlay import merge
from podmap.spec.placeholder import fill_placeholders, find_placeholders, to_text
from podmap.spec.quantity import parse_bytes

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one attempt runs, with every placeholder replaced.

    Attributes:
        argv: Command and arguments; empty if the image's own are to be used.
        env: The user's variables, then podmap's, which win.
        secret_env: Variable name to (secret, key).
        checkpoint: URI; None if the spec gives none.
        output: URI; None if the spec gives none.
        command: The part of `argv` that replaces the image's entrypoint; may be empty.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    secret_env: Mapping[str, tuple[str, str]]
    checkpoint: str | None = None
    output: str | None = None
    command: tuple[str, ...] = ()


def matches(case: Case, params: Mapping[str, Any]) -> bool:
    """Whether all that a case asks of the params is true."""
    for name, wanted in case.when.items():
        if name not in params:
            return False
        options = wanted if isinstance(wanted, list) else [wanted]
        if not any(same_value(params[name], option) for option in options):
            return False
    return True


def own_template(template: TrialTemplate, trial: Trial) -> TrialTemplate:
    """How this trial runs: the template, the cases that match in order, the item's patch.

    env, resources and volumes are merged by key, the pod overlay deeply; all else is replaced.
    A null in a case or patch takes away what the template gives. `TrialTemplates` is faster for
    many trials.
    """
    return _apply(template, _matching(template, trial.params), trial.patch)


def is_own_template(sweeps: TrialTemplate, own: TrialTemplate) -> bool:
    """Whether what a trial runs, and in what, is not the same for all trials of the sweep.

    So it is where a case or its item changes it, or where params stand in the program's name.
    """
    parts = ("image", "command", "pod", "volumes")
    if any(getattr(sweeps, part) != getattr(own, part) for part in parts):
        return True
    program = (own.command or [""])[0]
    return any(found.root in ("params", "shard") for found in find_placeholders(program))


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


def render(
    template: TrialTemplate,
    trial: Trial,
    *,
    sweep: str,
    run_id: str,
    run_uri: str,
    attempt: int,
    result: str,
    objectives: Sequence[str] = (),
) -> Rendered:
    """What one attempt of a trial runs.

    Args:
        template: The trial's own, from `own_template`.
        trial: Gives params, number, key, seed and shard.
        sweep: The sweep's name.
        run_id: The run's id.
        run_uri: Where the run's ledger is.
        attempt: From 1.
        result: The path the trial writes its result to, as it sees it.
        objectives: Names of the metrics without which there is no result.

    Raises:
        SpecError: Placeholders have no value in this trial; all of them are named.
    """
    about = {"number": trial.number, "key": trial.key, "seed": trial.seed}
    about |= {"repeat": trial.repeat, "attempt": attempt, "result": result}
    values = {
        "params": trial.params,
        "trial": about,
        "shard": trial.shard.to_json() if trial.shard else {},
        "run": {"id": run_id, "uri": run_uri},
        "sweep": {"name": sweep},
    }
    filler = _Filler(values, trial.number)
    # Before the rest, which may name them; they cannot name each other.
    places = {
        name: filler.fill(getattr(template, name), f"trial.{name}")
        for name in ("checkpoint", "output")
        if getattr(template, name) is not None
    }
    about.update(places)
    command = tuple(_fill_command(template, filler))
    args = tuple(_fill_args(template, trial, filler))
    env = {"PYTHONUNBUFFERED": "1", **_fill_env(template, filler)}
    filler.raise_problems()
    env.update(_own_env(trial, about, run_id, objectives))
    return Rendered(
        argv=command + args, command=command, env=env, secret_env=_secret_env(template), **places
    )


class _Filler:
    """Fills placeholders and collects those without a value."""

    def __init__(self, values: Mapping[str, Mapping[str, Any]], number: int) -> None:
        self._values = values
        self._number = number
        self._problems: list[Problem] = []

    def fill(self, text: str, path: str) -> str:
        try:
            return fill_placeholders(text, self._values)
        except LookupError as error:
            names_known = ", ".join(self._values["params"]) or "none"
            message = f"{error.args[0]} in trial {self._number}; its params are: {names_known}"
            self._problems.append(Problem(path, message))
            return ""

    def raise_problems(self) -> None:
        if self._problems:
            raise SpecError(self._problems)


def _fill_command(template: TrialTemplate, filler: _Filler) -> Iterable[str]:
    for index, text in enumerate(template.command or ()):
        yield filler.fill(text, f"trial.command[{index}]")


def _fill_args(template: TrialTemplate, trial: Trial, filler: _Filler) -> Iterable[str]:
    for index, arg in enumerate(template.args or ()):
        if isinstance(arg, ParamFlags):
            yield from (f"--{name}={to_text(value)}" for name, value in trial.params.items())
        else:
            yield filler.fill(arg, f"trial.args[{index}]")


def _fill_env(template: TrialTemplate, filler: _Filler) -> dict[str, str]:
    return {
        name: filler.fill(value, f"trial.env.{name}")
        for name, value in (template.env or {}).items()
        if isinstance(value, str)
    }


def _secret_env(template: TrialTemplate) -> dict[str, tuple[str, str]]:
    return {
        name: (value.secret, value.key)
        for name, value in (template.env or {}).items()
        if isinstance(value, SecretRef) and not name.startswith("PODMAP_")
    }


def _own_env(
    trial: Trial, about: Mapping[str, Any], run_id: str, objectives: Sequence[str]
) -> dict[str, str]:
    env = {
        "PODMAP_TRIAL": str(trial.number),
        "PODMAP_KEY": trial.key,
        "PODMAP_SEED": str(trial.seed),
        "PODMAP_RUN": run_id,
        "PODMAP_PARAMS": json.dumps(dict(trial.params)),
        "PODMAP_RESULT": about["result"],
        "PODMAP_ATTEMPT": str(about["attempt"]),
        "PODMAP_OBJECTIVE": json.dumps(list(objectives)),
    }
    for name in ("checkpoint", "output"):
        if name in about:
            env[f"PODMAP_{name.upper()}"] = about[name]
    return env


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
    args = [arg if isinstance(arg, str) else {"params": "flags"} for arg in template.args or ()]
    env = {name: _env_part(value) for name, value in (template.env or {}).items()}
    return names.digest([template.image, list(template.command or ()), args, env], length=64)


def _env_part(value: EnvValue) -> str | list[str]:
    return value if isinstance(value, str) else [value.secret, value.key]
