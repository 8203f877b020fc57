"""Experiments found while the DAG runs, one pod each, in all three ways.

What belongs to a deployment is not written here: images, sizes and connections come from
environment variables, the experiments from an Airflow Variable, secrets from Kubernetes. README.md
lists them.
"""

from __future__ import annotations

import json
import os

from airflow.sdk import Variable, dag, task

from podmap.airflow import sweep

EXECUTOR = os.environ.get("HP_SWEEP_EXECUTOR")  # by default the first of [core] executor
EXPERIMENTS = [{"exp_id": "a1", "lr": 0.01}, {"exp_id": "a2", "lr": 0.001}]


def from_outside(runtime: str) -> dict[str, object]:
    """What this deployment puts over train.yaml."""
    # Workers that train need an image with Airflow in it, pods of podmap's own do not.
    image = "HP_SWEEP_WORKER_IMAGE" if runtime == "executor" else "HP_SWEEP_IMAGE"
    given = {
        "trial.image": os.environ.get(image),
        "trial.resources": json.loads(os.environ.get("HP_SWEEP_RESOURCES", "null")),
        "trial.pod": json.loads(os.environ.get("HP_SWEEP_POD", "null")),
        "kubernetes.namespace": os.environ.get("HP_SWEEP_NAMESPACE"),
    }
    return {path: value for path, value in given.items() if value is not None}


def hp_sweep(runtime: str) -> None:
    @dag(dag_id=f"hp_sweep_{runtime}", schedule=None, tags=["podmap", "example"])
    def build() -> None:
        @task
        def discover_experiments() -> list[dict]:
            return Variable.get("hp_sweep_experiments", default=EXPERIMENTS, deserialize_json=True)

        @task
        def promote(best: dict) -> None:
            print(f"best: {best['params']} with {best['metrics']}")

        run = sweep(
            "train.yaml",
            experiments=discover_experiments(),
            overrides=from_outside(runtime),
            conn_id=os.environ.get("HP_SWEEP_CONN_ID") if runtime != "executor" else None,
            runtime=runtime,
            task_args={"executor": EXECUTOR} if EXECUTOR and runtime == "executor" else None,
        )
        promote(run["best"])

    build()


for name in ("pods", "operator", "executor"):
    hp_sweep(name)
