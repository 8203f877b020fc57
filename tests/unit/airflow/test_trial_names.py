"""What the instances of trials are called in Airflow's lists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from podmap.airflow import trial_names
from podmap.airflow.trial_names import LONGEST, instance_names, task_instance_mutation_hook
from podmap.search.plan import make_plan
from podmap.spec.load import load

SPEC: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "search": {"kind": "grid", "params": {"lr": [0.1, 0.01], "model": ["svm", "mlp"]}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}


def names(mapped_over: list[Any], **params: Any) -> list[str]:
    spec = {**SPEC, "search": {"kind": "grid", "params": params}} if params else SPEC
    return instance_names(make_plan(load(spec)), mapped_over)


def test_a_trial_is_called_by_its_params() -> None:
    assert ["lr=0.1 model=svm", "lr=0.01 model=mlp"] == names([0, 3])


def test_a_chunk_is_called_by_its_first_trial() -> None:
    assert ["0-1: lr=0.1 model=svm …"] == names([[0, 1]])


def test_repeats_are_told_apart() -> None:
    search = {"kind": "grid", "repeats": 2, "params": {"lr": [0.1, 0.2]}}
    found = instance_names(make_plan(load({**SPEC, "search": search})), [0, 1, 2])
    assert ["lr=0.1 (repeat 0)", "lr=0.1 (repeat 1)", "lr=0.2 (repeat 0)"] == found


def test_a_long_name_is_cut() -> None:
    (name,) = names([0], text="x" * 500)
    assert (LONGEST, "…") == (len(name), name[-1])


class Run:
    dag_id, run_id = "d", "r"


def instance(index: int, kind: str = "TrialsOperator") -> Any:
    return SimpleNamespace(
        map_index=index, task_id="sweep.trials", task=SimpleNamespace(task_type=kind)
    )


def test_instances_of_trials_are_named_with_one_query_a_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def ask(key: Any, dag_run: Any) -> list[str]:
        asked.append(key)
        return ["a", "b"]

    monkeypatch.setattr(trial_names, "_ask", ask)
    monkeypatch.setattr(trial_names, "_read", {})
    first, second, beyond = instance(0), instance(1), instance(2)
    for each in (first, second, beyond):
        task_instance_mutation_hook(each, Run())
    assert ("a", "b") == (first._rendered_map_index, second._rendered_map_index)
    assert not hasattr(beyond, "_rendered_map_index")
    assert [("d", "r", "sweep.plan")] == asked


@pytest.mark.parametrize(
    ("other", "dag_run"),
    [(instance(0), None), (instance(-1), Run()), (instance(0, "BashOperator"), Run())],
    ids=["no run yet", "not mapped yet", "another task"],
)
def test_other_instances_are_left_alone(other: Any, dag_run: Any) -> None:
    task_instance_mutation_hook(other, dag_run)
    assert not hasattr(other, "_rendered_map_index")
