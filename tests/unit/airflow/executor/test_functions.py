"""Python functions as trials: which can be found by a worker, and how they are called."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from podmap.airflow.executor.functions import check_arguments, function_place, trial_function
from podmap.errors import UsageError

MODULE = """
import os

class Number:
    def item(self):
        return 0.5

def by_name(lr, depth=3):
    print("called with", lr, depth)
    return {"accuracy": Number(), "depth": depth, "outputs": {"model": "s3://m"}}

def as_dict(params):
    return dict(params)

def on_shard(shard, scale):
    return {"index": shard["index"] * scale, "outputs": {"uri": shard["uri"]}}

def wrong(lr):
    return 0.9

def fails(lr):
    raise ValueError(f"no {lr}")
"""


def by_name(lr: float, depth: int = 3) -> dict[str, float]:
    return {}


def as_dict(params: dict[str, Any]) -> dict[str, float]:
    return {}


def on_shard(shard: dict[str, Any], lr: float) -> dict[str, float]:
    return {}


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


async def waits() -> None: ...


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "training.py"
    path.write_text(MODULE)
    return path


def call(
    reference: str, *more: str, params: dict[str, Any], at: Path
) -> tuple[subprocess.CompletedProcess[str], Any]:
    result = at / "result"
    done = subprocess.run(
        [sys.executable, "-m", "podmap.airflow.executor.program", reference, *more],
        env={
            **os.environ,
            "PYTHONPATH": str(at),
            "PODMAP_PARAMS": json.dumps(params),
            "PODMAP_RESULT": str(result),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done, json.loads(result.read_text()) if result.exists() else None


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda: None, "is a lambda"),
        (nested(), "is inside another function"),
        (Path.exists, "is inside another function or a class"),
        (waits, "is async"),
        (len, "is not a plain Python function"),
        ("train", "is not a plain Python function"),
    ],
    ids=["lambda", "nested", "method", "async", "builtin", "text"],
)
def test_what_no_worker_can_find_is_refused(function: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        trial_function(function)


def test_a_function_of_a_dag_file_is_found_by_its_file(module: Path) -> None:
    loaded = runpy.run_path(str(module), run_name="unusual_prefix_0123_training")
    place = function_place(loaded["by_name"])
    assert f"{module}:by_name" == place.reference
    assert "training.py:by_name" == place.title


def test_a_function_of_a_module_is_found_by_its_name() -> None:
    from podmap.names import digest

    assert "podmap.names:digest" == function_place(digest).reference


@pytest.mark.parametrize(
    ("function", "params", "shard", "wrong"),
    [
        (by_name, {"lr": 1}, False, ""),
        (by_name, {"lr": 1, "depth": 2}, False, ""),
        (by_name, {"depth": 2}, False, "missing a required argument: 'lr'"),
        (by_name, {"lr": 1, "width": 2}, False, "unexpected keyword argument 'width'"),
        (as_dict, {"anything": 1}, False, ""),
        (on_shard, {"lr": 1}, True, ""),
        (on_shard, {"lr": 1}, False, "missing a required argument: 'shard'"),
    ],
    ids=["some", "all", "missing", "unknown", "dict", "shard", "no shard"],
)
def test_params_that_do_not_fit_are_told_of(
    function: Callable[..., Any], params: dict[str, Any], shard: bool, wrong: str
) -> None:
    assert wrong in check_arguments(function, params, shard=shard)
    assert bool(wrong) is bool(check_arguments(function, params, shard=shard))


def test_a_function_is_called_with_its_params(module: Path) -> None:
    done, result = call("training:by_name", params={"lr": 0.1}, at=module.parent)
    assert "called with 0.1 3\n" == done.stdout
    assert {"accuracy": 0.5, "depth": 3, "outputs": {"model": "s3://m"}} == result


def test_a_function_is_found_in_a_file(module: Path) -> None:
    done, result = call(f"{module}:as_dict", params={"lr": 1}, at=module.parent)
    assert (0, {"lr": 1}) == (done.returncode, result)


def test_a_function_gets_its_shard(module: Path) -> None:
    shard = ("s3://b/day=2/", "day=2", "2")
    _, result = call("training:on_shard", *shard, params={"scale": 10}, at=module.parent)
    assert {"index": 20, "outputs": {"uri": "s3://b/day=2/"}} == result


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("fails", "ValueError: no 1"),
        ("wrong", "TypeError: wrong() returned float: a trial returns a dict of metric name to"),
    ],
)
def test_what_a_function_raises_ends_the_trial(module: Path, name: str, last: str) -> None:
    done, result = call(f"training:{name}", params={"lr": 1}, at=module.parent)
    assert (1, None) == (done.returncode, result)
    assert done.stderr.strip().splitlines()[-1].startswith(last)


def test_a_check_calls_nothing(module: Path) -> None:
    done, result = call("training:fails", "--check", params={}, at=module.parent)
    assert (0, None) == (done.returncode, result)
    missing, _ = call("training:other", "--check", params={}, at=module.parent)
    assert "has no attribute 'other'" in missing.stderr
