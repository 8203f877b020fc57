"""Two sweeps in a row: the second looks more closely around the first one's best trial."""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task

from podmap.airflow import sweep


@dag(dag_id="podmap_two_stages", schedule=None, tags=["podmap"])
def two_stages() -> None:
    @task
    def look_closer(best: dict[str, Any]) -> list[dict[str, Any]]:
        params = best["params"]
        return [{**params, "lr": params["lr"] * factor} for factor in (0.5, 1.0, 2.0)]

    coarse = sweep("sweep.yaml", group_id="coarse", backend="process")
    sweep(
        "found.yaml",
        experiments=look_closer(coarse["best"]),
        group_id="fine",
        backend="process",
    )


two_stages()
