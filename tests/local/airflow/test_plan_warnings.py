"""What is probably not meant in a spec stands in the log of the task `plan`."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podmap.airflow.plan import plan_run
from podmap.airflow.runtimes import SweepGroup

pytestmark = pytest.mark.airflow
LOG = logging.getLogger("plan")


def planned(tmp_path: Path, *, overrides: dict[str, Any] | None = None, **more: Any) -> None:
    spec: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "random", "trials": 3, "params": {"lr": [1, 2]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"], "args": ["{lr}"]},
    }
    experiments = more.pop("experiments", None)
    if experiments is not None:
        del spec["search"]
    group = SweepGroup(
        "pods",
        {**spec, **more},
        tmp_path,
        overrides=overrides or {},
        backend="process",
        experiments=experiments,
    )
    plan_run(group, SimpleNamespace(dag_id="d", run_id="r"), "sweep", log=LOG)


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))


def test_warnings_of_the_spec_are_logged(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("WARNING", "plan"):
        planned(tmp_path)
    combinations, near_miss = sorted(caplog.messages)
    assert combinations.startswith("search.trials: 3 trials, and the params have 2 combinations")
    assert near_miss.startswith("trial.args[0]: {lr} is no placeholder")


def test_the_params_of_experiments_are_known_to_them(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("WARNING", "plan"):
        planned(tmp_path, experiments=[{"lr": 1}])
    assert [True] == ["did you mean {params.lr}?" in text for text in caplog.messages]


def test_a_list_that_a_template_rendered_keeps_its_text(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("WARNING", "plan"):
        planned(tmp_path, overrides={"trial.args": "[1.10, '{params.lr}']", "search.trials": "2"})
    assert [] == caplog.messages
    (manifest,) = tmp_path.glob("store/x/*/manifest.json")
    assert '["1.10","{params.lr}"]' in manifest.read_text().replace(", ", ",")
