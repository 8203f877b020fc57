"""The sweep of sweep.yaml as a DAG, with an image that can be chosen when it is triggered."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from podmap.airflow import sweep


@dag(
    schedule=None,
    catchup=False,
    params={"image": Param("registry.example.com/fit:1.2", type="string")},
)
def fit() -> None:
    @task
    def promote(best: dict[str, Any]) -> None:
        print(f"promoting trial {best['number']}: {best['metrics']} with {best['params']}")

    run = sweep("sweep.yaml", overrides={"trial.image": "{{ params.image }}"}, backend="kubernetes")
    promote(run["best"])


fit()
