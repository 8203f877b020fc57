"""A sweep whose models, rates and width come from the form of "Trigger"."""

from __future__ import annotations

from airflow.sdk import Param

from podmap.airflow import sweep_dag

form = sweep_dag(
    "sweep.yaml",
    dag_id="podmap_form",
    backend="process",
    params={
        "models": Param(["svm", "forest"], type="array", items={"enum": ["svm", "forest", "mlp"]}),
        "lowest_rate": Param(0.001, type="number", minimum=1e-6, maximum=1),
        "at_once": Param(2, type="integer", minimum=1, maximum=16),
    },
    overrides={
        # Each is one expression alone, so that a list stays a list and a number a number.
        "search.params.model": "{{ params.models }}",
        "search.params.lr": "{{ [params.lowest_rate, params.lowest_rate * 10] }}",
        "parallelism": "{{ params.at_once }}",
    },
    tags=["podmap"],
)
