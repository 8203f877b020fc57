"""The DAGs of examples/airflow run as they stand, all at once, on one Airflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from deployment import Deployment

from podmap.ledger.ledger import Ledger

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True, scope="session"),
]
CONF: dict[str, dict[str, Any]] = {
    "podmap_form": {"models": ["svm", "mlp"], "lowest_rate": 0.01, "at_once": 3},
    "podmap_two_stages": {},
    "podmap_branch": {},
    "podmap_new_data": {},
    "podmap_approval": {},
    "podmap_parallel": {},
}
DAYS = ("2024-03-01", "2024-03-02")


@pytest.fixture(scope="session")
def begun(deployment: Deployment) -> dict[str, str]:
    """All of them, triggered: DAG id to run id."""
    airflow = deployment.airflow
    for dag_id in (*CONF, "podmap_train", "podmap_deploy", "podmap_backfill"):
        airflow.wait_for_dag(dag_id)
    body = {
        "dag_id": "podmap_backfill",
        "from_date": f"{DAYS[0]}T00:00:00Z",
        "to_date": f"{DAYS[1]}T00:00:00Z",
    }
    airflow.request("POST", "/api/v2/backfills", body)
    return {dag_id: airflow.trigger(dag_id, **conf) for dag_id, conf in CONF.items()}


def ended_well(deployment: Deployment, begun: dict[str, str], dag_id: str) -> str:
    assert "success" == deployment.airflow.wait_for_run(dag_id, begun[dag_id])
    return begun[dag_id]


def params(deployment: Deployment, dag_id: str, run_id: str, group: str = "sweep") -> list[Any]:
    run = deployment.airflow.xcom(dag_id, run_id, f"{group}.plan", "run")
    return [record.params for record in Ledger.open(run["uri"]).records()]


def states(deployment: Deployment, dag_id: str, run_id: str) -> dict[str, str]:
    return {each["task_id"]: each["state"] for each in deployment.airflow.instances(dag_id, run_id)}


def runs(deployment: Deployment, dag_id: str) -> list[dict[str, Any]]:
    found = deployment.airflow.get(f"/api/v2/dags/{dag_id}/dagRuns?limit=50")["dag_runs"]
    return list(found)


def test_lists_and_numbers_of_the_form_keep_their_types(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = ended_well(deployment, begun, "podmap_form")
    expected = [{"model": model, "lr": lr} for model in ("svm", "mlp") for lr in (0.01, 0.1)]
    assert expected == params(deployment, "podmap_form", run_id)
    run = deployment.airflow.xcom("podmap_form", run_id, "sweep.plan", "run")
    assert 3 == Ledger.open(run["uri"]).read_manifest().spec["parallelism"]


def test_a_second_stage_looks_around_the_best_of_the_first(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = ended_well(deployment, begun, "podmap_two_stages")
    best = deployment.airflow.xcom("podmap_two_stages", run_id, "coarse.collect")["best"]["params"]
    fine = params(deployment, "podmap_two_stages", run_id, "fine")
    assert [best["lr"] * factor for factor in (0.5, 1.0, 2.0)] == [each["lr"] for each in fine]
    assert {best["model"]} == {each["model"] for each in fine}


def test_the_branch_that_is_not_taken_is_skipped_as_a_whole(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = ended_well(deployment, begun, "podmap_branch")
    found = states(deployment, "podmap_branch", run_id)
    assert "success" == found.pop("big.ended")  # a step that is taken, whatever came before it
    assert {"skipped"} == {state for name, state in found.items() if name.startswith("big.")}
    assert {"success"} == {state for name, state in found.items() if not name.startswith("big.")}


def test_each_day_of_a_backfill_has_its_own_run(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow

    def filled() -> list[dict[str, Any]]:
        found = [
            run for run in runs(deployment, "podmap_backfill") if run["run_type"] == "backfill"
        ]
        return found if len(found) == len(DAYS) else []

    days = set()
    for run in airflow.wait_for(filled, "the backfill's runs", 120):
        assert "success" == airflow.wait_for_run("podmap_backfill", run["dag_run_id"])
        given = params(deployment, "podmap_backfill", run["dag_run_id"])
        (day,) = {each["day"] for each in given}
        assert run["logical_date"].startswith(day)
        days.add(day)
    assert set(DAYS) == days


def test_new_data_starts_a_sweep_whose_best_trial_starts_what_follows(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    ended_well(deployment, begun, "podmap_new_data")
    airflow = deployment.airflow
    for dag_id in ("podmap_train", "podmap_deploy"):
        (run,) = airflow.wait_for(lambda dag_id=dag_id: runs(deployment, dag_id), dag_id, 120)
        assert "success" == airflow.wait_for_run(dag_id, run["dag_run_id"])
    train, deploy = (runs(deployment, name)[0] for name in ("podmap_train", "podmap_deploy"))
    best = airflow.xcom("podmap_train", train["dag_run_id"], "sweep.collect")["best"]["number"]
    assert best == airflow.xcom("podmap_deploy", deploy["dag_run_id"], "load_best")


def test_the_best_trial_is_promoted_when_somebody_approves(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow, run_id = deployment.airflow, begun["podmap_approval"]

    def waits() -> bool:
        return states(deployment, "podmap_approval", run_id).get("approve") in (
            "deferred",
            "awaiting_input",
        )

    airflow.wait_for(waits, "the gate", 240)
    assert "promote" in states(deployment, "podmap_approval", run_id)
    path = f"{airflow.run_path('podmap_approval', run_id)}/taskInstances/approve/-1/hitlDetails"
    assert "accuracy" in json.dumps(airflow.get(path))
    airflow.request("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})
    assert "success" == airflow.wait_for_run("podmap_approval", run_id)
    best = airflow.xcom("podmap_approval", run_id, "sweep.collect")["best"]["number"]
    assert best == airflow.xcom("podmap_approval", run_id, "promote")


def test_sweeps_side_by_side_are_compared(deployment: Deployment, begun: dict[str, str]) -> None:
    run_id = ended_well(deployment, begun, "podmap_parallel")
    assert "forest" == deployment.airflow.xcom("podmap_parallel", run_id, "compare")
    for model in ("svm", "forest"):
        given = params(deployment, "podmap_parallel", run_id, model)
        assert {model} == {each["model"] for each in given}
