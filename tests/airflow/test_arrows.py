"""What arrows, labels and `chain` onto a sweep mean, and where there can be no sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import (
    DAG,
    BaseOperator,
    Label,
    TaskGroup,
    chain,
    cross_downstream,
    task,
    task_group,
)
from airflow.serialization.serialized_objects import DagSerialization

from podmap.airflow import sweep
from podmap.errors import SpecError, UsageError

pytestmark = pytest.mark.airflow

Build = Callable[[BaseOperator, BaseOperator], Any]


def backwards(a: BaseOperator, b: BaseOperator) -> None:
    b << sweep("s.yaml") << a


def by_methods(a: BaseOperator, b: BaseOperator) -> None:
    run = sweep("s.yaml")
    run.set_upstream(a)
    run.set_downstream(b)


def from_the_tasks(a: BaseOperator, b: BaseOperator) -> None:
    run = sweep("s.yaml")
    a.set_downstream(run)
    b.set_upstream(run)


def by_a_part(a: BaseOperator, b: BaseOperator) -> None:
    a >> sweep("s.yaml")["best"] >> b


def in_a_group(a: BaseOperator, b: BaseOperator) -> None:
    with TaskGroup("outer") as outer:
        sweep("s.yaml", group_id="sweep")
    a >> outer >> b


def made_before(a: BaseOperator, b: BaseOperator) -> None:
    run = sweep("s.yaml", after=a)
    run >> b


BUILDS: dict[str, Build] = {
    "arrows": lambda a, b: a >> sweep("s.yaml") >> b,
    "backwards": backwards,
    "lists": lambda a, b: [a] >> sweep("s.yaml") >> [b],
    "methods": by_methods,
    "methods of the tasks": from_the_tasks,
    "chain": lambda a, b: chain(a, sweep("s.yaml"), b),
    "chain of lists": lambda a, b: chain([a], [sweep("s.yaml")], [b]),
    "cross_downstream": lambda a, b: cross_downstream([a], [sweep("s.yaml", after=a) >> b]),
    "labels": lambda a, b: a >> Label("new data") >> sweep("s.yaml") >> Label("best") >> b,
    "a part": by_a_part,
    "after": made_before,
    "after a list": lambda a, b: sweep("s.yaml", after=[a]) >> b,
    "a group": in_a_group,
}


@pytest.mark.parametrize("name", BUILDS)
def test_what_comes_before_a_sweep_comes_before_plan(name: str) -> None:
    with DAG("arrows", schedule=None) as dag:
        BUILDS[name](BaseOperator(task_id="a"), BaseOperator(task_id="b"))
    group = "outer.sweep" if name == "a group" else "sweep"
    last = "done" if name in ("a group", "labels") else "collect"
    assert "a" in dag.get_task(f"{group}.plan").upstream_task_ids
    assert "a" not in dag.get_task(f"{group}.collect").upstream_task_ids
    assert {f"{group}.{last}"} == dag.get_task("b").upstream_task_ids - {"a"}


def test_labels_stand_on_the_arrows() -> None:
    with DAG("labels", schedule=None) as dag:
        BaseOperator(task_id="a") >> Label("new data") >> sweep("s.yaml")
    assert {"label": "new data"} == dag.get_edge_info("a", "sweep.plan")


def test_two_sweeps_wait_for_each_other() -> None:
    with DAG("stages", schedule=None) as dag:
        sweep("a.yaml", group_id="a") >> sweep("b.yaml", group_id="b")
    assert {"a.collect"} == dag.get_task("b.plan").upstream_task_ids


def test_what_sweep_returns_is_passed_on_as_before() -> None:
    @task
    def promote(best: dict[str, Any], run: dict[str, Any]) -> None: ...

    with DAG("passed", schedule=None) as dag:
        first = BaseOperator(task_id="first")
        run = sweep("s.yaml")
        first >> run
        promote(run["best"], run)
        assert "task_ids='sweep.collect'" in f"{run}"
        assert "key='best'" in str(run["best"])
    assert {"sweep.collect"} == dag.get_task("promote").upstream_task_ids
    assert {"first"} == dag.get_task("sweep.plan").upstream_task_ids
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert {"sweep.collect"} == again.get_task("promote").upstream_task_ids


def test_a_sweep_after_branches_that_join_has_a_rule() -> None:
    with DAG("joined", schedule=None) as dag:
        rule = "none_failed_min_one_success"
        [BaseOperator(task_id="a"), BaseOperator(task_id="b")] >> sweep("s.yaml", trigger_rule=rule)
    assert rule == dag.get_task("sweep.plan").trigger_rule
    assert "all_success" == dag.get_task("sweep.collect").trigger_rule


def test_a_part_has_a_name() -> None:
    with DAG("parts", schedule=None), pytest.raises(ValueError, match="only supports str"):
        sweep("s.yaml")[0]  # type: ignore[index]


def test_steps_are_taken_by_the_scheduler_whatever_default_args_say() -> None:
    defaults = {
        "on_success_callback": print,
        "on_execute_callback": print,
        "trigger_rule": "always",
    }
    with DAG("steps", schedule=None, default_args=defaults) as dag:
        sweep("s.yaml")
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    for name, rule in (("ended", "all_done"), ("done", "all_success"), ("collect", "all_success")):
        assert rule == again.get_task(f"sweep.{name}").trigger_rule
    for name in ("ended", "done"):
        step = again.get_task(f"sweep.{name}")
        assert step.inherits_from_empty_operator
        assert not step.has_on_success_callback


def test_a_sweep_in_a_mapped_group_says_what_to_do() -> None:
    @task_group
    def each(number: int) -> None:
        sweep("s.yaml")

    with (
        pytest.raises(UsageError, match=r"'sweep'\) is in a task group that is mapped.*in a loop"),
        DAG("mapped", schedule=None),
    ):
        each.expand(number=[1, 2])


def test_a_sweep_outside_a_dag_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="called outside a DAG"):
        sweep("s.yaml")


def test_two_sweeps_need_two_names() -> None:
    with DAG("twice", schedule=None):
        sweep("s.yaml")
        with pytest.raises(UsageError, match="'sweep' already: give each sweep"):
            sweep("t.yaml")


def test_a_dag_that_fails_fast_says_what_to_do() -> None:
    with (
        pytest.raises(UsageError, match=r"fail_fast=True.*on_exceed: cancel"),
        DAG("fast", schedule=None, fail_fast=True),
    ):
        sweep("s.yaml")


@pytest.mark.parametrize(
    "argument",
    [
        "on_execute_callback",
        "on_retry_callback",
        "email_on_failure",
        "outlets",
        "map_index_template",
        "executor",
        "trigger_rule",
        "post_execute",
    ],
)
def test_what_airflow_does_not_heed_for_trials_is_refused(argument: str) -> None:
    with DAG("heed", schedule=None), pytest.raises(UsageError, match=f"'{argument}': .*"):
        sweep("s.yaml", task_args={argument: print})


def test_what_airflow_heeds_for_trials_reaches_them() -> None:
    given = {"priority_weight": 7, "depends_on_past": True}
    with DAG("heeded", schedule=None) as dag:
        sweep("s.yaml", task_args=given)
    trials = dag.get_task("sweep.trials").partial_kwargs
    assert given == {name: trials[name] for name in given}


def test_callbacks_of_trials_are_taken_by_who_calls_them() -> None:
    def tell(context: Any) -> None: ...

    defaults = {"on_success_callback": tell, "on_failure_callback": tell}
    with DAG("called", schedule=None, default_args=defaults) as dag:
        sweep("s.yaml", task_args={"on_skipped_callback": [tell, print]})
    trials, callbacks = dag.get_task("sweep.trials"), dag.get_task("sweep.collect").trial_callbacks
    assert ["tell"] == [call.__name__ for call in trials.on_failure_callback]
    assert not trials.on_success_callback
    assert not trials.on_skipped_callback
    assert ("sweep.trials", (tell,), (tell, print)) == (
        callbacks.task_id,
        callbacks.success,
        callbacks.skipped,
    )
    assert [tell] == dag.get_task("sweep.plan").on_success_callback
    DagSerialization.to_dict(dag)


def test_experiments_may_come_from_a_generator() -> None:
    with DAG("generated", schedule=None) as dag:
        sweep("s.yaml", experiments=({"x": x} for x in range(3)))
    assert [{"x": 0}, {"x": 1}, {"x": 2}] == dag.get_task("sweep.plan").experiments


def test_experiments_that_are_none_are_told_at_once() -> None:
    with DAG("none", schedule=None), pytest.raises(SpecError, match="which was not called"):
        sweep("s.yaml", experiments=lambda: [])  # type: ignore[arg-type]
