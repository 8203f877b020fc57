"""A crowded deployment: a sweep of many trials that print, beside sensors of another DAG."""

from __future__ import annotations

import os

from airflow.sdk import dag
from waiting_sensor import WaitingSensor

from podmap.airflow import sweep_dag

SCRATCH = os.environ.get("SWEEP_TEST_SCRATCH", "/nonexistent")

crowd = sweep_dag(
    "crowd.yaml",
    dag_id="crowd",
    backend="process",
    overrides={
        "search.params.number.high": "{{ dag_run.conf['trials'] }}",
        "parallelism": "{{ dag_run.conf['parallelism'] }}",
        **{f"search.params.param_{index}": index / 7 for index in range(21)},
        "trial.env": {"SWEEP_TEST_SCRATCH": SCRATCH, "CROWD": "{{ dag_run.conf['tag'] }}"},
    },
)


@dag(schedule=None, max_active_runs=100)
def others() -> None:
    """Another team's sensors, which wait for a file of the run's."""
    for index in range(3):
        WaitingSensor(
            task_id=f"wait_{index}",
            path=SCRATCH + "/{{ dag_run.conf['tag'] }}/{{ dag_run.conf['go'] }}",
        )


others()
