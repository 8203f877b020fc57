"""`runtime="operator"`: the mapped task of a sweep, as pods of Airflow's own operator."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, XComArg

from podmap.airflow.operator.arguments import POD_ARGS
from podmap.airflow.operator.operator import TrialPodOperator
from podmap.airflow.operator.parse_limits import ParseLimits, read_limits
from podmap.airflow.operator.retry_policy import TrialRetryPolicy
from podmap.airflow.runtimes import (
    ENDED_STATES,
    Runtime,
    SweepGroup,
    TaskStates,
    check_arguments,
)
from podmap.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.backends.base import Backend
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.manifest import Manifest

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


class OperatorRuntime(Runtime):
    """Has the provider's operator make the pods: an instance a trial, a try an attempt.

    Airflow's own limit keeps to the spec's parallelism. It is part of the DAG, so that the spec is
    read when the DAG file is parsed, for it and for the number of retries alone.
    """

    chunks = False

    def parse(self, group: SweepGroup) -> SweepGroup:
        """The group with the limits that Airflow has to know."""
        check_arguments(group, _OWNED)
        if group.backend not in (None, "kubernetes"):
            raise UsageError(
                f"runtime='operator' makes pods, so backend={group.backend!r} cannot be: leave it "
                "out"
            )
        return replace(group, backend="kubernetes", parsed=_limits(group))

    def make_trials(self, group: SweepGroup, plan: BaseOperator) -> list[MappedOperator]:
        """One mapped task."""
        limits: ParseLimits = group.parsed
        args: dict[str, Any] = {"retry_delay": timedelta(0), **group.task_args}
        args.pop("parallelism", None)
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

    async def check_plan(
        self, group: SweepGroup, planned: PlannedRun, backend: Backend, *, log: Any
    ) -> Manifest:
        """The manifest with the namespace of the pods: the provider's default is another one."""
        namespace = await backend.namespace()
        return replace(planned.manifest, namespace=namespace)

    def before_collect(
        self, run: Mapping[str, str], planned: PlannedRun, *, states: TaskStates, log: Any
    ) -> list[str]:
        """Ends pods and records whose tasks have ended without them.

        A deferred task that is marked failed before a triggerer has its trigger is told to nobody.
        """
        from podmap.airflow.connections import planned_target
        from podmap.airflow.operator.collect import cancel_left
        from podmap.airflow.operator.run import open_run

        if any(state not in ENDED_STATES for state in states(["trials"]).values()):
            return []  # one was cleared meanwhile
        left = [record for record in planned.ledger.records() if not record.state.terminal]
        if left:
            log.warning("%d trials were left by their tasks and are cancelled", len(left))
            asyncio.run(cancel_left(open_run(run), left, planned_target(run)))
        return []


RUNTIME = OperatorRuntime()


def _limits(group: SweepGroup) -> ParseLimits:
    given = group.task_args.get("parallelism")
    if given is not None and (not isinstance(given, int) or given < 1):
        raise UsageError(f"task_args: parallelism is {given!r}; it is a whole number from 1")
    limits = read_limits(group.spec, group.overrides, folder=group.folder)
    if given is not None:
        return ParseLimits(given, limits.tries)
    if limits.parallelism is None:
        raise UsageError(
            "runtime='operator': the spec's parallelism is not known when the DAG file is parsed, "
            "and Airflow's limit needs it then: write a number, or give "
            "task_args={'parallelism': N}"
        )
    return limits
