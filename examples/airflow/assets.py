"""Data in, best trial out: new data starts the sweep, and the sweep's best starts what follows."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, dag, task

from podmap.airflow import sweep

FEATURES = Asset(name="podmap_features", uri="podmap-example://features")
BEST = Asset(name="podmap_best_model", uri="podmap-example://best-model")


@dag(dag_id="podmap_new_data", schedule=None, tags=["podmap"])
def new_data() -> None:
    @task(outlets=[FEATURES])
    def write_features() -> None:
        print("the features of today are there")

    write_features()


@dag(dag_id="podmap_train", schedule=[FEATURES], tags=["podmap"])
def train() -> None:
    sweep("sweep.yaml", outlets=[BEST], backend="process")


@dag(dag_id="podmap_deploy", schedule=[BEST], tags=["podmap"])
def deploy() -> None:
    @task
    def load_best(**context: Any) -> int:
        (event,) = context["triggering_asset_events"][BEST]
        best = event.extra["best"]
        print(f"trial {best['number']} of {event.extra['run_uri']}: {best['metrics']}")
        return int(best["number"])

    load_best()


new_data()
train()
deploy()
