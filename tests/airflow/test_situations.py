"""What happens to a sweep, and to its DAG run, when things are skipped, fail, are marked or end.

Each test triggers its run when it begins; the DAGs of all are started by the first one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment
from local_airflow import AirflowError

from podmap.ledger.ledger import Ledger

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True, scope="session"),
]
GROUP = ("plan", "trials", "ended", "collect", "done", "cleanup")
HELD = "found_at_run_time"


@pytest.fixture(scope="session")
def begun(deployment: Deployment) -> dict[str, str]:
    """Runs of DAGs that need nothing more, all triggered at once: DAG id to run id."""
    for tag in ("callback", "setup", "timeout"):
        (deployment.scratch / tag).mkdir()
    (deployment.scratch / "callback" / "fail-e1").touch()
    (deployment.scratch / "timeout" / "hold").touch()
    airflow = deployment.airflow
    names = ("times_out", "short_circuit", "fails_before", "called_back", "set_up")
    for name in names:
        airflow.wait_for_dag(name)
    runs = {"times_out": airflow.trigger("times_out")}
    airflow.wait_for(lambda: len(pids(deployment, "timeout")) == 2, "two trials", 120)
    return runs | {name: airflow.trigger(name) for name in names[1:]}


def states(deployment: Deployment, dag_id: str, run_id: str) -> dict[str, str]:
    """Task id to state; of mapped tasks the id with the index, where it has been expanded."""
    found = {}
    for each in deployment.airflow.instances(dag_id, run_id):
        index = f"[{each['map_index']}]" if each["map_index"] >= 0 else ""
        found[each["task_id"] + index] = each["state"]
    return found


def group_states(found: dict[str, str], group: str = "sweep") -> dict[str, str]:
    return {name: found[f"{group}.{name}"] for name in GROUP if f"{group}.{name}" in found}


def held(deployment: Deployment, tag: str, dag_id: str = HELD, count: int = 2) -> str:
    """A run whose trials have begun and wait for the file `hold` to go."""
    airflow = deployment.airflow
    (deployment.scratch / tag).mkdir()
    (deployment.scratch / tag / "hold").touch()
    airflow.wait_for_dag(dag_id)
    run_id = airflow.trigger(dag_id, tag=tag, count=count)
    airflow.wait_for(lambda: len(pids(deployment, tag)) == count, f"{count} trials of {tag}", 120)
    return run_id


def pids(deployment: Deployment, tag: str) -> list[int]:
    path = deployment.scratch / tag / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[2]) for line in lines if line.startswith("start")]


def alive(deployment: Deployment, tag: str) -> bool:
    found = [Path(f"/proc/{pid}/stat") for pid in pids(deployment, tag)]
    texts = [path.read_text() for path in found if path.exists()]
    return any(text.rpartition(")")[2].split()[0] != "Z" for text in texts)


def mark(deployment: Deployment, dag_id: str, run_id: str, state: str) -> None:
    path = deployment.airflow.run_path(dag_id, run_id)
    deployment.airflow.request("PATCH", path, {"state": state})


def test_a_short_circuit_skips_the_whole_group(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["short_circuit"]
    assert "success" == deployment.airflow.wait_for_run("short_circuit", run_id)
    found = states(deployment, "short_circuit", run_id)
    assert dict.fromkeys(GROUP, "skipped") == group_states(found)
    assert "skipped" == found["after"]


def test_a_failure_before_a_sweep_is_upstream_failed_in_it(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["fails_before"]
    assert "failed" == deployment.airflow.wait_for_run("fails_before", run_id)
    found = states(deployment, "fails_before", run_id)
    expected = {
        "plan": "upstream_failed",
        "trials": "upstream_failed",
        "ended": "success",
        "collect": "upstream_failed",
        "done": "upstream_failed",
        "cleanup": "success",
    }
    assert expected == group_states(found)
    assert "upstream_failed" == found["after"]


def test_a_failed_trial_calls_back_without_its_exception(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["called_back"]
    assert "success" == deployment.airflow.wait_for_run("called_back", run_id)
    notes = deployment.scratch / "called"
    deployment.airflow.wait_for(notes.exists, "the callback", 60)
    said = [json.loads(line) for line in notes.read_text().splitlines()]
    assert [{"task": "sweep.trials", "index": 1, "exception": "None"}] == said


def test_trials_have_names_and_their_objectives_or_reasons_as_xcoms(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow, run_id = deployment.airflow, begun["called_back"]
    assert "success" == airflow.wait_for_run("called_back", run_id)
    trials = airflow.instances("called_back", run_id, "sweep.trials")
    expected = [f"exp_id=e{index} lr=1.0 tag=callback" for index in range(2)]
    assert expected == [each["rendered_map_index"] for each in trials]

    path = f"{airflow.run_path('called_back', run_id)}/taskInstances/sweep.trials/xcomEntries"
    assert 1.0 == float(airflow.get(f"{path}/score?map_index=0")["value"])
    assert "user_exit" in airflow.get(f"{path}/reason?map_index=1")["value"]


def test_setups_and_teardowns_of_the_dag_stand_around_a_sweep(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["set_up"]
    assert "success" == deployment.airflow.wait_for_run("set_up", run_id)
    found = states(deployment, "set_up", run_id)
    assert {"success"} == set(found.values())


def test_a_dag_run_that_takes_too_long_ends_its_trials(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["times_out"]
    airflow = deployment.airflow
    assert "failed" == airflow.wait_for_run("times_out", run_id)
    assert 2 == len(pids(deployment, "timeout"))
    airflow.wait_for(lambda: not alive(deployment, "timeout"), "the end of all", 60)


def test_a_dag_run_marked_failed_ends_as_failed(deployment: Deployment) -> None:
    run_id = held(deployment, "marked-failed")
    mark(deployment, HELD, run_id, "failed")
    assert "failed" == deployment.airflow.wait_for_run(HELD, run_id)
    deployment.airflow.wait_for(
        lambda: not alive(deployment, "marked-failed"), "the end of all", 60
    )
    found = states(deployment, HELD, run_id)
    assert ("skipped", "failed") == (found["stage1.collect"], found["stage1.cleanup"])


def test_a_dag_run_marked_success_ends_as_success(deployment: Deployment) -> None:
    run_id = held(deployment, "marked-success")
    mark(deployment, HELD, run_id, "success")
    assert "success" == deployment.airflow.wait_for_run(HELD, run_id)
    deployment.airflow.wait_for(
        lambda: not alive(deployment, "marked-success"), "the end of all", 60
    )
    found = states(deployment, HELD, run_id)
    assert ("skipped", "success") == (found["stage1.collect"], found["stage1.cleanup"])


def test_a_sweep_waits_and_is_over_with_a_run_marked_failed_before_it(
    deployment: Deployment,
) -> None:
    airflow = deployment.airflow
    folder = deployment.scratch / "before"
    folder.mkdir()
    (folder / "hold-before").touch()
    airflow.wait_for_dag("waits_before")
    run_id = airflow.trigger("waits_before", tag="before")
    airflow.wait_for((folder / "started").exists, "the task before", 60)
    assert states(deployment, "waits_before", run_id)["sweep.plan"] is None
    mark(deployment, "waits_before", run_id, "failed")
    assert "failed" == airflow.wait_for_run("waits_before", run_id)
    assert "skipped" == states(deployment, "waits_before", run_id)["sweep.plan"]


def test_a_trial_marked_success_is_ended_and_has_no_result(deployment: Deployment) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, "trial-success")
    path = f"{airflow.run_path(HELD, run_id)}/taskInstances/stage1.trials/0"
    airflow.request("PATCH", path, {"new_state": "success"})

    def records() -> list[Any]:
        run = airflow.xcom(HELD, run_id, "stage1.plan", "run")
        return list(Ledger.open(run["uri"]).records())

    airflow.wait_for(lambda: records()[0].state.terminal, "the end of trial 0", 60)
    (deployment.scratch / "trial-success" / "hold").unlink()
    assert "success" == airflow.wait_for_run(HELD, run_id)
    assert ["CANCELLED", "COMPLETE"] == [record.state.value for record in records()]


def test_trials_of_a_paused_dag_end_and_collect_waits(deployment: Deployment) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, "paused")
    airflow.request("PATCH", f"/api/v2/dags/{HELD}", {"is_paused": True})
    try:
        (deployment.scratch / "paused" / "hold").unlink()

        def trials() -> set[str]:
            found = states(deployment, HELD, run_id)
            return {state for name, state in found.items() if "trials[" in name}

        airflow.wait_for(lambda: trials() == {"success"}, "the trials' ends", 60)
        assert states(deployment, HELD, run_id)["stage1.collect"] is None
    finally:
        airflow.request("PATCH", f"/api/v2/dags/{HELD}", {"is_paused": False})
    assert "success" == airflow.wait_for_run(HELD, run_id)


def test_a_dag_run_is_deleted_when_it_is_over_and_its_records_stay(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    """Airflow deletes no DAG run that is not over."""
    airflow, run_id = deployment.airflow, begun["set_up"]
    assert "success" == airflow.wait_for_run("set_up", run_id)
    uri = airflow.xcom("set_up", run_id, "sweep.plan", "run")["uri"]
    airflow.request("DELETE", airflow.run_path("set_up", run_id))
    assert ["COMPLETE"] == [record.state.value for record in Ledger.open(uri).records()]

    running = held(deployment, "deleted")
    with pytest.raises(AirflowError, match="409"):
        airflow.request("DELETE", airflow.run_path(HELD, running))
    (deployment.scratch / "deleted" / "hold").unlink()
    assert "success" == airflow.wait_for_run(HELD, running)


def test_runs_at_the_same_time_have_nothing_in_common(deployment: Deployment) -> None:
    airflow = deployment.airflow
    first, second = held(deployment, "first"), held(deployment, "second")
    (deployment.scratch / "first" / "hold").unlink()
    assert "success" == airflow.wait_for_run(HELD, first)
    assert alive(deployment, "second")
    (deployment.scratch / "second" / "hold").unlink()
    assert "success" == airflow.wait_for_run(HELD, second)
    uris = {airflow.xcom(HELD, run, "stage1.collect")["run_uri"] for run in (first, second)}
    assert 2 == len(uris)


def test_trials_outlive_a_scheduler_killed_with_9(deployment: Deployment) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, "scheduler")
    airflow.kill_group(airflow.processes.pop("scheduler"))
    (deployment.scratch / "scheduler" / "hold").unlink()
    airflow.spawn("scheduler", "--skip-serve-logs")
    assert "success" == airflow.wait_for_run(HELD, run_id)
    assert 2 == len(pids(deployment, "scheduler"))


def test_clearing_a_trial_and_collect_alone_waits_for_the_trial(deployment: Deployment) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, "cleared")
    (deployment.scratch / "cleared" / "fail-e1").touch()
    (deployment.scratch / "cleared" / "hold").unlink()
    assert "success" == airflow.wait_for_run(HELD, run_id)
    (deployment.scratch / "cleared" / "fail-e1").unlink()
    body = {
        "dag_run_id": run_id,
        "task_ids": [["stage1.trials", 1], "stage1.collect"],
        "dry_run": False,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow.request("POST", f"/api/v2/dags/{HELD}/clearTaskInstances", body)
    airflow.wait_for(
        lambda: airflow.get(airflow.run_path(HELD, run_id))["state"] == "success", "the end", 120
    )
    counts = airflow.xcom(HELD, run_id, "stage1.collect")["counts"]
    assert 2 == counts["COMPLETE"]
