"""A gate for people: the best trial is promoted when somebody approves of it in the UI."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import dag, task

from podmap.airflow import sweep


@dag(dag_id="podmap_approval", schedule=None, tags=["podmap"])
def approval() -> None:
    @task
    def promote(best: dict[str, Any]) -> int:
        print(f"promoting trial {best['number']}")
        return int(best["number"])

    run = sweep("sweep.yaml", backend="process")
    approve = ApprovalOperator(
        task_id="approve",
        subject="Promote the best trial?",
        body="{{ ti.xcom_pull(task_ids='sweep.collect', key='best') }}",
    )
    run >> approve >> promote(run["best"])


approval()
