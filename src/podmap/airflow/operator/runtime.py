"""`runtime="operator"`: the mapped task of a sweep, as pods of Airflow's own operator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import XComArg

from podmap.airflow.executor.retry_policy import TrialRetryPolicy
from podmap.airflow.operator.arguments import POD_ARGS
from podmap.airflow.operator.operator import TrialPodOperator
from podmap.airflow.parse_limits import ParseLimits, read_limits
from podmap.airflow.runtimes import check_task_args
from podmap.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.airflow.runtimes import Group

_RETRIES = "set retries in the spec"
_OWNED = {
    **POD_ARGS,
    "task_id": "set group_id of sweep()",
    "run": "it is the run of this sweep",
    "numbers": "it is mapped over the trials",
    "retries": _RETRIES,
    "retry_policy": _RETRIES,
    "retry_exponential_backoff": _RETRIES,
    "max_active_tis_per_dagrun": "it is the spec's parallelism; where a template decides that, "
    "give task_args={'parallelism': N}",
}


def make_trials(group: Group) -> list[MappedOperator]:
    """One mapped task: an instance a trial, a try an attempt.

    Airflow's own limit keeps to the spec's parallelism. It is part of the DAG, so that the spec is
    read when the DAG file is parsed, for it and for the number of retries alone.

    Raises:
        UsageError: An argument is podmap's to decide, or the parallelism cannot be known.
    """
    check_task_args("operator", group.task_args, _OWNED)
    plan = group.plan
    if plan.backend not in (None, "kubernetes"):
        raise UsageError(
            f"runtime='operator' makes pods, so backend={plan.backend!r} cannot be: leave it out"
        )
    plan.backend = "kubernetes"
    args: dict[str, Any] = {"retry_delay": timedelta(0), **group.task_args}
    limits = _limits(group, args.pop("parallelism", None))
    trials = TrialPodOperator.partial(
        task_id="trials",
        run=XComArg(plan, "run"),
        retries=limits.tries,
        retry_policy=TrialRetryPolicy(),
        execution_timeout=None,
        max_active_tis_per_dagrun=limits.parallelism,
        **args,
    ).expand(numbers=plan.output)
    return [trials]


def _limits(group: Group, given: Any) -> ParseLimits:
    if given is not None and (not isinstance(given, int) or given < 1):
        raise UsageError(f"task_args: parallelism is {given!r}; it is a whole number from 1")
    folder = Path(group.plan.dag.fileloc).resolve().parent
    limits = read_limits(group.spec, group.overrides, folder=folder)
    if given is not None:
        return ParseLimits(given, limits.tries)
    if limits.parallelism is None:
        raise UsageError(
            "runtime='operator': the spec's parallelism is not known when the DAG file is parsed, "
            "and Airflow's limit needs it then: write a number, or give "
            "task_args={'parallelism': N}"
        )
    return limits
