"""Two triggerers of one real Airflow share a run of pods, seen by an observer of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from local_airflow import LocalAirflow
from local_postgres import local_postgres
from slot_observer import SlotObserver, gaps_s, summary

from podmap.ledger.ledger import Ledger
from podmap.records import TrialState

from .conftest import Cluster
from .runs import holder, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.airflow]

TRIALS = 20
PARALLELISM = 3
TRIGGERERS = ("triggerer", "second")
DAG = """
from podmap.airflow import sweep_dag

shared = sweep_dag("sweep.yaml", dag_id="shared", backend="kubernetes")
"""
SWEEP = """
apiVersion: podmap/v1
name: shared
search: {{kind: grid, params: {{n: {{low: 1, high: {trials}}}}}}}
objective: {{metric: n, direction: maximize}}
trial:
  image: {image}
  command: [sh, -c, 'sleep 1; echo "{{\\"n\\": $1}}" > "$PODMAP_RESULT"', trial]
  args: ["{{params.n}}"]
  pod: {{spec: {{terminationGracePeriodSeconds: 1}}}}
parallelism: {parallelism}
"""


@dataclass(frozen=True)
class Shared:
    """An Airflow with two triggerers, and who watches its pods."""

    airflow: LocalAirflow
    cluster: Cluster
    namespace: str
    store: Path
    observer: SlotObserver

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

    def check(self, state: str) -> None:
        """All trials are COMPLETE, each had one pod, and the limit was reached and kept."""
        assert "success" == state
        records = list(self.ledger().records())
        assert [(TrialState.COMPLETE, 1)] * TRIALS == [(r.state, len(r.attempts)) for r in records]
        assert {str(number): 1 for number in range(TRIALS)} == dict(self.observer.created)
        assert PARALLELISM == self.observer.most
        within = f"--namespace={self.namespace}"
        assert [] == self.cluster.get("pods", within)["items"]

    def triggerers(self, run_id: str) -> set[int]:
        """The triggerers that have trials of a run now, by Airflow's numbers for them."""
        instances = self.airflow.instances("shared", run_id, "sweep.trials")
        found = ((instance.get("trigger") or {}).get("triggerer_id") for instance in instances)
        return {number for number in found if number is not None}


@pytest.fixture
def shared(
    cluster: Cluster, account: Cluster, namespace: str, image: str, tmp_path: Path
) -> Iterator[Shared]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "shared.py").write_text(DAG)
    spec = SWEEP.format(image=image, trials=TRIALS, parallelism=PARALLELISM)
    (dags / "sweep.yaml").write_text(spec)
    with ExitStack() as stack:
        airflow = LocalAirflow(
            tmp_path / "home",
            dags=dags,
            database=stack.enter_context(local_postgres()),
            env={
                "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
                "KUBECONFIG": str(account.kubeconfig),
                # Neither triggerer can take all trials.
                "AIRFLOW__TRIGGERER__CAPACITY": str(TRIALS // 2),
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
                "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            },
        )
        observer = SlotObserver(cluster.kubectl_program, cluster.kubeconfig, namespace)
        stack.callback(observer.close)
        stack.callback(airflow.stop)
        airflow.start()
        made = Shared(airflow, cluster, namespace, tmp_path / "store", observer)
        made.spawn("second")
        airflow.wait_for_dag("shared")
        yield made


def test_the_limit_holds_and_no_trial_runs_twice_though_the_holder_is_killed(
    shared: Shared,
) -> None:
    airflow = shared.airflow
    run_id = airflow.trigger("shared")
    wait_until(lambda: len(shared.triggerers(run_id)) == 2, "trials in both triggerers")
    wait_until(lambda: len(shared.observer.ended) >= TRIALS // 4, "some trials to end", 120)
    victim = wait_until(shared.holder, "a holder of the lease")
    before = len(shared.observer.changes)
    assert len(shared.observer.ended) < TRIALS
    airflow.kill_group(airflow.processes.pop(victim))
    shared.check(airflow.wait_for_run("shared", run_id, 240))
    print("until the kill:", summary(gaps_s(shared.observer.changes[:before])))
    print("in all:", summary(shared.observer.gaps_s))
