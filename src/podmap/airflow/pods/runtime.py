"""`runtime="pods"`: the mapped task whose instances start and end in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, XComArg

from podmap.airflow.callbacks import TrialCallbacks
from podmap.airflow.links import RecordLink
from podmap.airflow.runtimes import (
    ENDED_STATES,
    LEFT,
    Runtime,
    SweepGroup,
    TaskStates,
    check_arguments,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    from podmap.backends.base import Backend
    from podmap.engine.planned import PlannedRun
    from podmap.ledger.manifest import Manifest

DEFAULT_PRIORITY_WEIGHT = 1
LAST = 0
_NO_LIMIT = (
    "Airflow's limits do not count tasks that run in the triggerer; set parallelism in the spec"
)
_NO_CALL = (
    "Airflow calls it for no task that ends in the triggerer: do it in a task after the sweep, "
    'with run["counts"], or use runtime="operator"'
)
_NO_WORKER = "no worker runs a trial"
_NO_TEMPLATE = "Airflow renders nothing of a task that starts in the triggerer; see trial_names"
_OWNED = {
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
    "trigger_rule": "the sweep decides what runs when",
    "on_execute_callback": _NO_CALL,
    "on_retry_callback": "Airflow retries no trial: set retries in the spec",
    "email_on_failure": _NO_CALL,
    "email_on_retry": _NO_CALL,
    "pre_execute": _NO_WORKER,
    "post_execute": _NO_WORKER,
    "executor": _NO_WORKER,
    "executor_config": _NO_WORKER,
    "run_as_user": _NO_WORKER,
    "inlets": "give outlets= of sweep(), or inlets to a task before it",
    "outlets": "give outlets= of sweep(): collect updates them",
    "map_index_template": _NO_TEMPLATE,
}


@dataclass(frozen=True)
class StartTrigger:
    """What Airflow's `StartTriggerArgs` holds.

    Airflow (3.3) reads the attributes alone, and importing its own class would cost every parse
    of every DAG file about 10 ms. A test compares the two.
    """

    trigger_cls: str
    next_method: str
    trigger_kwargs: dict[str, Any] | None = None
    next_kwargs: dict[str, Any] | None = None
    timeout: timedelta | None = None


class TrialsOperator(BaseOperator):
    """One mapped instance a trial (or a chunk of trials); starts and ends in the triggerer."""

    template_fields: Sequence[str] = ("run", "numbers")
    ui_color = "#dcfce7"
    operator_extra_links = (RecordLink(),)
    start_from_trigger = True
    start_trigger_args = StartTrigger(  # type: ignore[assignment]  # the same shape
        trigger_cls="podmap.airflow.pods.trigger.TrialTrigger", next_method="finished"
    )

    def __init__(self, *, run: Any, numbers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.numbers = numbers

    def execute(self, context: Context) -> None:
        """Hands over to the trigger, where the scheduler did not: in `dag.test()`."""
        from podmap.airflow.claims import owner_of
        from podmap.airflow.pods.trigger import TrialTrigger

        ti = context["ti"]
        trigger = TrialTrigger(
            run=self.run,
            map_index=max(0, ti.map_index or 0),
            epoch=str(ti.id),
            owner=owner_of(ti),
        )
        self.defer(trigger=trigger, method_name="finished")

    def finished(self, context: Context, event: str) -> None:
        """Ends as the trigger says, where the trigger could not end the task itself."""
        from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

        if event == "failed":
            raise AirflowFailException("a trial failed; its log and its record say why")
        if event == "skipped":
            raise AirflowSkipException("the run was stopped before this trial was run")


class PodsRuntime(Runtime):
    """Has podmap's own trigger run the trials; nothing is read when the DAG file is parsed."""

    chunks = True

    def parse(self, group: SweepGroup) -> SweepGroup:
        """The group as it is."""
        check_arguments(group, _OWNED)
        return group

    def make_trials(self, group: SweepGroup, plan: BaseOperator) -> list[MappedOperator]:
        """One mapped task: an instance a trial, or a chunk of trials.

        What `default_args` say is not for it: a pool would not limit it, and be filled by it. Its
        instances come last where a triggerer takes over, unless a weight is asked for: there may be
        500, and other DAGs' sensors wait behind them.
        """
        trials = TrialsOperator.partial(
            task_id="trials",
            run=XComArg(plan, "run"),
            retries=0,
            execution_timeout=None,
            pool="default_pool",
            pool_slots=1,
            trigger_rule="all_success",
            max_active_tis_per_dag=None,
            max_active_tis_per_dagrun=None,
            **{"weight_rule": "absolute", **group.task_args},
        ).expand(numbers=plan.output)
        if trials.priority_weight == DEFAULT_PRIORITY_WEIGHT:
            trials.partial_kwargs["priority_weight"] = LAST
        return [trials]

    def take_callbacks(self, trials: Sequence[MappedOperator]) -> TrialCallbacks:
        """Those that Airflow does not call, since no worker runs a trial."""
        (task,) = trials
        return TrialCallbacks.take(task)

    async def check_plan(
        self, group: SweepGroup, planned: PlannedRun, backend: Backend, *, log: Any
    ) -> Manifest:
        """The manifest as it is."""
        return planned.manifest

    def before_collect(
        self, run: Mapping[str, str], planned: PlannedRun, *, states: TaskStates, log: Any
    ) -> list[str]:
        """Settles trials whose instances have ended without them, as after a late kill."""
        from podmap.airflow.connections import planned_target
        from podmap.backends.connect import connected
        from podmap.engine.teardown import settle_trials

        if any(state not in ENDED_STATES for state in states(["trials"]).values()):
            return []  # one was cleared meanwhile
        left = [record for record in planned.ledger.board().records() if not record.state.terminal]

        async def settle() -> None:
            async with connected(planned_target(run)) as backend:
                await settle_trials(planned, backend, left, reason=LEFT)

        if left:
            log.warning("%d trials were left by their tasks and are settled", len(left))
            asyncio.run(settle())
        return []


RUNTIME = PodsRuntime()
