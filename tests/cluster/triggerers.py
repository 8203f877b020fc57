"""One real Airflow with two triggerers that share a run of pods, and an observer of these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_airflow import LocalAirflow
from local_postgres import local_postgres
from slot_observer import SlotObserver

from podmap.ledger.ledger import Ledger
from podmap.records import Record, TrialState

from .conftest import Cluster
from .runs import holder

TRIGGERERS = ("triggerer", "second")
DAG = """
from podmap.airflow import sweep_dag

shared = sweep_dag("sweep.yaml", dag_id="shared", backend="kubernetes")
"""


@dataclass(frozen=True)
class Shared:
    """An Airflow with two triggerers, and who watches its pods."""

    airflow: LocalAirflow
    cluster: Cluster
    namespace: str
    store: Path
    observer: SlotObserver
    trials: int

    def spawn(self, name: str) -> None:
        """Starts a triggerer."""
        self.airflow.spawn("triggerer", "--skip-serve-logs", name=name)

    def ledger(self) -> Ledger:
        """The only run's."""
        (manifest,) = self.store.glob("shared/*/manifest.json")
        return Ledger.open(str(manifest.parent))

    def holder(self) -> str:
        """Which triggerer holds the run's lease; empty if none does."""
        pid = holder(self.cluster, self.namespace, self.ledger().read_manifest().run_id)
        groups = {self.airflow.processes[name].pid: name for name in TRIGGERERS}
        return groups.get(os.getpgid(pid), "") if pid else ""

    def kill(self, name: str) -> None:
        """Kills a triggerer and its processes with signal 9."""
        self.airflow.kill_group(self.airflow.processes.pop(name))

    def check(self, state: str, *, parallelism: int) -> list[Record]:
        """All trials are COMPLETE, each had one pod, and the limit was reached and kept."""
        assert "success" == state
        records = list(self.ledger().records())
        ends = [(record.state, len(record.attempts)) for record in records]
        assert [(TrialState.COMPLETE, 1)] * self.trials == ends
        assert {str(number): 1 for number in range(self.trials)} == dict(self.observer.created)
        assert parallelism == self.observer.most
        within = f"--namespace={self.namespace}"
        assert [] == self.cluster.get("pods", within)["items"]
        return records

    def triggerers(self, run_id: str) -> set[int]:
        """The triggerers that have trials of a run now, by Airflow's numbers for them."""
        instances = self.airflow.instances("shared", run_id, "sweep.trials")
        found = ((instance.get("trigger") or {}).get("triggerer_id") for instance in instances)
        return {number for number in found if number is not None}


@contextmanager
def shared_airflow(
    cluster: Cluster, account: Cluster, namespace: str, folder: Path, *, spec: str, trials: int
) -> Iterator[Shared]:
    """An Airflow with the DAG `shared` of a spec, and two triggerers of which none takes all."""
    dags = folder / "dags"
    dags.mkdir()
    (dags / "shared.py").write_text(DAG)
    (dags / "sweep.yaml").write_text(spec)
    with ExitStack() as stack:
        airflow = LocalAirflow(
            folder / "home",
            dags=dags,
            database=stack.enter_context(local_postgres()),
            env={
                "AIRFLOW__PODMAP__STORE": str(folder / "store"),
                "KUBECONFIG": str(account.kubeconfig),
                "AIRFLOW__TRIGGERER__CAPACITY": str(trials // 2),
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
                "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            },
        )
        observer = SlotObserver(cluster.kubectl_program, cluster.kubeconfig, namespace)
        stack.callback(observer.close)
        stack.callback(airflow.stop)
        airflow.start()
        made = Shared(airflow, cluster, namespace, folder / "store", observer, trials)
        made.spawn("second")
        airflow.wait_for_dag("shared")
        yield made
