"""Which trials share a task, what the tasks are called, and how they share the limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from podmap.airflow.executor.shapes import ShapeKeys, find_shapes, shares
from podmap.errors import UsageError
from podmap.search.plan import make_plan
from podmap.spec.load import LoadedSpec, load

CPU = {"resources": {"cpu": 1}}
GPU_A = {"resources": {"example.com/gpu-a": 1}}


def spec(search: Mapping[str, Any] | None, **trial: Any) -> LoadedSpec:
    given = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "objective": {"metric": "a", "direction": "maximize"},
        "trial": {"command": ["true"], **trial},
    }
    if search is not None:
        given["search"] = search
    return load(given, search_required=search is not None)


def names(loaded: LoadedSpec, **options: Any) -> list[str]:
    return [shape.task_id for shape in find_shapes(loaded.sweep, **options)]


def grid(**params: Any) -> dict[str, Any]:
    return {"kind": "grid", "params": params}


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ({"resources": {"gpu": 1}}, "trials_gpu_1"),
        (GPU_A, "trials_gpu_a"),
        ({"resources": {"example.com/gpu-a": 4}}, "trials_gpu_a_4"),
        ({"resources": {"memory": "32Gi", "cpu": 8}}, "trials_cpu_8_memory_32gi"),
        ({"image": "registry.example.com/ml/Train:1.4"}, "trials_train_1_4"),
        ({"shm": "1Gi"}, r"trials_shape_[0-9a-f]{6}"),
        ({"pod": {"spec": {"nodeSelector": {"pool": "a"}}}}, r"trials_shape_[0-9a-f]{6}"),
    ],
    ids=["gpu", "class", "several", "size", "image", "shm", "overlay"],
)
def test_a_shape_is_named_after_how_it_differs(case: dict[str, Any], name: str) -> None:
    import re

    loaded = spec(grid(k=["a", "b"]), **CPU, cases=[{"when": {"k": "b"}, **case}])
    first, second = names(loaded)
    assert "trials" == first
    assert re.fullmatch(name, second)


def test_what_does_not_change_the_pod_makes_no_shape() -> None:
    cases = [{"when": {"k": "b"}, "timeout": "5m", "args": ["b"], "env": {"A": "b"}}]
    assert ["trials"] == names(spec(grid(k=["a", "b"]), **CPU, cases=cases))


def test_a_shape_that_no_trial_has_gets_no_task() -> None:
    cases = [{"when": {"k": "b"}, **GPU_A}]
    assert ["trials_gpu_a"] == names(spec(grid(k="b", n=[1, 2]), **CPU, cases=cases))


def test_cases_combine() -> None:
    cases = [
        {"when": {"k": "b"}, **GPU_A},
        {"when": {"n": [2, 3]}, "resources": {"memory": "2Gi"}},
    ]
    search = grid(k=["a", "b"], n={"low": 1, "high": 4})
    assert [
        "trials",
        "trials_gpu_a",
        "trials_gpu_a_memory_2gi",
        "trials_memory_2gi",
    ] == names(spec(search, **CPU, cases=cases))


def test_experiments_that_are_not_known_yet_can_have_every_shape() -> None:
    cases = [{"when": {"k": "b"}, **GPU_A}]
    assert ["trials", "trials_gpu_a"] == names(spec(None, **CPU, cases=cases))


def test_items_with_differences_of_their_own_are_counted() -> None:
    items = [{"n": 1}, {"n": 2, "trial": GPU_A}, {"n": 3, "trial": GPU_A}]
    shapes = find_shapes(spec({"kind": "list", "items": items}, **CPU).sweep)
    assert [("trials", 1), ("trials_gpu_a", 2)] == [(s.task_id, s.weight) for s in shapes]
    given = find_shapes(spec(None, **CPU).sweep, items=items)
    assert shapes == given


def test_every_trial_has_one_of_the_shapes() -> None:
    cases = [{"when": {"k": "b"}, **GPU_A}, {"when": {"n": 3}, "resources": {"cpu": 2}}]
    search = {"kind": "random", "trials": 50, "params": {"k": ["a", "b"], "n": [1, 2, 3]}}
    loaded = spec(search, **CPU, cases=cases)
    shape_keys = ShapeKeys(loaded.sweep)
    seen = {shape_keys.for_trial(trial) for trial in make_plan(loaded).trials()}
    assert seen == {shape.key for shape in find_shapes(loaded.sweep)}


def test_too_many_shapes_are_refused() -> None:
    items = [{"n": n, "trial": {"resources": {"cpu": n + 1}}} for n in range(33)]
    with pytest.raises(UsageError, match="33 different shapes"):
        find_shapes(spec({"kind": "list", "items": items}, **CPU).sweep)


@pytest.mark.parametrize(
    ("parallelism", "weights", "wanted"),
    [
        (4, [1, 1], [2, 2]),
        (16, [12, 2, 2], [12, 2, 2]),
        (3, [100, 1], [2, 1]),
        (2, [1, 1, 1], [1, 1, 1]),
        (1, [5], [1]),
    ],
    ids=["even", "by weight", "nobody gets nothing", "more tasks than slots", "one"],
)
def test_shares_add_up_to_the_limit(
    parallelism: int, weights: list[int], wanted: list[int]
) -> None:
    given = shares(parallelism, weights)
    assert wanted == given
    assert sum(given) <= max(parallelism, len(weights))


@pytest.mark.parametrize(
    "trial",
    [
        {"image": "t:{params.k}"},
        {"pod": {"metadata": {"labels": {"k": "{params.k}"}}}},
        {"cases": [{"when": {"k": "b"}, "image": "t:{params.k}"}]},
    ],
)
def test_a_pod_that_airflow_makes_takes_no_placeholders(trial: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"cannot be replaced with runtime='executor'"):
        names(spec(grid(k=["a", "b"]), **trial))
