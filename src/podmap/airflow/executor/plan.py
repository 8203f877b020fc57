"""What `plan` does for `runtime="executor"`: it checks, and gives each task its trials."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from podmap.airflow.executor.backend import IN_POD
from podmap.airflow.executor.functions import check_arguments
from podmap.airflow.executor.shapes import (
    ParsedSweep,
    ShapeKeys,
    configured_executors,
    makes_pods,
)
from podmap.airflow.executor.worker import check_function
from podmap.engine.local_spec import check_env_of_processes, ignored_by_processes
from podmap.errors import UsageError
from podmap.search.plan import Plan
from podmap.spec.entries import SecretRef
from podmap.spec.model import Sweep

_NAMES_SHOWN = 5


def check_executor(parsed: ParsedSweep, sweep: Sweep, plan: Plan, *, log: Any) -> None:
    """Sees to it that the trials can run as the DAG was made.

    Args:
        parsed: What was read when the DAG file was parsed.
        sweep: The effective spec, with all overrides.
        plan: The trials.
        log: For what will be ignored.

    Raises:
        UsageError: They cannot, as far as it can be known now.
    """
    if sweep.parallelism < parsed.sweep.parallelism:
        raise UsageError(
            f"parallelism is {sweep.parallelism} now, but was {parsed.sweep.parallelism} when the "
            "DAG file was parsed, and with runtime='executor' the tasks keep that limit: write it "
            "in the spec, or as an override that is no template"
        )
    if not os.environ.get(IN_POD):  # in a pod nothing is known of the executor
        _check_configuration(parsed, sweep, log)
    if parsed.function is not None:
        _check_calls(parsed.function, plan)
        check_function(parsed.function)


def trials_by_task(parsed: ParsedSweep, sweep: Sweep, plan: Plan) -> dict[str, list[int]]:
    """Task name to the numbers of its trials, by map index; every task of the DAG is in it.

    Raises:
        UsageError: A trial's pod is like none of the shapes.
    """
    tasks: dict[str, list[int]] = {shape.task_id: [] for shape in parsed.shapes}
    if plan.learns and len(tasks) > 1:
        raise UsageError(
            f"with runtime='executor' each kind of pod is a task of its own, and search.kind: "
            f"{plan.kind} says only later which pod a trial needs: leave out what differs in "
            "trial.cases, or use runtime='pods'"
        )
    names = {shape.key: shape.task_id for shape in parsed.shapes}
    shape_keys = ShapeKeys(sweep)
    strange: list[int] = []
    for trial in plan.trials():
        name = names.get(shape_keys.for_trial(trial))
        if name is None:
            strange.append(trial.number)
        else:
            tasks[name].append(trial.number)
    if strange:
        raise UsageError(_unknown_shape(parsed, strange))
    return tasks


def _unknown_shape(parsed: ParsedSweep, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_NAMES_SHOWN]))
    more = " and others" if len(numbers) > _NAMES_SHOWN else ""
    text = (
        f"the pods of trials {shown}{more} would differ from all that were known when the DAG file "
        "was parsed; with runtime='executor' Airflow must know them then. "
    )
    if parsed.templates:
        names = ", ".join(f"overrides[{name!r}]" for name in parsed.templates)
        return text + (
            f"These are templates, known only now: {names}. Write what changes a pod as plain "
            "values, or use runtime='pods'"
        )
    return text + (
        "If upstream experiments or a file carry `trial:` differences, write these as trial.cases "
        "in the spec; if the spec was changed a moment ago, run it again; or use runtime='pods'"
    )


def _check_configuration(parsed: ParsedSweep, sweep: Sweep, log: Any) -> None:
    """Whether the executor of this deployment can do what the spec asks for."""
    if makes_pods(parsed.executor):
        _check_namespace(sweep)
        return
    check_env_of_processes(sweep)
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
            parsed.executor or executors,
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
