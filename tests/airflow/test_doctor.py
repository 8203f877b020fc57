"""The doctor as a task of a real Airflow, and that Airflow as its API shows it to the command."""

from __future__ import annotations

import pytest
from deployment import Deployment

from podmap._version import __version__
from podmap.doctor.airflow_api import check_airflow_api
from podmap.doctor.verdict import Level

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True, scope="session"),
]


def test_the_doctor_looks_from_triggerer_and_worker(deployment: Deployment) -> None:
    airflow = deployment.airflow
    airflow.wait_for_dag("podmap_doctor")
    run_id = airflow.trigger("podmap_doctor")
    airflow.wait_for_run("podmap_doctor", run_id)
    checks = airflow.xcom("podmap_doctor", run_id, "doctor", "checks")
    found = {(each["place"], each["check"]): each for each in checks}
    same = found["worker", "same podmap"]
    told = ", ".join(f"{name} {__version__}" for name in ("DAG processor", "triggerer", "worker"))
    assert ("ok", told) == (same["level"], same["found"])
    for key in [
        ("triggerer", "triggerer load"),
        ("triggerer", "provider"),
        ("triggerer", "store conditions"),
        ("worker", "provider"),
        ("worker", "shared store"),
        ("worker", "map length"),
    ]:
        assert "ok" == found[key]["level"], found[key]
    assert "unseen" == found["worker", "airflow database"]["level"]
    assert "runs 1 triggers" in found["triggerer", "triggerer load"]["found"]
    log = airflow.log("podmap_doctor", run_id, "doctor", -1, 1)
    assert "same podmap (worker)" in log


def test_the_command_looks_at_an_airflow_by_its_api(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = deployment.airflow
    airflow.wait_for_dag("podmap_doctor")
    token = airflow.get("/auth/token")["access_token"]
    monkeypatch.setenv("PODMAP_AIRFLOW_TOKEN", token)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    found = {each.name: each for each in check_airflow_api(airflow.url)}
    for name in ("airflow", "health: triggerer", "triggerers", "provider", "parse time"):
        assert Level.OK is found[name].level, found[name]
    assert "1 alive (" in found["triggerers"].found
