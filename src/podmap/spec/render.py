"""What one attempt runs, with every placeholder replaced."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.errors import Problem, SpecError
from podmap.records import Trial
from podmap.spec.absent import AbsentParams
from podmap.spec.arguments import make_arguments, unfit_values
from podmap.spec.entries import ConfigMapRef, FieldRef, ParamArgs, SecretRef
from podmap.spec.model import TrialTemplate
from podmap.spec.placeholder import fill_placeholders
from podmap.spec.pod_texts import fill_pod_texts, pod_placeholders, unfit_pod_texts


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one attempt runs, with every placeholder replaced.

    Attributes:
        argv: Command and arguments; empty if the image's own are to be used.
        env: The user's variables, then podmap's, which win.
        template: The trial's own, with placeholders replaced in the texts of its pod.
        secret_env: Variable name to (secret, key).
        config_env: Variable name to (ConfigMap, key).
        field_env: Variable name to a field of the pod.
        checkpoint: URI; None if the spec gives none.
        output: URI; None if the spec gives none.
        command: The part of `argv` that replaces the image's entrypoint; may be empty.
        faults: The values that do not fit where the spec puts them, each with why.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    template: TrialTemplate
    secret_env: Mapping[str, tuple[str, str]]
    config_env: Mapping[str, tuple[str, str]]
    field_env: Mapping[str, str]
    checkpoint: str | None = None
    output: str | None = None
    command: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


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
    slot: int = 0,
    optional: frozenset[str] = frozenset(),
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
        slot: Which of the run's places on its host the attempt has, from 0.
        optional: The params that trials of the search may lack, by their conditions.

    Raises:
        SpecError: Placeholders have no value in this trial; all of them are named.
    """
    about = {"number": trial.number, "key": trial.key, "seed": trial.seed}
    about |= {"repeat": trial.repeat, "attempt": attempt, "result": result, "slot": slot}
    values = {
        "params": trial.params,
        "trial": about,
        "shard": trial.shard.to_json() if trial.shard else {},
        "run": {"id": run_id, "uri": run_uri},
        "sweep": {"name": sweep},
    }
    filler = _Filler(values, trial.number, AbsentParams(optional, trial.params))
    about |= (places := _fill_places(template, filler))
    command = tuple(_fill_command(template, filler))
    argv = (*command, *_fill_args(template, trial, filler))
    env = {"PYTHONUNBUFFERED": "1", **_fill_env(template, filler)}
    own = fill_pod_texts(template, filler.fill)
    filler.raise_problems()
    env.update(_own_env(trial, about, run_id, objectives))
    return Rendered(
        argv=argv,
        command=command,
        env=env,
        template=own,
        faults=(*_faults(template, trial), *unfit_pod_texts(template, own)),
        checkpoint=places.get("checkpoint"),
        output=places.get("output"),
        **referred_env(template),
    )


class _Filler:
    """Fills placeholders and collects those without a value."""

    def __init__(
        self, values: Mapping[str, Mapping[str, Any]], number: int, absent: AbsentParams
    ) -> None:
        self._values = values
        self.absent = absent
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


def _fill_places(template: TrialTemplate, filler: _Filler) -> dict[str, str]:
    """Checkpoint and output: before the rest, which may name them; they cannot name each other."""
    return {
        name: filler.fill(getattr(template, name), f"trial.{name}")
        for name in ("checkpoint", "output")
        if getattr(template, name) is not None
    }


def _fill_command(template: TrialTemplate, filler: _Filler) -> Iterable[str]:
    for index, text in enumerate(template.command or ()):
        if not filler.absent.omit("command", text):
            yield filler.fill(text, f"trial.command[{index}]")


def _fill_args(template: TrialTemplate, trial: Trial, filler: _Filler) -> Iterable[str]:
    for index, arg in enumerate(template.args or ()):
        if isinstance(arg, ParamArgs):
            yield from make_arguments(arg, trial.params)
        elif not filler.absent.omit("args", arg):
            yield filler.fill(arg, f"trial.args[{index}]")


def has_forms(template: TrialTemplate) -> bool:
    """Whether values must fit a form somewhere, so that some may be refused."""
    forms = [arg for arg in template.args or () if isinstance(arg, ParamArgs)]
    bound = any(arg.params == "overrides" or arg.lists == "comma" for arg in forms)
    return bound or any(pod_placeholders(template))


def _faults(template: TrialTemplate, trial: Trial) -> Iterator[str]:
    for index, arg in enumerate(template.args or ()):
        if isinstance(arg, ParamArgs):
            for name, why in unfit_values(arg, trial.params):
                yield f"trial.args[{index}]: {name}: {why}"


def _fill_env(template: TrialTemplate, filler: _Filler) -> dict[str, str]:
    return {
        name: filler.fill(value, f"trial.env.{name}")
        for name, value in (template.env or {}).items()
        if isinstance(value, str) and not filler.absent.omit("env", value)
    }


def referred_env(template: TrialTemplate) -> dict[str, Any]:
    """The variables that a pod takes from elsewhere: `secret_env`, `config_env` and `field_env`.

    Args:
        template: The trial's own.
    """
    found: dict[str, Any] = {"secret_env": {}, "config_env": {}, "field_env": {}}
    for name, value in (template.env or {}).items():
        if name.startswith("PODMAP_"):
            continue
        if isinstance(value, SecretRef):
            found["secret_env"][name] = (value.secret, value.key)
        elif isinstance(value, ConfigMapRef):
            found["config_env"][name] = (value.config_map, value.key)
        elif isinstance(value, FieldRef):
            found["field_env"][name] = value.field
    return found


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
