"""The sweep of sweep.yaml as a DAG: one mapped task per trial, then the best one is shown."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from podmap.airflow import sweep


@dag(schedule=None, catchup=False, tags=["podmap"])
def digits() -> None:
    @task
    def show(best: dict[str, Any]) -> None:
        print(f"trial {best['number']} is best: {best['metrics']} with {best['params']}")

    run = sweep("sweep.yaml")
    show(run["best"])


digits()
