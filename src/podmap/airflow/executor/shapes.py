"""Shapes of worker pods: a mapped task for each, and what the KubernetesExecutor is told of it.

Airflow cannot map `executor_config`, so trials that differ in their pods need tasks of their own,
which have to be known when the DAG file is parsed.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from podmap.airflow.executor.functions import LOADED_AS
from podmap.backends.kubernetes.pod.worker import worker_override
from podmap.errors import UsageError
from podmap.names import digest
from podmap.records import Trial
from podmap.spec.conditions import optional_params
from podmap.spec.findings import path_text
from podmap.spec.flat_params import flattened
from podmap.spec.model import Case, Resources, Sweep, TrialTemplate
from podmap.spec.pod_texts import pod_placeholders
from podmap.spec.search import ListSearch, Range, dimensions
from podmap.spec.template import PerTemplate, own_template

TASK = "trials"
MOST_SHAPES = 32
EXECUTOR = "KubernetesExecutor"
_MOST_COMBINATIONS = 4096
_NAME_LENGTH = 40
_GPU = "nvidia.com/gpu"
_OTHER = "\0any other value"  # equal to nothing that a spec can say


@dataclass(frozen=True)
class PodShape:
    """What the pods of some trials have in common.

    Attributes:
        task_id: The mapped task of these trials: `trials`, or `trials_` and how they differ.
        key: A hash of what is laid over the worker's pod.
        template: How one of these trials runs.
        weight: How many of the trials have it, where that is known; else 1.
    """

    task_id: str
    key: str
    template: TrialTemplate
    weight: int = 1

    @property
    def suffix(self) -> str:
        """What the task's name says beyond `trials`; empty for the template's own shape."""
        return self.task_id.removeprefix(TASK)


@dataclass(frozen=True)
class ParsedSweep:
    """What is read of a sweep when the DAG file is parsed, since its tasks depend on it.

    Attributes:
        shapes: The shapes of pods, each with a task of its own.
        sweep: The spec as far as it was known; the tasks' limits add up to its parallelism.
        function: The Python function that a trial is; None if it is the spec's command.
        templates: Key paths of overrides that are known only when `plan` runs.
        executor: The executor that the DAG file asks for; None for the default one.
    """

    shapes: tuple[PodShape, ...]
    sweep: Sweep
    function: Callable[..., Any] | None = None
    templates: tuple[str, ...] = ()
    executor: str | None = None


class ShapeKeys(PerTemplate[str]):
    """The keys of the trials' shapes."""

    def __init__(self, sweep: Sweep) -> None:
        """Takes the effective spec."""
        super().__init__(sweep.trial, lambda own: shape_key(own, sweep))


def shape_key(template: TrialTemplate, sweep: Sweep) -> str:
    """A hash of what a trial's template lays over its worker's pod.

    Raises:
        UsageError: It has placeholders, which Airflow cannot fill for each trial.
    """
    for place, placeholder in pod_placeholders(template):
        raise UsageError(
            f"{path_text(('trial', *place))}: {placeholder} cannot be replaced with "
            "runtime='executor', where Airflow makes the pods; write the values in trial.cases, or "
            "use runtime='pods'"
        )
    return digest(worker_override(template, sweep.kubernetes, sweep=sweep.name))


def find_shapes(
    sweep: Sweep, *, items: Sequence[Mapping[str, Any]] | None = None
) -> tuple[PodShape, ...]:
    """The shapes that the sweep's trials can have, the template's own first, else by name.

    Args:
        sweep: The spec as far as it is known before anything runs.
        items: The experiments, where the DAG file itself holds them.

    Raises:
        UsageError: There are too many shapes, or too many combinations of cases.
    """
    base = own_template(sweep.trial, _trial({}))
    found: dict[str, PodShape] = {}
    shape_keys = ShapeKeys(sweep)
    for trial in _representatives(sweep, items):
        key = shape_keys.for_trial(trial)
        if key in found:
            found[key] = replace(found[key], weight=found[key].weight + 1)
        else:
            template = own_template(sweep.trial, trial)
            found[key] = PodShape(TASK + _suffix(base, template, key, sweep), key, template)
    if len(found) > MOST_SHAPES:
        raise UsageError(
            f"the trials have {len(found)} different shapes of pods; runtime='executor' makes a "
            f"task of each, and at most {MOST_SHAPES}: let more trials share their resources, or "
            "use runtime='pods', where each trial has a pod of its own making"
        )
    if not _counted(sweep, items):
        found = {key: replace(shape, weight=1) for key, shape in found.items()}
    return tuple(sorted(_told_apart(found.values()), key=lambda shape: shape.task_id))


def executor_config(
    shape: PodShape, sweep: Sweep, *, asked: Mapping[str, Any], resources: bool = True
) -> dict[str, Any] | None:
    """The `executor_config` of a shape's tasks; None where no KubernetesExecutor will read it.

    Only who parses the DAG for the scheduler needs it, so a worker does not pay for importing the
    Kubernetes client, which takes most of a second.

    Args:
        shape: The shape.
        sweep: The effective spec.
        asked: `task_args` of the DAG file, which may name an executor.
        resources: As for `worker_override`.
    """
    from airflow.sdk import get_parsing_context

    for_a_task = get_parsing_context().task_id is not None or LOADED_AS in sys.modules
    if for_a_task or not may_make_pods(asked.get("executor")):
        return None
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    override = worker_override(
        shape.template, sweep.kubernetes, sweep=sweep.name, resources=resources
    )
    return {"pod_override": PodGenerator.deserialize_model_dict(override)}


def may_make_pods(executor: str | None) -> bool:
    """Whether tasks may come to a KubernetesExecutor, as far as this process's settings tell.

    Args:
        executor: The name that the DAG file asks for; None for the default one.
    """
    return EXECUTOR in " ".join(configured_executors()) or EXECUTOR in (executor or "")


def makes_pods(executor: str | None) -> bool:
    """Whether tasks come to a KubernetesExecutor, as far as this process's settings tell.

    Args:
        executor: The name that the DAG file asks for; None for the default one.
    """
    names = configured_executors()
    if executor is None:
        return bool(names) and EXECUTOR in names[0]
    return any(EXECUTOR in name for name in names if executor in name.split(":"))


def configured_executors() -> list[str]:
    """`[core] executor`, one by one: names, classes, or `alias:class`."""
    from airflow.sdk.configuration import conf

    text = str(conf.get("core", "executor", fallback="") or "")
    return [name.strip() for name in text.split(",") if name.strip()]


def shares(parallelism: int, weights: Sequence[int]) -> list[int]:
    """How many instances of each task may run at once, so that all together are within the limit.

    With more tasks than `parallelism` each share is 1, and no more than `parallelism` of the tasks
    may run at the same time.

    Args:
        parallelism: Attempts alive at once.
        weights: Of the tasks, by how many trials they have.
    """
    given = [1] * len(weights)
    for _ in range(parallelism - len(weights)):
        # The one that is furthest behind what its weight asks for.
        behind = max(range(len(weights)), key=lambda i: weights[i] / given[i])
        given[behind] += 1
    return given


def _counted(sweep: Sweep, items: Sequence[Mapping[str, Any]] | None) -> bool:
    return items is not None or _inline_items(sweep) is not None


def _inline_items(sweep: Sweep) -> Sequence[Mapping[str, Any]] | None:
    search = sweep.search
    if isinstance(search, ListSearch) and isinstance(search.items, list):
        return search.items
    return None


def _trial(params: Mapping[str, Any], patch: Mapping[str, Any] | None = None) -> Trial:
    return Trial(number=0, key="", seed=0, params=params, patch=patch or {})


def _representatives(sweep: Sweep, items: Sequence[Mapping[str, Any]] | None) -> Iterator[Trial]:
    """Trials that show every shape there can be: of a list all, else one a combination."""
    given = items if items is not None else _inline_items(sweep)
    if given is not None:
        for item in given:
            params = {name: value for name, value in item.items() if name != "trial"}
            yield _trial(flattened(params), item.get("trial"))
        return
    cases = [case for case in sweep.trial.cases if _shapes(case, sweep)]
    names = sorted({name for case in cases for name in case.when})
    options = [_options(name, cases, sweep) for name in names]
    count = 1
    for each in options:
        count *= len(each)
    if count > _MOST_COMBINATIONS:
        raise UsageError(
            f"trial.cases asks for {count} combinations of {', '.join(names)}: too many to find "
            "the shapes of pods among; let fewer cases change resources, or use runtime='pods'"
        )
    for values in itertools.product(*options):
        params = dict(zip(names, values, strict=True))
        yield _trial({name: value for name, value in params.items() if value is not None})


def _shapes(case: Case, sweep: Sweep) -> bool:
    """Whether a case can change the pod."""
    alone = sweep.trial.model_copy(update={"cases": [case.model_copy(update={"when": {}})]})
    return shape_key(own_template(alone, _trial({})), sweep) != shape_key(
        own_template(sweep.trial.model_copy(update={"cases": []}), _trial({})), sweep
    )


def _options(name: str, cases: Iterable[Case], sweep: Sweep) -> list[Any]:
    """The values of a param among which the cases tell, and one that stands for all others."""
    asked: list[Any] = []
    for case in cases:
        wanted = case.when.get(name)
        asked += wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
    params = dimensions(getattr(sweep.search, "params", {}))
    if name not in params or name in optional_params(sweep.search):
        return [*_distinct(asked), _OTHER]
    dimension = params[name]
    if isinstance(dimension, Range):
        return [*_distinct(asked), _OTHER]
    fixed = dimension if isinstance(dimension, list) else [dimension]
    tried = [first[name] for first in getattr(sweep.search, "try_first", []) if name in first]
    return _distinct([*fixed, *tried])


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value): value for value in values}.values())


def _suffix(base: TrialTemplate, template: TrialTemplate, key: str, sweep: Sweep) -> str:
    """How a shape differs from the template's own, as the end of a task's name."""
    if key == shape_key(base, sweep):
        return ""
    parts = [*_resource_parts(base.resources, template.resources)]
    if template.image != base.image and template.image:
        parts.append(template.image.rpartition("/")[2].partition("@")[0])
    text = re.sub(r"[^a-z0-9]+", "_", "_".join(parts).lower()).strip("_")
    return "_" + (text[:_NAME_LENGTH].strip("_") or f"shape_{key[:6]}")


def _resource_parts(base: Resources | None, wanted: Resources | None) -> Iterator[str]:
    before, after = _amounts(base), _amounts(wanted)
    for name in sorted({*before, *after}, key=lambda each: ("gpu" not in each, each)):
        value, short = after.get(name), name.rpartition("/")[2]
        if value == before.get(name):
            continue
        if not value:
            yield f"no_{short}"
        elif "/" in name:
            yield short if value == 1 else f"{short}_{value}"
        else:
            yield f"{short}_{value}"


def _amounts(resources: Resources | None) -> dict[str, Any]:
    """What is asked for, as a spec writes it: `memory: 32Gi` and not the bytes."""
    if resources is None:
        return {}
    from podmap.spec.quantity import format_bytes

    given = {**resources.model_dump(exclude_none=True)}
    amounts = {name: value for name, value in given.items() if value}
    for name in ("memory", "disk"):
        if name in amounts:
            amounts[name] = format_bytes(amounts[name])
    for name in ("cpu", "cpu_limit"):
        if name in amounts:
            amounts[name] = f"{amounts[name]:g}"
    if _GPU in amounts:
        amounts["gpu"] = amounts.pop(_GPU)
    return amounts


def _told_apart(shapes: Iterable[PodShape]) -> Iterator[PodShape]:
    """The shapes, with a part of their hash in names that would be the same."""
    for _, group in itertools.groupby(
        sorted(shapes, key=lambda shape: shape.task_id), key=lambda shape: shape.task_id
    ):
        same = list(group)
        for shape in same:
            tail = f"_{shape.key[:6]}" if len(same) > 1 else ""
            yield replace(shape, task_id=shape.task_id + tail)
