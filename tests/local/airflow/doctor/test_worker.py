"""What the doctor's task sees in a worker, beside what the triggerer has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from podmap._version import __version__
from podmap.airflow import DoctorOperator
from podmap.airflow.doctor.worker import AskedOfWorker, look_from_worker
from podmap.doctor.verdict import Level, Verdict
from podmap.spec.load import load

pytestmark = pytest.mark.airflow
SPEC = {
    "apiVersion": "podmap/v1",
    "name": "asked",
    "search": {"kind": "grid", "params": {"x": {"low": 1, "high": 3}}},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["train"]},
    "parallelism": 1,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mark").write_text("{}")
    return tmp_path / "store"


def place(version: str = __version__) -> dict[str, str]:
    return {"podmap": version, "python": "3.11", "host": "triggerer-0"}


def event(**more: Any) -> dict[str, Any]:
    return {"checks": [], "place": place(), "parsed": place(), "marker": "mark", **more}


def task(**given: Any) -> DoctorOperator:
    with DAG("doctor", schedule=None):
        return DoctorOperator(task_id="doctor", **{"backend": "process", **given})


def look(given: dict[str, Any] | None = None, **told: Any) -> dict[str, Verdict]:
    found = look_from_worker(
        AskedOfWorker(**{"backend": "process", **(given or {})}), event(**told)
    )
    assert {"worker"} == {each.place for each in found}
    return {each.name: each for each in found}


def test_a_healthy_worker(store: Path) -> None:
    found = look({"loaded": load(SPEC)})
    bad = {name: each for name, each in found.items() if each.level is Level.HURTS}
    assert {"airflow database"} >= set(bad), bad  # of the test's own Airflow
    assert Level.OK is found["same podmap"].level
    assert Level.OK is found["shared store"].level
    assert not (store / "mark").exists()
    assert "(3 mapped instances of 1 trials each)" in found["map length"].found


@pytest.mark.parametrize("who", ["place", "parsed"])
def test_another_podmap_elsewhere_fires(store: Path, who: str) -> None:
    found = look(**{who: place("0.0.1")})
    assert Level.HURTS is found["same podmap"].level
    assert f"worker {__version__}" in found["same podmap"].found
    assert "0.0.1" in found["same podmap"].found


def test_a_store_that_is_not_shared_fires(store: Path) -> None:
    found = look(marker="elsewhere")
    assert Level.HURTS is found["shared store"].level
    assert "triggerer-0 and " in found["shared store"].found


class Instance:
    """Takes what a task leaves."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def test_a_task_fails_where_something_will_hurt_and_says_all(store: Path) -> None:
    ti: Any = Instance()
    with pytest.raises(AirflowFailException, match="checks will hurt"):
        task().finished({"ti": ti}, event(marker="elsewhere"))
    assert "hurts" in {each["level"] for each in ti.xcoms["checks"]}
    code = task(fails=False).finished({"ti": Instance()}, event(marker="elsewhere"))
    assert 1 == code


def test_the_trigger_is_told_what_the_dag_processor_runs() -> None:
    start: Any = task(conn_id="ml", namespace="n").start_trigger_args
    assert "podmap.airflow.doctor.trigger.DoctorTrigger" == start.trigger_cls
    assert __version__ == start.trigger_kwargs["parsed"]["podmap"]
    assert ("ml", "n") == (start.trigger_kwargs["conn_id"], start.trigger_kwargs["namespace"])
