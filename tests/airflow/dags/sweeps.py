"""The DAGs of the tests. What a trial does is told by the run's conf and the scratch folder."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import dag, task

from podmap.airflow import sweep, sweep_dag

SCRATCH = Path(os.environ.get("SWEEP_TEST_SCRATCH", "/nonexistent"))


@dag(schedule=None, default_args={"retries": 2, "retry_delay": 1})
def found_at_run_time() -> None:
    """Experiments come from an upstream task; retries in default_args are not for trials."""

    @task(retries=0)
    def discover_experiments(**context: object) -> list[dict[str, object]]:
        conf = context["dag_run"].conf or {}  # type: ignore[attr-defined]
        return [
            {"exp_id": f"e{index}", "lr": 10.0**-index, "tag": conf.get("tag", "none")}
            for index in range(int(conf.get("count", 4)))
        ]

    @task(retries=0)
    def promote(best: dict[str, object]) -> int:
        return int(best["number"])  # type: ignore[call-overload]

    run = sweep(
        "found.yaml",
        experiments=discover_experiments(),
        group_id="stage1",
        overrides={"trial.env.SWEEP_TEST_SCRATCH": str(SCRATCH)},
    )
    promote(run["best"])


found_at_run_time()

in_chunks = sweep_dag(
    "chunks.yaml",
    dag_id="in_chunks",
    overrides={"parallelism": "{{ dag_run.conf.get('parallelism', 3) }}"},
)

wrong = sweep_dag("wrong.yaml", dag_id="wrong")
reaching = sweep_dag("reaching.yaml", dag_id="reaching")
