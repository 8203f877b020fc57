"""What stands between `plan` and `collect`: the mapped tasks of a sweep, by the runtime's name.

A runtime is chosen when the DAG file is parsed, since it shapes the DAG. Only the chosen one is
imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import XComArg

from podmap.airflow.operators import TrialsOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.airflow.operators import PlanOperator

Runtime = Literal["pods", "operator", "executor"]


@dataclass(frozen=True)
class Group:
    """A sweep's task group as far as it is made when its mapped tasks are to be added.

    Attributes:
        plan: The task that they are mapped over; a runtime may still change its arguments.
        spec: The sweep, as `sweep()` was given it.
        overrides: As `sweep()` was given them; templates are not rendered yet.
        task_args: What the DAG file wants the mapped tasks to have besides.
        python_callable: What a trial is in place of the spec's command; None for that.
    """

    plan: PlanOperator
    spec: str | Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    task_args: Mapping[str, Any] = field(default_factory=dict)
    python_callable: Callable[..., Any] | None = None


_Maker = Callable[[Group], "list[MappedOperator]"]


def make_trials(runtime: str, group: Group) -> list[MappedOperator]:
    """The mapped tasks that run the trials.

    Raises:
        UsageError: There is no such runtime, it is not installed, or `task_args` holds what it
            must decide itself.
    """
    maker = _maker(runtime)
    if group.python_callable is not None and runtime != "executor":
        from podmap.errors import UsageError

        raise UsageError(
            f"python_callable= needs runtime='executor', where Airflow runs the trials; with "
            f"runtime={runtime!r} a trial is the spec's command"
        )
    return maker(group)


def check_task_args(runtime: str, given: Mapping[str, Any], owned: Mapping[str, str]) -> None:
    """Refuses arguments of the mapped task that a runtime has to decide itself.

    Args:
        runtime: Its name.
        given: `task_args` of the DAG file.
        owned: Argument name to what to do instead.

    Raises:
        UsageError: One of them is given; all are named.
    """
    wrong = [f"{name!r}: {owned[name]}" for name in given if name in owned]
    if wrong:
        from podmap.errors import UsageError

        raise UsageError(
            f"task_args of runtime={runtime!r} holds what podmap decides: " + "; ".join(wrong)
        )


def _maker(runtime: str) -> _Maker:
    makers: dict[str, _Maker] = {
        "pods": _pods,
        "operator": lambda group: _imported("operator.runtime")(group),
        "executor": lambda group: _imported("executor.operator")(group),
    }
    if runtime not in makers:
        from podmap.errors import UsageError

        allowed = ", ".join(repr(name) for name in makers)
        raise UsageError(f"runtime={runtime!r} of sweep() is not one of {allowed}")
    return makers[runtime]


def _imported(module: str) -> _Maker:
    maker: _Maker = importlib.import_module(f"podmap.airflow.{module}").make_trials
    return maker


_NO_LIMIT = (
    "Airflow's limits do not count tasks that run in the triggerer; set parallelism in the spec"
)
_POD_ARGS = {
    "task_id": "set group_id of sweep()",
    "retries": "set retries in the spec",
    "retry_delay": "set retries in the spec",
    "retry_policy": "set retries in the spec",
    "execution_timeout": "set trial.timeout or trial.deadline in the spec",
    "start_from_trigger": "the trials start and end in the triggerer",
    "pool": _NO_LIMIT,
    "pool_slots": _NO_LIMIT,
    "max_active_tis_per_dag": _NO_LIMIT,
    "max_active_tis_per_dagrun": _NO_LIMIT,
}


def _pods(group: Group) -> list[MappedOperator]:
    check_task_args("pods", group.task_args, _POD_ARGS)
    trials = TrialsOperator.partial(
        task_id="trials",
        run=XComArg(group.plan, "run"),
        retries=0,
        execution_timeout=None,
        **group.task_args,
    ).expand(numbers=group.plan.output)
    return [trials]
