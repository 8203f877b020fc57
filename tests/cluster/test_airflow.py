"""A sweep of pods through a real Airflow, whose triggerer dies in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_airflow import LocalAirflow

from podmap.ledger.ledger import Ledger
from podmap.records import TrialState

from .conftest import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

DAG = """
from podmap.airflow import sweep_dag

pods = sweep_dag("sweep.yaml", dag_id="pods", backend="kubernetes")
"""
SWEEP = """
apiVersion: podmap/v1
name: pods
search: {{kind: grid, params: {{n: {{low: 1, high: 6}}}}}}
objective: {{metric: n, direction: maximize}}
trial:
  image: {image}
  command:
    - sh
    - -c
    - |
      echo "training with $1"
      sleep 2
      [ "$1" != 3 ] && echo "{{\\"n\\": $1}}" > "$PODMAP_RESULT"
    - trial
  args: ["{{params.n}}"]
parallelism: 2
"""


@pytest.fixture
def airflow(account: Cluster, image: str, tmp_path: Path) -> Iterator[LocalAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "pods.py").write_text(DAG)
    (dags / "sweep.yaml").write_text(SWEEP.format(image=image))
    airflow = LocalAirflow(
        tmp_path / "home",
        dags=dags,
        env={
            "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
            "KUBECONFIG": str(account.kubeconfig),
            # A triggerer that died is noticed after so many seconds, not 30.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        },
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def test_pods_outlive_a_triggerer_and_their_results_count_once(
    cluster: Cluster, namespace: str, airflow: LocalAirflow
) -> None:
    within = f"--namespace={namespace}"
    airflow.wait_for_dag("pods")
    run_id = airflow.trigger("pods")
    airflow.wait_for(
        lambda: any(
            pod["status"].get("phase") == "Running" for pod in cluster.get("pods", within)["items"]
        ),
        "a pod that runs",
        120,
    )
    airflow.kill_group(airflow.processes.pop("triggerer"))
    airflow.spawn("triggerer", "--skip-serve-logs")

    assert "success" == airflow.wait_for_run("pods", run_id, 240)
    summary = airflow.xcom("pods", run_id, "sweep.collect")
    assert (6, {"COMPLETE": 5, "FAILED": 1}) == (summary["best"]["metrics"]["n"], summary["counts"])
    records = list(Ledger.open(summary["run_uri"]).records())
    assert [1] * 6 == [len(record.attempts) for record in records]
    assert TrialState.FAILED is records[2].state
    assert "training with 3" in airflow.log("pods", run_id, "sweep.trials", 2, 1)
    assert [] == cluster.get("pods", within)["items"]
