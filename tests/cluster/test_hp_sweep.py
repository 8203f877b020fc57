"""examples/hp_sweep, unchanged, in all three ways on one Airflow and one cluster."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_airflow import LocalAirflow
from worker_pods import executor_settings, write_pod_template

from podmap.ledger.ledger import Ledger

from .conftest import ROOT, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

EXPERIMENTS = [{"exp_id": f"found-{n}", "lr": 0.1 / 10**n} for n in range(3)]
TASKS = {"pods": "sweep.trials", "operator": "sweep.trials", "executor": "sweep.trials"}


@pytest.fixture
def airflow(
    cluster: Cluster,
    account: Cluster,
    namespace: str,
    worker_images: tuple[str, str],
    tmp_path: Path,
) -> Iterator[LocalAirflow]:
    shutil.copytree(ROOT / "examples/hp_sweep", tmp_path / "dags")
    secret = ("create", "secret", "generic", "hp-sweep", "--from-literal=token=hidden-word")
    cluster.kubectl(*secret, f"--namespace={namespace}")
    airflow = LocalAirflow(
        tmp_path / "home",
        dags=tmp_path / "dags",
        env={
            **executor_settings(
                tmp_path,
                kubeconfig=cluster.kubeconfig,
                namespace=namespace,
                image=worker_images[0],
            ),
            # A worker that imports the operator's package takes long on two cores.
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
            "AIRFLOW__PODMAP__BACKEND": "kubernetes",
            "KUBECONFIG": str(account.kubeconfig),
            "AIRFLOW_VAR_HP_SWEEP_EXPERIMENTS": json.dumps(EXPERIMENTS),
            "HP_SWEEP_IMAGE": "localhost/podmap-hp-sweep:1",
            "HP_SWEEP_WORKER_IMAGE": worker_images[1],
            "HP_SWEEP_EXECUTOR": "KubernetesExecutor",
            "HP_SWEEP_RESOURCES": '{"cpu": 0.1, "memory": "1Gi"}',
        },
    )
    write_pod_template(airflow, tmp_path)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def learnt(summary: dict[str, Any]) -> list[Any]:
    """What does not depend on where and when a trial ran; the key does, it has the image."""
    records = Ledger.open(summary["run_uri"]).records()
    return [
        (r.number, dict(r.params), r.seed, r.state.value, r.metrics["accuracy"], r.metrics["loss"])
        for r in records
    ]


def test_the_three_ways_differ_in_one_word_alone(
    cluster: Cluster, namespace: str, airflow: LocalAirflow
) -> None:
    boards = {}
    for runtime, task in TASKS.items():
        dag_id = f"hp_sweep_{runtime}"
        airflow.wait_for_dag(dag_id, 120)
        run_id = airflow.trigger(dag_id)
        assert "success" == airflow.wait_for_run(dag_id, run_id, 240)
        summary = airflow.xcom(dag_id, run_id, "sweep.collect")
        assert {"COMPLETE": len(EXPERIMENTS)} == summary["counts"]
        boards[runtime] = learnt(summary)
        log = airflow.log(dag_id, run_id, task, 1, 1)
        assert "experiment found-1: lr=0.01, 1347 images, tracked" in log
        assert "epoch 20: loss" in log
        assert "hidden-word" not in log
        best = airflow.log(dag_id, run_id, "promote", -1, 1)
        assert f"best: {summary['best']['params']}" in best
    assert boards["pods"] == boards["operator"] == boards["executor"]

    def nothing_left() -> bool:  # the executor removes its pods a little later
        return not cluster.get("pods", f"--namespace={namespace}")["items"]

    airflow.wait_for(nothing_left, "the end of all pods", 60)
