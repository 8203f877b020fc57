"""The DAG side without a server: what parses, what is serialized, what `dag.test()` does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

DAGS = Path(__file__).parent / "dags"


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_parsing_a_dag_with_a_sweep_loads_nothing_heavy() -> None:
    loaded = python(
        "import sys\n"
        "from airflow.sdk import DAG\n"
        "before = set(sys.modules)\n"
        "from podmap.airflow import sweep\n"
        "with DAG('one', schedule=None):\n"
        "    sweep('sweep.yaml')\n"
        "print('\\n'.join(sorted(set(sys.modules) - before)))"
    ).split()
    ours = {name for name in loaded if name.startswith("podmap")}
    assert {"callbacks", "dag", "links", "output", "runtimes", "tasks", "pods", "pods.runtime"} == {
        name.removeprefix("podmap.airflow.")
        for name in ours
        if name.count(".") > 1 and "provider" not in name
    }
    assert {"podmap", "podmap._version", "podmap.airflow"} >= {
        name for name in ours if name.count(".") <= 1
    }
    heavy = ("ruamel", "fsspec", "kubernetes", "optuna", "plotly", "airflow.triggers", "asyncpg")
    assert [] == [name for name in loaded if name.startswith(heavy)]


def test_start_trigger_has_the_shape_of_airflows_own() -> None:
    from airflow.triggers.base import StartTriggerArgs

    from podmap.airflow.pods.runtime import StartTrigger

    def shape(of: type) -> set[str]:
        return {field.name for field in dataclasses.fields(of)}  # type: ignore[arg-type]

    assert shape(StartTriggerArgs) == shape(StartTrigger)


def test_default_args_do_not_reach_the_trials() -> None:
    from datetime import timedelta

    from airflow.sdk import DAG

    from podmap.airflow import sweep

    defaults = {
        "retries": 3,
        "execution_timeout": timedelta(seconds=5),
        "pool": "few",
        "max_active_tis_per_dag": 1,
        "trigger_rule": "all_done",
    }
    with DAG("defaults", schedule=None, default_args=defaults) as dag:
        sweep("sweep.yaml")
    trials, plan = dag.get_task("sweep.trials"), dag.get_task("sweep.plan")
    assert (0, None) == (trials.retries, trials.execution_timeout)
    assert ("default_pool", None) == (trials.pool, trials.max_active_tis_per_dag)
    assert (3, "few", 1) == (plan.retries, plan.pool, plan.max_active_tis_per_dag)
    assert {"all_success"} == {task.trigger_rule for task in (trials, plan)}


def test_a_dag_survives_serialization() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from podmap.airflow import sweep

    with DAG("round", schedule=None) as dag:
        sweep("a.yaml", group_id="a")
        sweep("b.yaml", group_id="b", overrides={"parallelism": 3})
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    trials = again.get_task("a.trials")
    assert trials.start_from_trigger
    assert "podmap.airflow.pods.trigger.TrialTrigger" == trials.start_trigger_args.trigger_cls
    assert again.get_task("b.cleanup").is_teardown


def test_a_serialized_sweep_is_small_whatever_it_is_given() -> None:
    """It comes with the start of every trial: 50 at once have to fit into a socket's 219 KB."""
    import json

    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from podmap.airflow import sweep

    params = {f"param_{number}": number / 7 for number in range(22)}
    with DAG("large", schedule=None) as dag:
        sweep(
            "sweep.yaml",
            experiments=[dict(params) for _ in range(500)],
            overrides={f"trial.env.{name}": str(value) for name, value in params.items()},
        )
    assert len(json.dumps(DagSerialization.to_dict(dag))) < 219_000 / 50

    with DAG("templates", schedule=None) as dag:
        sweep("sweep.yaml", experiments=[params], overrides={"trial.image": "{{ params.image }}"})
    assert dag.get_task("sweep.plan").template_fields == ["overrides"]


def test_a_trigger_survives_serialization() -> None:
    from podmap.airflow.pods.trigger import TrialTrigger

    run = {"uri": "memory://runs/x/00000000", "digest": "1", "backend": "process"}
    trigger = TrialTrigger(run=run, map_index=4, epoch="e", owner={"dag_id": "d"})
    path, arguments = trigger.serialize()
    assert "podmap.airflow.pods.trigger.TrialTrigger" == path
    assert (path, arguments) == TrialTrigger(**arguments).serialize()
    assert {None} == set(TrialTrigger().serialize()[1].values())


def test_a_run_that_is_planned_anew_has_another_digest(tmp_path: Path) -> None:
    """Else a session of a triggerer would go on with the stops and the time of before."""
    code = """
from types import SimpleNamespace
from airflow.sdk import DAG
from podmap.airflow import PlanOperator

spec = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "search": {"kind": "list", "items": [{"x": 1}]},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}
with DAG("d", schedule=None):
    plan = PlanOperator(task_id="s.plan", spec=spec, backend="process", runtime="pods")
runs = []
ti = SimpleNamespace(xcom_push=lambda key, value: runs.append(value))
for _ in range(2):
    plan.execute({"dag_run": SimpleNamespace(dag_id="d", run_id="r"), "ti": ti})
print(len({run["uri"] for run in runs}), len({run["digest"] for run in runs}))
"""
    out = python(
        code, AIRFLOW_HOME=str(tmp_path / "home"), AIRFLOW__PODMAP__STORE=str(tmp_path / "store")
    )
    assert "1 2" == out.splitlines()[-1]


def test_provider_info_is_valid_for_airflow() -> None:
    from airflow.providers_manager import _create_provider_info_schema_validator

    from podmap.airflow.provider import get_provider_info

    _create_provider_info_schema_validator().validate(get_provider_info())


def test_dag_test_runs_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    env = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__PODMAP__STORE": str(tmp_path / "store"),
        "AIRFLOW__PODMAP__BACKEND": "process",
        "PODMAP_STATE_DIR": str(tmp_path / "state"),
        "SWEEP_TEST_SCRATCH": str(tmp_path / "scratch"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env={**os.environ, **env},
        check=True,
        capture_output=True,
    )
    out = python(
        "import sys\n"
        f"sys.path.insert(0, {str(DAGS)!r})\n"
        "import sweeps\n"
        "run = sweeps.in_chunks.test()\n"
        "states = {ti.task_id + str(ti.map_index): ti.state for ti in run.get_task_instances()}\n"
        "print('STATES', run.state, sorted(states.items()))",
        **env,
    )
    line = next(line for line in out.splitlines() if line.startswith("STATES"))
    assert line.startswith("STATES success")
    for name in ("sweep.trials0", "sweep.trials1", "sweep.trials2", "sweep.collect-1"):
        assert f"('{name}', 'success')" in line
