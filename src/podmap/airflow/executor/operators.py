"""The tasks of `runtime="executor"`: one that looks at the place of the trials, one a trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from podmap.airflow.runtimes import dag_folder, spec_folder

if TYPE_CHECKING:
    from airflow.sdk import Context

    from podmap.airflow.executor.worker import WorkerTrial


class TrialWorkerOperator(BaseOperator):
    """One trial, from its start to its end in this worker."""

    template_fields: Sequence[str] = ("run", "number")
    ui_color = "#dcfce7"

    def __init__(self, *, run: Any, number: Any, plan_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.number = number
        self.plan_task_id = plan_task_id
        self._running: WorkerTrial | None = None

    def execute(self, context: Context) -> None:
        """Runs the trial.

        Raises:
            AirflowFailException: It failed, and will not be tried again.
            AirflowSkipException: The run was stopped before it ran.
            AirflowException: It was ended with its worker; Airflow's retries decide.
        """
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.claims import REFUSED, claim_of, owner_of
        from podmap.airflow.executor.worker import WorkerTrial, asked_at, epoch_of

        plan = _plan_of(self)
        try:
            claim = claim_of(self.run, owner_of(context["ti"]))
        except REFUSED as error:
            raise AirflowFailException(str(error)) from None
        self._running = WorkerTrial(
            claim,
            int(self.number),
            epoch_of(context["ti"]),
            asked=asked_at(context["ti"]),
            spec_folder=spec_folder(plan.spec, dag_folder(self.dag)),
            function=plan.parsed.function,
            log=self.log,
        )
        try:
            self._running.run_task()
        except REFUSED as error:
            raise AirflowFailException(str(error)) from None

    def on_kill(self) -> None:
        """Ends the trial's process; its record stays open for the next try."""
        if self._running is not None:
            self._running.stop()


class ReadyOperator(BaseOperator):
    """Runs where the trials of one shape will, before there are any, and returns their numbers.

    That it runs shows that the image has Airflow and the DAG file; the rest it looks for.
    """

    template_fields: Sequence[str] = ("run",)
    ui_color = "#dbeafe"

    def __init__(self, *, run: Any, plan_task_id: str, trials_task_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run
        self.plan_task_id = plan_task_id
        self.trials_task_id = trials_task_id

    def execute(self, context: Context) -> list[int]:
        """Returns the numbers of the trials that have the shape."""
        from airflow.sdk.exceptions import AirflowFailException

        from podmap.airflow.claims import claim_of, owner_of
        from podmap.airflow.executor.worker import check_worker
        from podmap.errors import PodmapError, UnreachableError

        try:
            claim = claim_of(self.run, owner_of(context["ti"]))
            return check_worker(claim, self.trials_task_id, _plan_of(self).parsed.function)
        except UnreachableError:
            raise
        except PodmapError as error:
            raise AirflowFailException(str(error)) from None


def _plan_of(task: TrialWorkerOperator | ReadyOperator) -> Any:
    """The `plan` of a task's sweep, as this process has read it in the DAG file."""
    return task.dag.get_task(task.plan_task_id)
