"""Sweeps through a real Airflow: scheduler, triggerer, DAG processor, API server."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment

from podmap.ledger.ledger import Ledger

pytestmark = pytest.mark.airflow

# Faults in whose handling the database makes no difference.
on_postgresql = pytest.mark.parametrize(
    "deployment", ["postgresql"], indirect=True, scope="session"
)

DAG = "found_at_run_time"
TRIALS = "stage1.trials"


def notes(deployment: Deployment, tag: str, word: str) -> list[str]:
    """Which experiments wrote this word, in order."""
    path = deployment.scratch / tag / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1] for line in lines if line.split()[0] == word]


def pids(deployment: Deployment, tag: str) -> list[int]:
    lines = (deployment.scratch / tag / "notes").read_text().splitlines()
    return [int(line.split()[2]) for line in lines if line.startswith("start")]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def prepare(deployment: Deployment, tag: str, *files: str) -> None:
    folder = deployment.scratch / tag
    folder.mkdir()
    for name in files:
        (folder / name).touch()


def states(deployment: Deployment, dag_id: str, run_id: str, task_id: str) -> dict[int, str]:
    instances = deployment.airflow.instances(dag_id, run_id, task_id)
    return {instance["map_index"]: instance["state"] for instance in instances}


def clear(deployment: Deployment, run_id: str, what: list[Any], **options: Any) -> None:
    body = {
        "dag_run_id": run_id,
        "task_ids": what,
        "dry_run": False,
        "only_failed": False,
        "reset_dag_runs": True,
        **options,
    }
    deployment.airflow.request("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", body)


def test_experiments_found_at_run_time_run_to_a_leaderboard(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "whole", "fail-e1")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="whole", count=4)

    assert airflow.wait_for_run(DAG, run_id) == "success"
    trials = airflow.instances(DAG, run_id, TRIALS)
    assert {0: "success", 1: "failed", 2: "success", 3: "success"} == {
        instance["map_index"]: instance["state"] for instance in trials
    }
    # No worker ran any of them, and none was retried by Airflow.
    assert {("", 1)} == {(i["hostname"], i["try_number"]) for i in trials}

    summary = airflow.xcom(DAG, run_id, "stage1.collect")
    assert 3 == summary["best"]["number"]
    assert {"COMPLETE": 3, "FAILED": 1} == {k: v for k, v in summary["counts"].items() if v}
    assert 3 == airflow.xcom(DAG, run_id, "promote")

    failed_log = airflow.log(DAG, run_id, TRIALS, 1, 1)
    assert "training e1 with lr 0.1" in failed_log
    assert "user_exit: the training command ended with exit code 3" in failed_log
    assert "training e2 with lr 0.01" in airflow.log(DAG, run_id, TRIALS, 2, 1)

    records = list(Ledger.open(summary["run_uri"]).records())
    assert ["COMPLETE", "FAILED", "COMPLETE", "COMPLETE"] == [r.state.value for r in records]
    assert ["e0", "e1", "e2", "e3"] == [record.params["exp_id"] for record in records]
    for uri in (summary["leaderboard_uri"], summary["report_uri"]):
        assert Path(uri.removeprefix("file://")).stat().st_size > 0


def test_clearing_a_failed_trial_runs_it_alone(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "again", "fail-e1")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="again", count=3)
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert 1 == notes(deployment, "again", "start").count("e1")

    (deployment.scratch / "again" / "fail-e1").unlink()
    clear(deployment, run_id, [[TRIALS, 1]], include_downstream=True)
    airflow.wait_for(
        lambda: states(deployment, DAG, run_id, TRIALS).get(1) == "success", "trial 1", 120
    )
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert ["e0", "e1", "e1", "e2"] == sorted(notes(deployment, "again", "start"))
    record = list(Ledger.open(airflow.xcom(DAG, run_id, "stage1.collect")["run_uri"]).records())[1]
    assert [2] == [attempt.number for attempt in record.attempts]


def test_clearing_the_group_runs_what_is_not_complete(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "group", "fail-e0", "fail-e2")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="group", count=3)
    assert airflow.wait_for_run(DAG, run_id) == "success"

    (deployment.scratch / "group" / "fail-e0").unlink()
    clear(
        deployment, run_id, ["stage1.plan", TRIALS, "stage1.collect", "stage1.cleanup", "promote"]
    )
    airflow.wait_for(
        lambda: states(deployment, DAG, run_id, TRIALS).get(0) == "success", "trial 0", 120
    )
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert ["e0", "e0", "e1", "e2", "e2"] == sorted(notes(deployment, "group", "start"))
    assert "failed" == states(deployment, DAG, run_id, TRIALS)[2]


def test_trials_in_chunks_share_an_instance(deployment: Deployment) -> None:
    airflow = deployment.airflow
    airflow.wait_for_dag("in_chunks")
    run_id = airflow.trigger("in_chunks")
    assert airflow.wait_for_run("in_chunks", run_id) == "success"
    assert {0: "success", 1: "success", 2: "success"} == states(
        deployment, "in_chunks", run_id, "sweep.trials"
    )
    summary = airflow.xcom("in_chunks", run_id, "sweep.collect")
    assert (7, 6) == (summary["counts"]["COMPLETE"], summary["best"]["number"])


def test_a_reached_target_ends_the_run_green(deployment: Deployment) -> None:
    airflow = deployment.airflow
    airflow.wait_for_dag("reaching")
    run_id = airflow.trigger("reaching")
    assert airflow.wait_for_run("reaching", run_id) == "success"
    found = states(deployment, "reaching", run_id, "sweep.trials")
    assert ["success", "success", "skipped", "skipped"] == [found[index] for index in range(4)]
    summary = airflow.xcom("reaching", run_id, "sweep.collect")
    assert summary["reached"].startswith("trials 0 to 1 have reached the target: their mean x 2")
    best = airflow.xcom("reaching", run_id, "sweep.collect", key="best")
    assert ({"x": 2}, 2, 2) == (best["params"], best["metrics"]["x"], best["repeats"]["complete"])


def test_a_wrong_spec_fails_plan_with_every_problem(deployment: Deployment) -> None:
    airflow = deployment.airflow
    airflow.wait_for_dag("wrong")
    run_id = airflow.trigger("wrong")
    assert airflow.wait_for_run("wrong", run_id) == "failed"
    instance = airflow.instances("wrong", run_id, "sweep.plan")[0]
    path = f"{airflow.run_path('wrong', run_id)}/taskInstances/sweep.plan/logs"
    log = json.dumps(airflow.get(f"{path}/{instance['try_number']}?full_content=true"))
    assert "wrong.yaml:3:" in log
    assert "did you mean 'params'" in log
    assert "wrong.yaml:4:" in log


@on_postgresql
def test_a_trial_marked_failed_is_ended(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "kill", "hold")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="kill", count=2)
    airflow.wait_for(lambda: len(notes(deployment, "kill", "start")) == 2, "two trials", 120)

    path = f"{airflow.run_path(DAG, run_id)}/taskInstances/{TRIALS}/0"
    airflow.request("PATCH", path, {"new_state": "failed"})
    victim = next(
        int(line.split()[2])
        for line in (deployment.scratch / "kill" / "notes").read_text().splitlines()
        if line.split()[1] == "e0"
    )
    airflow.wait_for(lambda: not alive(victim), "the end of the process", 60)
    assert 1 == sum(alive(pid) for pid in pids(deployment, "kill"))
    (deployment.scratch / "kill" / "hold").unlink()
    assert airflow.wait_for_run(DAG, run_id) == "success"
    records = list(Ledger.open(airflow.xcom(DAG, run_id, "stage1.collect")["run_uri"]).records())
    assert ["CANCELLED", "COMPLETE"] == [record.state.value for record in records]


@on_postgresql
def test_a_dag_run_marked_failed_leaves_nothing_running(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "dagrun", "hold")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="dagrun", count=2)
    airflow.wait_for(lambda: len(notes(deployment, "dagrun", "start")) == 2, "two trials", 120)
    airflow.request("PATCH", airflow.run_path(DAG, run_id), {"state": "failed"})
    airflow.wait_for(
        lambda: not any(alive(pid) for pid in pids(deployment, "dagrun")), "the end of all", 60
    )


@on_postgresql
def test_trials_outlive_a_triggerer_killed_with_9(deployment: Deployment) -> None:
    airflow = deployment.airflow
    prepare(deployment, "crash", "hold")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="crash", count=4)
    airflow.wait_for(lambda: len(notes(deployment, "crash", "start")) == 3, "three trials", 120)

    airflow.kill_group(airflow.processes.pop("triggerer"))
    assert all(alive(pid) for pid in pids(deployment, "crash"))
    airflow.spawn("triggerer", "--skip-serve-logs")
    (deployment.scratch / "crash" / "hold").unlink()

    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert ["e0", "e1", "e2", "e3"] == sorted(notes(deployment, "crash", "start"))
    records = list(Ledger.open(airflow.xcom(DAG, run_id, "stage1.collect")["run_uri"]).records())
    assert ["COMPLETE"] * 4 == [record.state.value for record in records]
    assert [1] * 4 == [len(record.attempts) for record in records]


@on_postgresql
def test_trials_outlive_a_triggerer_that_hands_over(deployment: Deployment) -> None:
    """A triggerer that hangs loses its triggers to another, and is told to kill when it wakes."""
    airflow = deployment.airflow
    prepare(deployment, "hand", "hold")
    airflow.wait_for_dag(DAG)
    run_id = airflow.trigger(DAG, tag="hand", count=2)
    airflow.wait_for(lambda: len(notes(deployment, "hand", "start")) == 2, "two trials", 120)

    late = airflow.processes["triggerer"]
    os.killpg(late.pid, signal.SIGSTOP)
    airflow.spawn("triggerer", "--skip-serve-logs", name="second")
    taken = airflow.home / "second.out"
    airflow.wait_for(
        lambda: taken.read_text(errors="replace").count("Start from trigger") >= 2,
        "the second triggerer to take over",
        120,
    )
    os.killpg(late.pid, signal.SIGCONT)

    def told() -> bool:
        texts = [airflow.log(DAG, run_id, TRIALS, index, 1) for index in (0, 1)]
        return all("goes on in another triggerer" in text for text in texts)

    airflow.wait_for(told, "the late triggerer to give up", 120)
    assert all(alive(pid) for pid in pids(deployment, "hand"))
    (deployment.scratch / "hand" / "hold").unlink()
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert ["e0", "e1"] == sorted(notes(deployment, "hand", "start"))
    airflow.kill_group(airflow.processes.pop("second"))
