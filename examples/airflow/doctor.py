"""The doctor: what would go wrong with sweeps in this Airflow, seen from triggerer and worker.

Run it after each change of the deployment. Its log says what to change; it fails if something will
hurt.
"""

from __future__ import annotations

from airflow.sdk import dag

from podmap.airflow import DoctorOperator


@dag(dag_id="podmap_doctor", schedule=None, tags=["podmap"])
def doctor() -> None:
    DoctorOperator(task_id="doctor", spec="sweep.yaml", backend="process")


doctor()
