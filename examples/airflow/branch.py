"""A branch: a small sweep on most days, a big one when it is asked for. The other is skipped."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from podmap.airflow import sweep


@dag(
    dag_id="podmap_branch",
    schedule=None,
    params={"big": Param(False, type="boolean")},
    tags=["podmap"],
)
def branch() -> None:
    @task.branch
    def choose(**context: Any) -> str:
        return "big.plan" if context["params"]["big"] else "small.plan"

    @task(trigger_rule="none_failed_min_one_success")
    def report() -> None:
        print("one of the two has run")

    few = {"search.params.lr": [0.01]}
    small = sweep("sweep.yaml", group_id="small", overrides=few, backend="process")
    big = sweep("sweep.yaml", group_id="big", backend="process")
    choose() >> [small, big] >> report()


branch()
