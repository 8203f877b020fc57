"""What `plan` does for `runtime="executor"`: checks, and which trials each task gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from podmap.airflow.executor.functions import check_arguments
from podmap.airflow.executor.pods import IN_POD, configured_executors, makes_pods
from podmap.airflow.executor.shapes import ShapeKeys
from podmap.airflow.executor.worker import check_function
from podmap.engine.support import ignored_by_processes
from podmap.errors import UsageError
from podmap.search.plan import Plan
from podmap.spec.model import SecretRef, Sweep

if TYPE_CHECKING:
    from podmap.airflow.executor.operator import ExecutorPlan

_NAMES_SHOWN = 5


def tasks_of(decided: ExecutorPlan, sweep: Sweep, plan: Plan, log: Any) -> dict[str, Any]:
    """Task name to the numbers of its trials, by map index; every task of the DAG is in it.

    Args:
        decided: What the DAG file decided when it was parsed.
        sweep: The effective spec, with all overrides.
        plan: The trials.
        log: For what will be ignored.

    Raises:
        UsageError: The trials cannot run as the DAG was made: all that can be known of it.
    """
    _check_parallelism(decided, sweep)
    _check_executor(decided, sweep, log)
    if decided.function is not None:
        _check_calls(decided.function, plan)
        check_function(decided.function)
    return _by_shape(decided, sweep, plan)


def _by_shape(decided: ExecutorPlan, sweep: Sweep, plan: Plan) -> dict[str, Any]:
    tasks: dict[str, list[int]] = {shape.task_id: [] for shape in decided.shapes}
    names = {shape.key: shape.task_id for shape in decided.shapes}
    shape_keys = ShapeKeys(sweep)
    strange: list[int] = []
    for trial in plan.trials():
        name = names.get(shape_keys.for_trial(trial))
        if name is None:
            strange.append(trial.number)
        else:
            tasks[name].append(trial.number)
    if strange:
        raise UsageError(_unknown_shape(decided, strange))
    return tasks


def _unknown_shape(decided: ExecutorPlan, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_NAMES_SHOWN]))
    more = " and others" if len(numbers) > _NAMES_SHOWN else ""
    text = (
        f"the pods of trials {shown}{more} would differ from all that were known when the DAG file "
        "was parsed; with runtime='executor' Airflow must know them then. "
    )
    if decided.templates:
        names = ", ".join(f"overrides[{name!r}]" for name in decided.templates)
        return text + (
            f"These are templates, known only now: {names}. Write what changes a pod as plain "
            "values, or use runtime='pods'"
        )
    return text + (
        "If upstream experiments or a file carry `trial:` differences, write these as trial.cases "
        "in the spec; if the spec was changed a moment ago, run it again; or use runtime='pods'"
    )


def _check_parallelism(decided: ExecutorPlan, sweep: Sweep) -> None:
    if sweep.parallelism < decided.parallelism:
        raise UsageError(
            f"parallelism is {sweep.parallelism} now, but was {decided.parallelism} when the DAG "
            "file was parsed, and with runtime='executor' the tasks keep that limit: write it in "
            "the spec, or as an override that is no template"
        )


def _check_executor(decided: ExecutorPlan, sweep: Sweep, log: Any) -> None:
    """Whether the executor can do what the spec asks for. In a pod nothing is known of that."""
    if os.environ.get(IN_POD):
        return
    if makes_pods(decided.executor):
        _check_namespace(sweep)
        return
    executors = ", ".join(configured_executors()) or "none"
    secrets = _secrets(sweep)
    missing = [name for name in secrets if name not in os.environ]
    if missing:
        raise UsageError(
            f"trial.env: {', '.join(missing)} come from Kubernetes Secrets, but the trials do not "
            f"run in pods: [core] executor is {executors}. Add KubernetesExecutor to it and ask "
            'for it with task_args={"executor": "KubernetesExecutor"}, or set these variables in '
            "the workers' environment"
        )
    ignored = [path for path in ignored_by_processes(sweep) if path != "retries.oom"]
    if ignored:
        log.warning(
            "the trials run as plain processes of the workers of %s, so these are ignored: %s. "
            'For pods, task_args={"executor": "KubernetesExecutor"} asks for that executor',
            decided.executor or executors,
            ", ".join(ignored),
        )


def _check_namespace(sweep: Sweep) -> None:
    from airflow.sdk.configuration import conf

    wanted = sweep.kubernetes.namespace
    if wanted is None:
        return
    own = conf.get("kubernetes_executor", "namespace", fallback="default")
    if wanted != own:
        raise UsageError(
            f"kubernetes.namespace is {wanted!r}, but the KubernetesExecutor makes its pods in "
            f"{own!r} ([kubernetes_executor] namespace): leave it out, or use runtime='pods'"
        )


def _secrets(sweep: Sweep) -> list[str]:
    templates = [sweep.trial, *sweep.trial.cases]
    found = {
        name: None
        for template in templates
        for name, value in (template.env or {}).items()
        if isinstance(value, SecretRef)
    }
    return list(found)


def _check_calls(function: Callable[..., Any], plan: Plan) -> None:
    checked: set[frozenset[str]] = set()
    for trial in plan.trials():
        names = frozenset(trial.params)
        if names in checked:
            continue
        checked.add(names)
        wrong = check_arguments(function, trial.params, shard=trial.shard is not None)
        if wrong:
            raise UsageError(f"python_callable, trial {trial.number}: {wrong}")
