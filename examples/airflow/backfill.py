"""One sweep a day, with the day as a param: catch-up and backfills give each day its own run."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import dag

from podmap.airflow import sweep


@dag(
    dag_id="podmap_backfill",
    schedule="@daily",
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["podmap"],
)
def backfill() -> None:
    rates = (0.1, 0.01)
    sweep(
        "found.yaml",
        experiments=[{"day": "{{ ds }}", "model": "svm", "lr": rate} for rate in rates],
        backend="process",
    )


backfill()
