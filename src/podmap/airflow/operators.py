"""The tasks of a sweep beside its trials: plan, collect and cleanup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class PlanOperator(BaseOperator):
    """Reads the spec, makes the trials, and writes the run's manifest.

    Its XCom is what `trials` is mapped over; the XCom `run` says where the run is. The arguments
    are those of `sweep()`; `parsed` is what the runtime has read when the DAG file was parsed.
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
        parsed: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.experiments = experiments
        self.overrides = overrides
        self.backend = backend
        self.conn_id = conn_id
        self.runtime = runtime
        self.parsed = parsed

    def execute(self, context: Context) -> list[Any]:
        """Plans the run; called again after a clear, it keeps the run and plans it again."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.plan import plan_run
        from podmap.airflow.runtimes import SweepGroup, dag_folder
        from podmap.errors import PodmapError, UnreachableError

        group = SweepGroup(
            runtime=self.runtime,
            spec=self.spec,
            folder=dag_folder(self.dag),
            experiments=self.experiments,
            overrides=self.overrides or {},
            backend=self.backend,
            conn_id=self.conn_id,
            parsed=self.parsed,
        )
        group_id = self.task_id.rpartition(".")[0]
        try:
            run, mapped_over = plan_run(group, context["dag_run"], group_id, log=self.log)
        except UnreachableError:
            raise  # the next try may reach it
        except PodmapError as error:
            raise AirflowFailException(str(error)) from None
        context["ti"].xcom_push(key="run", value=run)
        return mapped_over


class CollectOperator(BaseOperator):
    """Makes the leaderboard and the report, and returns the best trial."""

    ui_color = "#fef9c3"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Returns the summary; fails when more trials failed than were allowed."""
        from podmap.airflow.collect import collect_run

        return collect_run(context, self.plan_task_id, outlets=self.outlets, log=self.log)


class CleanupOperator(BaseOperator):
    """The group's teardown: ends and removes what is left of the run's attempts."""

    ui_color = "#f1f5f9"

    def __init__(self, *, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        """Removes attempts that nobody waits for any more."""
        from podmap.airflow.collect import clean_run

        clean_run(context, self.plan_task_id, log=self.log)
