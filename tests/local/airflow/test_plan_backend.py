"""What runs the trials of a sweep in Airflow: it must be chosen, and is told if it was not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.airflow

SPEC = {
    "apiVersion": "podmap/v1",
    "name": "x",
    "search": {"kind": "grid", "params": {"n": [0, 1]}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sets nothing but where things are kept."""
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("AIRFLOW__PODMAP__BACKEND", raising=False)


def plan(backend: str | None = None) -> dict[str, Any]:
    from airflow.sdk import DAG

    from podmap.airflow import PlanOperator

    left: dict[str, Any] = {}
    with DAG("d", schedule=None):
        task = PlanOperator(task_id="sweep.plan", spec=SPEC, backend=backend)
    ti = SimpleNamespace(xcom_push=lambda key, value: left.update(value))
    task.execute({"dag_run": SimpleNamespace(dag_id="d", run_id="r"), "ti": ti})  # type: ignore[typeddict-item]
    return left


def test_plan_fails_where_nothing_says_what_runs_the_trials(tmp_path: Path) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException) as failed:
        plan()
    said = str(failed.value)
    for what in ("'kubernetes'", "'process'", "sweep(..., backend=...)", "[podmap] backend"):
        assert what in said
    assert 1 == len(said.splitlines())
    assert not (tmp_path / "store").exists()


def test_the_argument_chooses() -> None:
    assert "process" == plan("process")["backend"]


@pytest.mark.parametrize("value", ["process", " process "])
def test_the_setting_chooses(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PODMAP__BACKEND", value)
    assert "process" == plan()["backend"]


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_setting_chooses_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.setenv("AIRFLOW__PODMAP__BACKEND", value)
    with pytest.raises(AirflowFailException, match="nothing says what runs the trials"):
        plan()


def test_a_setting_that_is_no_backend_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.setenv("AIRFLOW__PODMAP__BACKEND", "docker")
    with pytest.raises(AirflowFailException, match="'docker' is not one of process, kubernetes"):
        plan()
