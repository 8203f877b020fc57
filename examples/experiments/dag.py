"""Experiments found while the DAG runs: one JSON file in queue/ is one trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

from podmap.airflow import sweep

QUEUE = Path(__file__).parent / "queue"


@dag(schedule=None, catchup=False, tags=["podmap"])
def experiments() -> None:
    @task
    def discover_experiments() -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(QUEUE.glob("*.json"))]

    @task
    def promote(best: dict[str, Any]) -> None:
        print(f"promoting trial {best['number']}: {best['metrics']} with {best['params']}")

    run = sweep("sweep.yaml", experiments=discover_experiments(), backend="process")
    promote(run["best"])


experiments()
