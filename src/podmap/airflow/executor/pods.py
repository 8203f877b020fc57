"""What the KubernetesExecutor is told of a trial's worker pod, as Airflow wants it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from podmap.airflow.executor.functions import LOADED_AS
from podmap.backends.kubernetes.pod.worker import worker_override

if TYPE_CHECKING:
    from podmap.airflow.executor.shapes import Shape
    from podmap.spec.model import Sweep

EXECUTOR = "KubernetesExecutor"
IN_POD = "AIRFLOW_IS_K8S_EXECUTOR_POD"
"""Airflow sets this variable in the pods of the KubernetesExecutor."""


def executor_config(
    shape: Shape, sweep: Sweep, *, asked: Mapping[str, Any], resources: bool = True
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
