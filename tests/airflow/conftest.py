"""A real Airflow for the tests: on SQLite, and on a PostgreSQL that is started for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from deployment import Deployment
from local_airflow import LocalAirflow
from local_postgres import local_postgres

DAGS = Path(__file__).parent / "dags"
EXAMPLES = Path(__file__).parents[2] / "examples" / "airflow"


def bundles(**folders: Path) -> str:
    """The setting by which Airflow takes DAG files from folders, by the bundles' names."""
    classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return json.dumps(
        [
            {"name": name, "classpath": classpath, "kwargs": {"path": str(path)}}
            for name, path in folders.items()
        ]
    )


@pytest.fixture(scope="session", params=["postgresql", "sqlite"])
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    root = tmp_path_factory.mktemp(f"airflow-{request.param}")
    with ExitStack() as stack:
        database = stack.enter_context(local_postgres()) if request.param == "postgresql" else None
        airflow = LocalAirflow(
            root / "home",
            dags=DAGS,
            database=database,
            env={
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundles(
                    tests=DAGS, examples=EXAMPLES, edited=root / "edited"
                ),
                "AIRFLOW__PODMAP__STORE": str(root / "store"),
                "AIRFLOW__PODMAP__TRIAL_NAMES": "True",
                "AIRFLOW__PODMAP__BACKEND": "process",
                "AIRFLOW__PODMAP__BROWSE_URL": "https://files.example.com/{path}",
                "PODMAP_STATE_DIR": str(root / "state"),
                "SWEEP_TEST_SCRATCH": str(root / "scratch"),
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(DAGS.parent / "plugins"),
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
                "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
                # A file that has changed is parsed at once all the same; a parse costs 0.1 CPU-s.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
                # With SQLite more looks would mean more locks to wait for.
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3" if database else "1",
                "AIRFLOW__CORE__PARALLELISM": "2",
                "AIRFLOW__CORE__KILLED_TASK_CLEANUP_TIME": "5",
            },
        )
        for name in ("scratch", "edited"):
            (root / name).mkdir()
        (root / "home" / "config").mkdir()
        (root / "home" / "config" / "airflow_local_settings.py").write_text(
            "from podmap.airflow.trial_names import task_instance_mutation_hook\n"
        )
        stack.callback(airflow.stop)
        airflow.start()
        yield Deployment(airflow, root / "store", root / "scratch", root / "edited", database)
