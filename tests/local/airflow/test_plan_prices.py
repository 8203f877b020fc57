"""The price table of a deployment, as the task `plan` puts it into a run's manifest."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from podmap.airflow.plan import plan_run
from podmap.airflow.runtimes import SweepGroup
from podmap.errors import SpecError, UsageError
from podmap.ledger.ledger import Ledger

pytestmark = pytest.mark.airflow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dags").mkdir()
    (tmp_path / "prices.yaml").write_text("prices: {cpu_hour: 0.5, currency: EUR}\n")
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("PODMAP_PRICES", raising=False)
    return tmp_path / "dags"


def budget(folder: Path, given: dict[str, Any] | None) -> Any:
    """The budget in the manifest of a sweep that is planned with this one."""
    spec = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "grid", "params": {"n": [0, 1]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["true"], "resources": {"cpu": 1}},
        **({"budget": given} if given else {}),
    }
    group = SweepGroup("pods", spec, folder, backend="process")
    dag_run = SimpleNamespace(dag_id="d", run_id="r")
    xcoms, _ = plan_run(group, dag_run, "sweep", log=logging.getLogger("plan"))
    return Ledger.open(xcoms["run"]["uri"]).read_manifest().spec.get("budget")


@pytest.mark.parametrize("name", ["AIRFLOW__PODMAP__PRICES", "PODMAP_PRICES"])
def test_the_deployments_table_goes_before_the_specs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(folder.parent / "prices.yaml"))
    table = {"cpu_hour": 0.5, "currency": "EUR"}
    assert {"prices": table} == budget(folder, None)
    given = {"cost": 3, "prices": {"cpu_hour": 9}}
    assert {"cost": 3, "prices": table} == budget(folder, given)


def test_without_one_the_spec_needs_its_own(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"it needs a price table .*\[podmap\] prices"):
        budget(folder, {"cost": 3})


def test_a_table_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__PODMAP__PRICES", str(folder / "none.yaml"))
    with pytest.raises(UsageError, match=r"the price table .*none\.yaml cannot be read"):
        budget(folder, None)
