"""Links from Airflow's lists to what a run has left: a trial's record, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

RECORD_KEY = "_link_RecordLink"
"""XCom of an instance of trials. Its trigger writes it: no worker, which would, runs for it."""


class RecordLink(BaseOperatorLink):
    """From an instance of trials to its trial's record."""

    name = "Record"
    xcom_key = RECORD_KEY

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Nothing: only `dag.test()` asks."""
        return ""


class ReportLink(BaseOperatorLink):
    """From `collect` to the run's report."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Where a browser finds the report; called when the task has ended, with its instance."""
        from podmap.airflow.settings import browse_url

        ti: Any = ti_key
        report = ti.xcom_pull(task_ids=ti.task_id, key="report_uri", map_indexes=-1)
        return browse_url(str(report)) if report else ""
