"""A sweep for each model, side by side, and then the best of all."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from podmap.airflow import sweep

MODELS = ("svm", "forest")


@dag(dag_id="podmap_parallel", schedule=None, tags=["podmap"])
def parallel_sweeps() -> None:
    @task
    def compare(bests: list[dict[str, Any]]) -> str:
        best = max(bests, key=lambda each: each["metrics"]["accuracy"])
        return str(best["params"]["model"])

    runs = [
        sweep(
            "sweep.yaml",
            group_id=model,
            overrides={"search.params.model": model},
            backend="process",
        )
        for model in MODELS
    ]
    compare([run["best"] for run in runs])


parallel_sweeps()
