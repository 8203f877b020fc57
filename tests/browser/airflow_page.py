"""Serves Airflow's own page with a sweep in it, on SQLite and without anything that runs tasks.

A program of its own: AIRFLOW_HOME is an empty folder, the argument a port. It prints READY once the
sweep is there. The run has three trials: one has ended, one runs, one waits.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

DAG, RUN, GROUP = "d", "manual__2026-11-29T10:00:00+00:00", "sweep"
BELOW = "/below/it"
TRIALS = 3
CODE = """
from podmap.airflow import sweep_dag
spec = {
    "apiVersion": "podmap/v1",
    "name": "x",
    "search": {"kind": "list", "items": [{"n": 0}, {"n": 1}, {"n": 2}]},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}
d = sweep_dag(spec, dag_id="d")
"""


def settle(home: Path, port: int) -> None:
    """Settles what Airflow reads when it is imported."""
    settings = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "API__BASE_URL": f"http://127.0.0.1:{port}{BELOW}",
        "API_AUTH__JWT_SECRET": "a secret of the tests, which is long enough",
        "PODMAP__STORE": str(home / "store"),
        "PODMAP__BACKEND": "process",
    }
    os.environ.update({f"AIRFLOW__{name}": value for name, value in settings.items()})
    (home / "dags").mkdir()
    (home / "dags" / "d.py").write_text(CODE)


def plan(home: Path) -> dict[str, str]:
    """A run with its records, and what its `plan` would have left of it."""
    from tests.local.airflow.planned import plan_one

    from podmap.records import Record, TrialState

    owner = {"deployment": "airflow", "dag_id": DAG, "run_id": RUN, "group_id": GROUP}
    planned, left = plan_one(home, "true", owner, count=TRIALS)
    times = {"started": "2026-11-29T10:00:00Z", "finished": "2026-11-29T10:01:00Z"}
    ended = Record(0, "k", "e", TrialState.COMPLETE, metrics={"y": 1.0}, objective=1.0, **times)
    running = Record(1, "k", "e", TrialState.RUNNING, started=times["started"])
    for record in (ended, running):
        planned.ledger.write_record(record)
    return left


def fill_database(home: Path, left: dict[str, str]) -> None:
    """Makes Airflow's database with the DAG, a run of it, and the XCom of its `plan`."""
    import pendulum
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.xcom import XComModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=str(home / "dags"), bundle_path=home / "dags")
    sync_bag_to_db(bag, "dags-folder", None)
    with create_session() as session:
        dag: Any = SerializedDagModel.get_dag(DAG, session=session)
        dag.create_dagrun(
            run_id=RUN,
            run_type=DagRunType.MANUAL,
            state=DagRunState.RUNNING,
            logical_date=None,
            run_after=pendulum.now("UTC"),
            data_interval=None,
            triggered_by=DagRunTriggeredByType.TEST,
            session=session,
        )
        session.flush()
        names = {"dag_id": DAG, "run_id": RUN, "task_id": f"{GROUP}.plan"}
        XComModel.set(key="run", value=left, session=session, **names)


def main() -> None:
    """Serves until it is ended."""
    home, port = Path(os.environ["AIRFLOW_HOME"]), int(sys.argv[1])
    settle(home, port)
    fill_database(home, plan(home))
    import uvicorn
    from airflow.api_fastapi.app import create_app

    app = create_app(apps="core")
    print("READY", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
