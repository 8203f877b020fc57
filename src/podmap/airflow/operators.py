"""The tasks of a sweep: plan, trials, collect, cleanup. All work is done when they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

TRIGGER = "podmap.airflow.pods.trigger.TrialTrigger"


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


class PlanOperator(BaseOperator):
    """Reads the spec, makes the trials, and writes the run's manifest.

    Its XCom is what `trials` is mapped over; the XCom `run` says where the run is.
    """

    template_fields: Sequence[str] = ("experiments", "overrides")
    ui_color = "#dbeafe"

    def __init__(
        self,
        *,
        spec: str | Mapping[str, Any],
        experiments: Any = None,
        overrides: Mapping[str, Any] | None = None,
        backend: str | None = None,
        conn_id: str | None = None,
        runtime: str = "pods",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.experiments = experiments
        self.overrides = overrides
        self.backend = backend
        self.conn_id = conn_id
        self.runtime = runtime
        self.in_executor: Any = None

    def execute(self, context: Context) -> list[Any]:
        """Plans the run; called again after a clear, it keeps the run and plans it again."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.plan import plan_run
        from podmap.errors import PodmapError, UnreachableError

        try:
            run, mapped_over = plan_run(self, context)
        except UnreachableError:
            raise  # the next try may reach it
        except PodmapError as error:
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key="run", value=run)
        return mapped_over


class TrialsOperator(BaseOperator):
    """One mapped instance a trial (or a chunk of trials); starts and ends in the triggerer."""

    template_fields: Sequence[str] = ("run", "numbers")
    ui_color = "#dcfce7"
    start_from_trigger = True
    start_trigger_args = StartTrigger(  # type: ignore[assignment]  # the same shape
        trigger_cls=TRIGGER, next_method="finished"
    )

    def __init__(self, *, run: Any, numbers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.numbers = numbers

    def execute(self, context: Context) -> None:
        """Hands over to the trigger, where the scheduler did not: in `dag.test()`."""
        from podmap.airflow.pods.trigger import TrialTrigger

        ti = context["ti"]
        trigger = TrialTrigger(run=self.run, map_index=max(0, ti.map_index or 0), epoch=str(ti.id))
        self.defer(trigger=trigger, method_name="finished")

    def finished(self, context: Context, event: str) -> None:
        """Ends as the trigger says, where the trigger could not end the task itself."""
        from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

        if event == "failed":
            raise AirflowFailException("a trial failed; its log and its record say why")
        if event == "skipped":
            raise AirflowSkipException("the run was stopped before this trial was run")


class CollectOperator(BaseOperator):
    """Makes the leaderboard and the report, and returns the best trial."""

    ui_color = "#fef9c3"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the summary; fails when more trials failed than were allowed."""
        from podmap.airflow.collect import collect_run

        return collect_run(self, context)


class CleanupOperator(BaseOperator):
    """The group's teardown: ends and removes what is left of the run's attempts."""

    ui_color = "#f1f5f9"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        """Removes attempts that nobody waits for any more."""
        from podmap.airflow.collect import clean_run

        clean_run(self, context)
