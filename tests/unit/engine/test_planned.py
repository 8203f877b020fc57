from __future__ import annotations

from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.engine.local_spec import ignored_by_processes
from podmap.engine.planned import check_supported, prepare_run
from podmap.errors import NotSupportedError, UsageError
from podmap.spec.load import load
from podmap.spec.model import Sweep


def spec_of(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "random", "trials": 9, "params": {"x": {"low": 0.0, "high": 1.0}}},
        "objective": {"metric": "y", "direction": "maximize"},
        **more,
        "trial": {"command": ["true"], **more.pop("trial", {})},
    }


def sweep(**more: Any) -> Sweep:
    return load(spec_of(**more)).sweep


def test_all_that_cannot_be_run_is_named_at_once() -> None:
    asked = sweep(
        pack=4,
    )
    with pytest.raises(NotSupportedError) as error:
        check_supported(asked, "process")
    for path in ("pack",):
        assert path in str(error.value)


def test_what_can_be_run_is_not_refused() -> None:
    check_supported(sweep(budget={"wall": "1h", "gpu_hours": 3}, failures={"allow": 1}), "process")


def test_what_means_nothing_to_processes_is_named() -> None:
    asked = sweep(
        trial={
            "image": "i",
            "resources": {"gpu": 1, "memory": "1Gi"},
            "cases": [{"when": {"x": 0.5}, "shm": "1Gi"}],
        },
        kubernetes={"namespace": "ml"},
        retries={"oom": {"times": 2}},
    )
    expected = {
        "trial.image",
        "trial.resources",
        "trial.cases[0].shm",
        "kubernetes.namespace",
        "retries.oom",
    }
    assert expected == set(ignored_by_processes(asked))
    assert [] == ignored_by_processes(sweep())


def test_a_run_of_airflow_is_not_kept_where_nothing_compares() -> None:
    def prepare(kind: str) -> None:
        prepare_run(
            load(spec_of()),
            store="memory://not-shared",
            run_id="0123abcd",
            owner={"kind": kind},
            folder="",
            target=Target("process"),
        )

    with pytest.raises(UsageError, match="several processes work on a run of Airflow"):
        prepare("airflow")
    prepare("cli")
