"""`runtime="operator"` through a real Airflow: a sync task and a deferrable one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from operator import ge
from pathlib import Path
from typing import Any

import pytest
from local_airflow import FINAL, AirflowError, LocalAirflow

from podmap.airflow.exceptions import InfrastructureError, failure_class
from podmap.ledger.ledger import Ledger
from podmap.records import Category, Record, TrialState

from .conftest import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

PARALLELISM = 3
DAGS = """
from podmap.airflow import sweep_dag

sync = sweep_dag("sweep.yaml", dag_id="sync", runtime="operator")
deferrable = sweep_dag(
    "sweep.yaml", dag_id="deferrable", runtime="operator", task_args={"deferrable": True}
)
"""
SWEEP = """
apiVersion: podmap/v1
name: operated
search: {{kind: grid, params: {{n: {{low: 1, high: 6}}}}}}
objective: {{metric: n, direction: maximize}}
trial:
  image: {image}
  command:
    - sh
    - -c
    - |
      echo "training with $1"
      if [ "$1" = 3 ]; then exit 5; fi
      if [ "$1" = 4 ]; then python3 -c "held = bytearray(96 << 20); print(len(held))" || exit; fi
      if [ "$1" = 5 ] && [ "$PODMAP_ATTEMPT" = 1 ]; then sleep 3600; fi
      sleep 1
      echo "{{\\"n\\": $1}}" > "$PODMAP_RESULT"
    - trial
  args: ["{{params.n}}"]
  resources: {{memory: 64Mi}}
parallelism: {parallelism}
retries: {{user: 0, infra: 3, oom: {{times: 1, factor: 4}}}}
"""


@pytest.fixture
def airflow(account: Cluster, image: str, tmp_path: Path) -> Iterator[LocalAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "operated.py").write_text(DAGS)
    (dags / "sweep.yaml").write_text(SWEEP.format(image=image, parallelism=PARALLELISM))
    airflow = LocalAirflow(
        tmp_path / "home",
        dags=dags,
        env={
            "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
            # Each worker imports the provider, which takes seconds of CPU.
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "KUBECONFIG": str(account.kubeconfig),
        },
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def alive(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """The names and phases of the pods that have not ended."""
    pods = cluster.get("pods", f"--namespace={namespace}")["items"]
    phases = {pod["metadata"]["name"]: pod["status"].get("phase") for pod in pods}
    return {name: phase for name, phase in phases.items() if phase in ("Pending", "Running")}


def run_with_a_deleted_pod(
    airflow: LocalAirflow, dag_id: str, cluster: Cluster, namespace: str
) -> tuple[str, str, int]:
    """Runs the DAG; deletes the pod of trial 4; the run, how it ended, the most pods at once."""
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)
    deleted, most = False, 0

    def ended() -> str:
        nonlocal deleted, most
        pods = alive(cluster, namespace)
        most = max(most, len(pods))
        victim = next((name for name in pods if name.endswith("-4-a1")), None)
        if victim and pods[victim] == "Running" and not deleted:
            options = ["--wait=false", "--grace-period=1", f"--namespace={namespace}"]
            cluster.kubectl("delete", "pod", victim, *options)
            deleted = True
        state = str(airflow.get(airflow.run_path(dag_id, run_id))["state"])
        return state if state in FINAL else ""

    state = str(airflow.wait_for(ended, f"the end of {run_id}", 420))
    return run_id, state, most


def causes(record: Record) -> list[Category | None]:
    return [each.diagnosis.category if each.diagnosis else None for each in record.attempts]


@pytest.mark.parametrize("dag_id", ["sync", "deferrable"])
def test_a_sweep_by_the_operator_ends_as_one_of_podmaps_pods(
    cluster: Cluster, namespace: str, airflow: LocalAirflow, dag_id: str
) -> None:
    run_id, state, most = run_with_a_deleted_pod(airflow, dag_id, cluster, namespace)

    assert "success" == state
    summary = airflow.xcom(dag_id, run_id, "sweep.collect")
    assert (6, {"COMPLETE": 5, "FAILED": 1}) == (summary["best"]["metrics"]["n"], summary["counts"])
    records = list(Ledger.open(summary["run_uri"]).records())
    assert TrialState.FAILED is records[2].state
    assert [Category.USER_EXIT] == causes(records[2])
    assert [Category.OOM, None] == causes(records[3])
    assert [64 << 20, 256 << 20] == [each.memory_bytes for each in records[3].attempts]
    gone, good = causes(records[4])
    assert gone is not None
    assert issubclass(failure_class(gone), InfrastructureError)
    assert good is None
    assert [[None]] * 3 == [causes(records[number]) for number in (0, 1, 5)]

    instances = {
        each["map_index"]: each for each in airflow.instances(dag_id, run_id, "sweep.trials")
    }
    assert {2: "failed"} == {i: e["state"] for i, e in instances.items() if e["state"] != "success"}
    # Where a worker's last word comes late, Airflow tries once more; nothing is run by that.
    tries = [instances[number]["try_number"] for number in range(6)]
    assert all(map(ge, tries, [1, 1, 1, 2, 2, 1]))
    log = airflow.log(dag_id, run_id, "sweep.trials", 2, 1)
    assert "training with 3" in log
    assert "user_exit: the training command ended with exit code 5" in log
    assert 1 < most <= PARALLELISM
    assert {} == alive(cluster, namespace)


# What the log says once there is somebody who can be told of the end: the provider shows a line
# when the next one comes.
@pytest.mark.parametrize(
    ("dag_id", "said"), [("sync", "Building pod"), ("deferrable", "training with 5")]
)
def test_a_task_marked_failed_ends_its_pod(
    cluster: Cluster, namespace: str, airflow: LocalAirflow, dag_id: str, said: str
) -> None:
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id)

    def running() -> bool:
        pods = alive(cluster, namespace)
        return any(name.endswith("-4-a1") and pods[name] == "Running" for name in pods)

    def has_said() -> bool:
        with contextlib.suppress(AirflowError):  # there is no log before it has begun
            return said in airflow.log(dag_id, run_id, "sweep.trials", 4, 1)
        return False

    airflow.wait_for(lambda: running() and has_said(), "the pod of trial 4", 180)
    path = f"{airflow.run_path(dag_id, run_id)}/taskInstances/sweep.trials/4"
    airflow.request("PATCH", path, {"new_state": "failed"})
    airflow.wait_for(lambda: not running(), "the end of its pod", 90)
    assert "success" == airflow.wait_for_run(dag_id, run_id, 300)
    uri = airflow.xcom(dag_id, run_id, "sweep.collect")["run_uri"]
    record = list(Ledger.open(uri).records())[4]
    assert TrialState.CANCELLED is record.state
    # The trigger says the one, and `collect`, where it is faster, the other.
    assert record.reason in ("ended by a user, in Airflow", "its task was ended in Airflow")
