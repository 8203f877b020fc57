"""Our DAG file imports, and the sweep in it is right with the DAG's own overrides."""

from __future__ import annotations

from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

from podmap.testing import SweepTest

HERE = Path(__file__).parent


def test_the_dag_imports_and_its_sweep_is_right() -> None:
    bag = DagBag(HERE / "dag.py")
    assert bag.import_errors == {}
    dag = bag.dags["fit"]
    plan = dag.get_task("sweep.plan")
    # Airflow fills templates in when a run is planned: here with the default.
    image = dag.params["image"]
    assert plan.overrides == {"trial.image": "{{ params.image }}"}
    sweep = SweepTest(HERE / plan.spec, overrides={"trial.image": image})
    assert sweep.pod()["spec"]["containers"][0]["image"] == "registry.example.com/fit:1.2"
