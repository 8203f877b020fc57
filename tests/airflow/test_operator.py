"""`runtime="operator"` without a server: what parses, what is refused, what is serialized."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, XComArg

from podmap.airflow import sweep, sweep_dag
from podmap.airflow.exceptions import (
    BadResult,
    Evicted,
    ImagePull,
    InfrastructureError,
    OutOfMemory,
    TrialFailed,
    TrialRetryPolicy,
    UserError,
    UserExit,
    failure_class,
)
from podmap.errors import UsageError
from podmap.records import Category, Diagnosis
from podmap.retries import Payer

pytestmark = pytest.mark.airflow

SPEC: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "by-operator",
    "search": {"kind": "grid", "params": {"n": {"low": 1, "high": 6}}},
    "objective": {"metric": "n", "direction": "maximize"},
    "trial": {"image": "example.com/train:1", "command": ["train"]},
    "parallelism": 3,
    "retries": {"user": 1, "infra": 4, "oom": {"times": 2}},
}


def trials_of(**given: Any) -> Any:
    dag = sweep_dag(given.pop("spec", SPEC), dag_id="one", runtime="operator", **given)
    return dag.get_task("sweep.trials")


def test_the_mapped_task_has_the_limits_of_the_spec() -> None:
    trials = trials_of(task_args={"deferrable": True, "pool": "gpus"})
    assert 3 == trials.partial_kwargs["max_active_tis_per_dagrun"]
    assert 1 + 4 + 2 + 3 == trials.retries
    assert isinstance(trials.retry_policy, TrialRetryPolicy)
    assert (timedelta(0), "gpus") == (trials.retry_delay, trials.pool)
    assert trials.partial_kwargs["deferrable"] is True


def test_a_mapped_instance_becomes_an_operator() -> None:
    trials = trials_of(task_args={"deferrable": True, "labels": {"team": "a"}})
    one = trials.unmap({"numbers": 4, "run": {"uri": "memory://run"}})
    assert (4, True, {"team": "a"}) == (one.numbers, one.deferrable, one.labels)
    assert ("trial", 10, None) == (one.base_container_name, one.retries, one.execution_timeout)
    assert isinstance(one.retry_policy, TrialRetryPolicy)


def test_a_spec_file_beside_the_dag_file_is_read_for_its_limits(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text("parallelism: 5\nretries: {infra: 0}\nsearch: nonsense\n")
    (tmp_path / "dags.py").write_text(
        "from podmap.airflow import sweep_dag\n"
        "one = sweep_dag('train.yaml', dag_id='one', runtime='operator')\n"
    )
    namespace: dict[str, Any] = {"__file__": str(tmp_path / "dags.py")}
    exec(compile((tmp_path / "dags.py").read_text(), tmp_path / "dags.py", "exec"), namespace)
    trials = namespace["one"].get_task("sweep.trials")
    assert (5, 3) == (trials.partial_kwargs["max_active_tis_per_dagrun"], trials.retries)


def test_overrides_count_and_a_template_needs_a_number() -> None:
    trials = trials_of(overrides={"parallelism": "7", "retries.user": 2})
    assert (7, 11) == (trials.partial_kwargs["max_active_tis_per_dagrun"], trials.retries)
    templated = {"parallelism": "{{ params.at_once }}"}
    with pytest.raises(UsageError, match=r"task_args=\{'parallelism': N\}"):
        trials_of(overrides=templated)
    trials = trials_of(overrides=templated, task_args={"parallelism": 2})
    assert 2 == trials.partial_kwargs["max_active_tis_per_dagrun"]


@pytest.mark.parametrize(
    ("runtime", "task_args", "hint"),
    [
        ("operator", {"retries": 2}, "set retries in the spec"),
        ("operator", {"image": "other"}, "set trial.image in the spec"),
        ("operator", {"schedule_timeout_seconds": 5}, "set pending in the spec"),
        ("operator", {"max_active_tis_per_dagrun": 5}, "'parallelism': N"),
        ("operator", {"kubernetes_conn_id": "k"}, r"sweep\(conn_id="),
        ("pods", {"pool": "gpus"}, "set parallelism in the spec"),
        ("pods", {"retries": 3}, "set retries in the spec"),
    ],
)
def test_what_podmap_decides_is_refused(runtime: Any, task_args: dict[str, Any], hint: str) -> None:
    with pytest.raises(UsageError, match=hint) as raised:
        sweep_dag(SPEC, dag_id="one", runtime=runtime, task_args=task_args)
    assert next(iter(task_args)) in str(raised.value)


def test_an_unknown_runtime_names_those_there_are() -> None:
    runtime: Any = "pod"
    with pytest.raises(UsageError, match=r"'pod' of sweep.* 'pods', 'operator', 'executor'"):
        sweep_dag(SPEC, dag_id="one", runtime=runtime)


def test_without_the_provider_a_dag_file_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "from podmap.airflow import sweep_dag\n"
        "sweep_dag({'parallelism': 1}, dag_id='pods')\n"
        "assert 'airflow.providers.cncf.kubernetes.operators.pod' not in sys.modules\n"
        "sys.modules['airflow.providers.cncf.kubernetes.callbacks'] = None\n"
        "sweep_dag({'parallelism': 1}, dag_id='one', runtime='operator')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UsageError: TrialPodOperator and runtime='operator'" in done.stderr
    assert "pip install 'podmap[operator]'" in done.stderr


def test_processes_cannot_be_pods() -> None:
    with pytest.raises(UsageError, match="backend='process'"):
        trials_of(backend="process")


def test_a_spec_that_cannot_be_read_at_parse_says_why_it_is_read() -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yaml: .*when the DAG file is parsed"):
        trials_of(spec="nowhere.yaml")


def test_the_operator_can_be_mapped_by_hand() -> None:
    from podmap.airflow import PlanOperator
    from podmap.airflow.operator.operator import TrialPodOperator

    with DAG("by_hand", schedule=None) as dag:
        plan = PlanOperator(task_id="plan", spec=SPEC, backend="kubernetes", runtime="operator")
        TrialPodOperator.partial(
            task_id="trials", run=XComArg(plan, "run"), retries=9, labels={"team": "a"}
        ).expand(numbers=plan.output)
    with pytest.raises(UsageError, match=r"'cmds': set trial\.command"):
        TrialPodOperator(task_id="one", run={}, numbers=0, cmds=["sh"])
    assert {"plan", "trials"} == set(dag.task_ids)


def test_a_dag_survives_serialization() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("round", schedule=None) as dag:
        sweep(SPEC, runtime="operator", task_args={"deferrable": True})
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    trials = again.get_task("sweep.trials")
    assert "TrialPodOperator" == trials.task_type
    assert (3, 10) == (trials.max_active_tis_per_dagrun, trials.retries)


def test_a_trigger_survives_serialization() -> None:
    from podmap.airflow.operator.trigger import TrialPodTrigger

    run = {"uri": "memory://runs/x/00000000", "digest": "1", "backend": "kubernetes"}
    trigger = TrialPodTrigger(run, 4, "op-e", "x-00000000-4-a1", last_try=True, kills=False)
    path, arguments = trigger.serialize()
    assert "podmap.airflow.operator.trigger.TrialPodTrigger" == path
    assert (path, arguments) == TrialPodTrigger(**arguments).serialize()
    assert (True, True, False) == tuple(
        arguments[name] for name in ("last_try", "shows_log", "kills")
    )


def test_defaults_known_at_parse_are_those_of_the_spec() -> None:
    from podmap.airflow.operator import runtime
    from podmap.spec.model import Retries, Sweep

    retries = Retries()
    assert Sweep.model_fields["parallelism"].default == runtime.PARALLELISM
    assert (retries.user, retries.infra, retries.oom.times, retries.unschedulable) == (
        runtime.USER_RETRIES,
        runtime.INFRA_RETRIES,
        runtime.OOM_RETRIES,
        runtime.UNSCHEDULABLE_RETRIES,
    )


def test_every_category_that_ends_an_attempt_has_an_exception_of_its_own() -> None:
    ends = set(Category) - {Category.QUOTA, Category.PRUNED}  # no attempt fails of these
    classes = [failure_class(category) for category in ends]
    assert len(set(classes)) == len(ends)
    assert all(issubclass(each, TrialFailed) for each in classes)
    assert issubclass(UserExit, UserError)
    assert issubclass(BadResult, UserError)
    assert issubclass(Evicted, InfrastructureError)


def failed(kind: type[TrialFailed], category: Category, budget: Payer, again: bool) -> TrialFailed:
    diagnosis = Diagnosis(category, "it broke", "the log's end", "mend it")
    return kind(3, 2, diagnosis, again=again, paid_by=budget.value)


@pytest.mark.parametrize(
    ("error", "action", "delay"),
    [
        (failed(Evicted, Category.EVICTED, Payer.INFRA, True), "retry", timedelta(0)),
        (failed(OutOfMemory, Category.OOM, Payer.OOM, True), "retry", timedelta(0)),
        (failed(UserExit, Category.USER_EXIT, Payer.USER, True), "retry", None),
        (failed(UserExit, Category.USER_EXIT, Payer.USER, False), "fail", None),
        (failed(ImagePull, Category.IMAGE_PULL, Payer.SWEEP, False), "fail", None),
        (RuntimeError("a worker's own"), "default", None),
    ],
    ids=["evicted", "oom", "user", "user-spent", "image", "other"],
)
def test_the_retry_policy_spends_podmaps_budgets(
    error: Exception, action: str, delay: timedelta | None
) -> None:
    decision = TrialRetryPolicy().evaluate(error, try_number=2, max_tries=9)
    assert (action, delay) == (decision.action.value, decision.retry_delay)


def test_a_failure_says_all_that_its_diagnosis_says() -> None:
    error = failed(Evicted, Category.EVICTED, Payer.INFRA, True)
    assert "trial 3, attempt 2: evicted: it broke\nthe log's end\nmend it" == str(error)


def test_the_retry_policy_survives_serialization() -> None:
    policy = TrialRetryPolicy()
    again = TrialRetryPolicy.deserialize(policy.serialize())
    assert policy.serialize() == again.serialize()
