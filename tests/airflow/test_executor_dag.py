"""runtime="executor" without a server: the tasks it makes, and what is refused before any runs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from podmap.airflow import sweep
from podmap.airflow.executor.plan import check_executor, trials_by_task
from podmap.errors import SpecError, UsageError
from podmap.search.plan import make_plan
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

LOG = logging.getLogger("plan")
GPU = {"resources": {"example.com/gpu-a": 1}}
SPEC: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "x",
    "search": {"kind": "grid", "params": {"k": ["a", "b"], "n": [1, 2]}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"], "image": "x:1", "cases": [{"when": {"k": "b"}, **GPU}]},
    "parallelism": 5,
    "retries": {"infra": 3},
}
NO_COMMAND = {**SPEC, "trial": {"image": "x:1"}}


def train(k: str, n: int) -> dict[str, float]:
    return {"y": n}


def narrow(k: str) -> dict[str, float]:
    return {}


def dag_of(spec: Mapping[str, Any] = SPEC, **options: Any) -> DAG:
    with DAG("made", schedule=None) as dag:
        sweep(spec, runtime="executor", **options)
    return dag


def decided(spec: Mapping[str, Any] = SPEC, **options: Any) -> Any:
    return dag_of(spec, **options).get_task("sweep.plan").parsed


def shared(spec: Mapping[str, Any], decision: Any, **options: Any) -> dict[str, Any]:
    loaded = load(dict(spec), search_required="experiments" not in options)
    plan = make_plan(loaded, **options)
    check_executor(decision, loaded.sweep, plan, log=LOG)
    return trials_by_task(decision, loaded.sweep, plan)


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


def test_each_shape_has_a_task_and_a_share_of_the_limit() -> None:
    dag = dag_of()
    made = {
        name: dag.get_task(f"sweep.{name}").partial_kwargs for name in ("trials", "trials_gpu_a")
    }
    assert {"trials": 3, "trials_gpu_a": 2} == {
        name: args["max_active_tis_per_dagrun"] for name, args in made.items()
    }
    assert {3} == {args["retries"] for args in made.values()}
    assert {"sweep.ready", "sweep.ready_gpu_a"} < set(dag.task_ids)
    assert {"trials": [0, 1], "trials_gpu_a": [2, 3]} == shared(SPEC, decided())


def test_with_fewer_slots_than_shapes_they_take_turns() -> None:
    dag = dag_of({**SPEC, "parallelism": 1})
    assert "sweep.trials" in dag.get_task("sweep.trials_gpu_a").upstream_task_ids


def test_one_shape_of_the_executors_own_image_is_mapped_over_plan_itself() -> None:
    dag = dag_of({**SPEC, "trial": {"command": ["true"], "resources": {"cpu": 1}}})
    tasks = {"plan", "trials", "ended", "collect", "done", "cleanup"}
    assert {f"sweep.{name}" for name in tasks} == set(dag.task_ids)


def test_a_shape_without_trials_gets_none() -> None:
    search = {"kind": "random", "trials": 1, "params": {"k": ["a", "b"], "n": 1}}
    one = {**SPEC, "search": search}
    tasks = shared(one, decided(one))
    assert [[], [0]] == sorted(tasks.values())


def test_task_args_reach_the_tasks() -> None:
    given = {"executor": "KubernetesExecutor", "queue": "q", "retry_delay": timedelta(seconds=1)}
    dag = dag_of(task_args=given)
    trials = dag.get_task("sweep.trials").partial_kwargs
    assert given == {name: trials[name] for name in given}
    assert "KubernetesExecutor" == dag.get_task("sweep.ready").executor


PARSE = f"""
import sys
from airflow.sdk import DAG
from podmap.airflow import sweep
with DAG("made", schedule=None) as dag:
    sweep({SPEC!r}, runtime="executor")
"""
SERIALIZE = (
    PARSE
    + """
import json
from airflow.serialization.serialized_objects import DagSerialization
data = DagSerialization.to_dict(dag)
back = DagSerialization.from_dict(data)
pod = back.get_task("sweep.trials_gpu_a").executor_config["pod_override"]
(container,) = pod.spec.containers
print(container.name, container.image, container.resources.limits)
ready = back.get_task("sweep.ready_gpu_a").executor_config["pod_override"]
assert not ready.spec.containers[0].resources
print(json.dumps(data["dag"]["tasks"], sort_keys=True))
"""
)


def test_the_scheduler_gets_the_pods_and_the_same_ones_each_time() -> None:
    env = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor,KubernetesExecutor"}
    # Its two lines come last: Airflow may warn on standard output before them.
    first, again = (python(SERIALIZE, **env).splitlines()[-2:] for _ in range(2))
    assert "base x:1 {'example.com/gpu-a': '1'}" == first[0]
    assert first == again


@pytest.mark.parametrize(
    "env",
    [
        {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"},
        {
            "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
            "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "sweep.trials",
            "_AIRFLOW_PARSING_CONTEXT_DAG_ID": "made",
        },
    ],
    ids=["no pods", "worker"],
)
def test_who_makes_no_pods_does_not_load_kubernetes(env: dict[str, str]) -> None:
    loaded = python(PARSE + "print(*sys.modules)", **env).split()
    assert [] == [name for name in loaded if name.partition(".")[0] == "kubernetes"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"python_callable": train}, "given twice.*train.*trial.command"),
        ({"spec": NO_COMMAND, "python_callable": lambda k: {}}, "is a lambda"),
        ({"task_args": {"retries": 1}}, "set retries.infra in the spec"),
        ({"task_args": {"executor_config": {}}}, "the rest in trial.pod"),
        ({"backend": "kubernetes"}, "play no part"),
        ({"conn_id": "cluster"}, "play no part"),
    ],
    ids=["command and function", "lambda", "retries", "executor_config", "backend", "conn_id"],
)
def test_wrong_arguments_are_refused_when_the_file_is_parsed(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        dag_of(**options)


def test_a_wrong_spec_is_refused_when_the_file_is_parsed() -> None:
    with pytest.raises(SpecError, match="parallelism"):
        dag_of({**SPEC, "parallelism": 0})
    with pytest.raises(SpecError, match="imagee"):
        dag_of(
            {key: value for key, value in SPEC.items() if key != "search"},
            experiments=[{"k": "a", "trial": {"imagee": "y"}}],
        )


def test_a_spec_must_be_right_without_its_templates() -> None:
    search = {"kind": "random", "params": SPEC["search"]["params"]}
    with pytest.raises(
        UsageError, match=r"search.trials: missing(.|\n)*overrides\['search.trials'"
    ):
        dag_of({**SPEC, "search": search}, overrides={"search.trials": "{{ params.n }}"})


def test_a_function_needs_this_runtime() -> None:
    with pytest.raises(UsageError, match="needs runtime='executor'"), DAG("no", schedule=None):
        sweep(NO_COMMAND, python_callable=train)


def test_a_function_stands_in_the_spec_for_the_command() -> None:
    plan = dag_of(NO_COMMAND, python_callable=train).get_task("sweep.plan")
    assert "podmap.airflow.executor.program" in plan.overrides["trial.command"]
    assert plan.overrides["trial.command"][-1].endswith(":train")


def test_templates_that_change_pods_are_named() -> None:
    decision = decided(overrides={"trial.image": "{{ params.image }}", "parallelism": 5})
    with pytest.raises(UsageError, match=r"overrides\['trial.image'\]"):
        shared({**SPEC, "trial": {**SPEC["trial"], "image": "y:2"}}, decision)


def test_experiments_with_pods_of_their_own_are_refused_in_plan() -> None:
    found = {key: value for key, value in SPEC.items() if key != "search"}
    with DAG("found", schedule=None) as dag:
        from airflow.sdk import task

        @task
        def discover() -> list[dict[str, Any]]:
            return []

        sweep(found, experiments=discover(), runtime="executor")
    decision = dag.get_task("sweep.plan").parsed
    fits = [{"k": "b"}, {"k": "a"}]
    assert {"trials": [1], "trials_gpu_a": [0]} == shared(found, decision, experiments=fits)
    with pytest.raises(UsageError, match="write these as trial"):
        shared(found, decision, experiments=[{"k": "a", "trial": {"resources": {"gpu": 2}}}])


def test_a_limit_that_is_known_too_late_is_refused() -> None:
    with pytest.raises(UsageError, match="parallelism is 2 now, but was 5"):
        shared({**SPEC, "parallelism": 2}, decided())


def test_secrets_need_pods_or_the_workers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {"TOKEN": {"secret": "hf", "key": "token"}}
    spec = {**SPEC, "trial": {"command": ["true"], "env": secret}}
    with pytest.raises(UsageError, match="TOKEN come from Kubernetes Secrets"):
        shared(spec, decided(spec))
    monkeypatch.setenv("TOKEN", "t")
    assert {"trials": [0, 1, 2, 3]} == shared(spec, decided(spec))


def test_what_processes_ignore_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shared(SPEC, decided())
    assert "these are ignored: trial.image, trial.cases[0].resources" in caplog.text


def test_a_namespace_that_the_executor_does_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor")
    spec = {**SPEC, "kubernetes": {"namespace": "ml"}}
    with pytest.raises(UsageError, match=r"kubernetes\.namespace is 'ml'.*'default'"):
        shared(spec, decided(spec))


def test_params_that_do_not_fit_the_function_are_named() -> None:
    with pytest.raises(UsageError, match=r"trial 0: narrow.*unexpected keyword argument 'n'"):
        shared(SPEC, decided(NO_COMMAND, python_callable=narrow))


def test_a_function_that_cannot_be_imported_is_refused_in_plan(tmp_path: Path) -> None:
    import runpy

    path = tmp_path / "hidden.py"
    name = "unusual_prefix_0_hidden"
    path.write_text("def train(k, n):\n    return {}\n")
    function = runpy.run_path(str(path), run_name=name)["train"]
    path.write_text("import missing_package\n")
    decision = decided(NO_COMMAND, python_callable=function)
    with pytest.raises(UsageError, match="No module named 'missing_package'"):
        shared(SPEC, decision)


def test_a_trials_own_process_reads_the_dag_file_without_kubernetes(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "import sys\n"
        "from airflow.sdk import DAG\n"
        "from podmap.airflow import sweep\n"
        "sys.modules['kubernetes'] = None\n"
        "def train(k, n):\n    return {}\n"
        "with DAG('own', schedule=None):\n"
        f"    sweep({NO_COMMAND!r}, runtime='executor', python_callable=train,\n"
        "          task_args={'executor': 'KubernetesExecutor'})\n"
    )
    code = (
        "import sys; from podmap.airflow.executor.program import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{path}:train", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
