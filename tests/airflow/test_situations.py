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
HELD = "held"
MARKED = ("marked-failed", "marked-success", "trial-success", "other", "crashes", "cleared")


@pytest.fixture(scope="session")
def begun(deployment: Deployment) -> dict[str, str]:
    """All runs, triggered at once: DAG id, or the tag of a run whose trials wait, to run id."""
    airflow = deployment.airflow
    for tag in ("callback", "setup", "before", "paused", *MARKED):
        (deployment.scratch / tag).mkdir()
    for place in ("callback/fail-e1", "before/hold-before", "paused/hold"):
        (deployment.scratch / place).touch()
    for tag in MARKED:
        (deployment.scratch / tag / "hold").touch()
    plain = ("short_circuit", "fails_before", "called_back", "set_up")
    for name in (*plain, "waits_before", HELD, "held_and_paused"):
        airflow.wait_for_dag(name)
    runs = {tag: airflow.trigger(HELD, tag=tag) for tag in MARKED}
    runs["paused"] = airflow.trigger("held_and_paused", tag="paused")
    return runs | {name: airflow.trigger(name) for name in plain}


def states(deployment: Deployment, dag_id: str, run_id: str) -> dict[str, str]:
    """Task id to state; of mapped tasks the id with the index, where it has been expanded."""
    found = {}
    for each in deployment.airflow.instances(dag_id, run_id):
        index = f"[{each['map_index']}]" if each["map_index"] >= 0 else ""
        found[each["task_id"] + index] = each["state"]
    return found


def group_states(found: dict[str, str], group: str = "sweep") -> dict[str, str]:
    return {name: found[f"{group}.{name}"] for name in GROUP if f"{group}.{name}" in found}


def held(deployment: Deployment, begun: dict[str, str], tag: str) -> str:
    """The run of a tag, once its trials wait for the file `hold` to go."""
    airflow = deployment.airflow
    airflow.wait_for(lambda: len(pids(deployment, tag)) == 2, f"two trials of {tag}", 180)
    return begun[tag]


def let_go(deployment: Deployment, tag: str) -> None:
    (deployment.scratch / tag / "hold").unlink()


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


def test_trials_call_back_a_failed_one_with_its_exception(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["called_back"]
    assert "success" == deployment.airflow.wait_for_run("called_back", run_id)
    notes = deployment.scratch / "called"
    deployment.airflow.wait_for(
        lambda: len(notes.read_text().splitlines()) == 2, "both callbacks", 120
    )
    said = sorted(json.loads(line) for line in notes.read_text().splitlines())
    assert [0, 1] == [index for _, index, _ in said]
    assert "" == said[0][2]
    assert said[1][2].startswith("UserExit: trial 1, attempt 1: user_exit: ")


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
    assert {"started", "duration_s"} < set(
        json.loads(airflow.get(f"{path}/times?map_index=0")["value"])
    )


def test_trials_lead_to_their_records_and_collect_to_the_report(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow, run_id = deployment.airflow, begun["called_back"]
    assert "success" == airflow.wait_for_run("called_back", run_id)
    uri = airflow.xcom("called_back", run_id, "sweep.plan", "run")["uri"]
    run = f"https://files.example.com/{Path(uri).relative_to(deployment.store)}"
    tasks = f"{airflow.run_path('called_back', run_id)}/taskInstances"
    trial = airflow.get(f"{tasks}/sweep.trials/links?map_index=1")["extra_links"]
    assert {"Record": f"{run}/trials/1.json"} == trial
    collect = airflow.get(f"{tasks}/sweep.collect/links")["extra_links"]
    assert {"Report": f"{run}/report.html"} == collect


def test_setups_and_teardowns_of_the_dag_stand_around_a_sweep(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = begun["set_up"]
    assert "success" == deployment.airflow.wait_for_run("set_up", run_id)
    found = states(deployment, "set_up", run_id)
    assert {"success"} == set(found.values())


def test_a_dag_run_marked_failed_ends_as_failed(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = held(deployment, begun, "marked-failed")
    mark(deployment, HELD, run_id, "failed")
    assert "failed" == deployment.airflow.wait_for_run(HELD, run_id)
    deployment.airflow.wait_for(
        lambda: not alive(deployment, "marked-failed"), "the end of all", 60
    )
    found = states(deployment, HELD, run_id)
    assert ("skipped", "failed") == (found["sweep.collect"], found["sweep.cleanup"])


def test_a_dag_run_marked_success_ends_as_success(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    run_id = held(deployment, begun, "marked-success")
    mark(deployment, HELD, run_id, "success")
    assert "success" == deployment.airflow.wait_for_run(HELD, run_id)
    deployment.airflow.wait_for(
        lambda: not alive(deployment, "marked-success"), "the end of all", 60
    )
    found = states(deployment, HELD, run_id)
    assert ("skipped", "success") == (found["sweep.collect"], found["sweep.cleanup"])


def test_a_sweep_waits_and_is_over_with_a_run_marked_failed_before_it(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow
    run_id = airflow.trigger("waits_before", tag="before")
    airflow.wait_for((deployment.scratch / "before" / "started").exists, "the task before", 120)
    assert states(deployment, "waits_before", run_id)["sweep.plan"] is None
    mark(deployment, "waits_before", run_id, "failed")
    assert "failed" == airflow.wait_for_run("waits_before", run_id)
    assert "skipped" == states(deployment, "waits_before", run_id)["sweep.plan"]


def test_a_trial_marked_success_is_ended_and_has_no_result(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, begun, "trial-success")
    path = f"{airflow.run_path(HELD, run_id)}/taskInstances/sweep.trials/0"
    airflow.request("PATCH", path, {"new_state": "success"})

    def records() -> list[Any]:
        run = airflow.xcom(HELD, run_id, "sweep.plan", "run")
        return list(Ledger.open(run["uri"]).records())

    airflow.wait_for(lambda: records()[0].state.terminal, "the end of trial 0", 60)
    let_go(deployment, "trial-success")
    assert "success" == airflow.wait_for_run(HELD, run_id)
    assert ["CANCELLED", "COMPLETE"] == [record.state.value for record in records()]


def test_a_deadline_that_passes_calls_back_and_ends_no_trial(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    held(deployment, begun, "paused")
    noted = deployment.scratch / "paused" / "deadline"
    deployment.airflow.wait_for(noted.exists, "the deadline's callback", 120)
    assert alive(deployment, "paused")


def test_trials_of_a_paused_dag_end_and_collect_waits(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow, dag_id = deployment.airflow, "held_and_paused"
    run_id = held(deployment, begun, "paused")
    airflow.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": True})
    let_go(deployment, "paused")

    def trials() -> set[str]:
        found = states(deployment, dag_id, run_id)
        return {state for name, state in found.items() if "trials[" in name}

    airflow.wait_for(lambda: trials() == {"success"}, "the trials' ends", 60)
    assert states(deployment, dag_id, run_id)["sweep.collect"] is None
    airflow.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
    assert "success" == airflow.wait_for_run(dag_id, run_id)


def test_a_dag_run_is_deleted_when_it_is_over_and_its_records_stay(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    """Airflow deletes no DAG run that is not over."""
    airflow, run_id = deployment.airflow, begun["set_up"]
    assert "success" == airflow.wait_for_run("set_up", run_id)
    uri = airflow.xcom("set_up", run_id, "sweep.plan", "run")["uri"]
    airflow.request("DELETE", airflow.run_path("set_up", run_id))
    assert ["COMPLETE"] == [record.state.value for record in Ledger.open(uri).records()]
    with pytest.raises(AirflowError, match="409"):
        airflow.request("DELETE", airflow.run_path(HELD, begun["other"]))


def test_trials_outlive_a_scheduler_killed_with_9(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow
    held(deployment, begun, "crashes")
    airflow.kill_group(airflow.processes["scheduler"])
    assert ["scheduler"] == airflow.start_ended()
    assert alive(deployment, "crashes")


def test_trials_outlive_a_database_that_crashes(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    """What of Airflow ends without its database is started anew, as a deployment does."""
    airflow, run_id = deployment.airflow, begun["crashes"]
    assert deployment.database is not None
    deployment.database.restart()
    let_go(deployment, "crashes")

    def ended() -> bool:
        airflow.start_ended()
        try:
            return bool(airflow.get(airflow.run_path(HELD, run_id))["state"] == "success")
        except (OSError, AirflowError):
            return False

    airflow.wait_for(ended, "the end of the run", 300)
    assert 2 == len(pids(deployment, "crashes"))
    airflow.wait_for(airflow.healthy, "Airflow to be healthy", 180)


def test_runs_at_the_same_time_have_nothing_in_common(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow
    other = held(deployment, begun, "other")  # it has waited beside all runs before
    assert alive(deployment, "other")
    let_go(deployment, "other")
    assert "success" == airflow.wait_for_run(HELD, other)
    runs = [begun["crashes"], other]
    uris = {airflow.xcom(HELD, run, "sweep.collect")["run_uri"] for run in runs}
    assert 2 == len(uris)


def test_clearing_a_trial_and_collect_alone_waits_for_the_trial(
    deployment: Deployment, begun: dict[str, str]
) -> None:
    airflow = deployment.airflow
    run_id = held(deployment, begun, "cleared")
    (deployment.scratch / "cleared" / "fail-e1").touch()
    let_go(deployment, "cleared")
    assert "success" == airflow.wait_for_run(HELD, run_id)
    (deployment.scratch / "cleared" / "fail-e1").unlink()
    body = {
        "dag_run_id": run_id,
        "task_ids": [["sweep.trials", 1], "sweep.collect"],
        "dry_run": False,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    airflow.request("POST", f"/api/v2/dags/{HELD}/clearTaskInstances", body)
    airflow.wait_for(
        lambda: airflow.get(airflow.run_path(HELD, run_id))["state"] == "success", "the end", 120
    )
    counts = airflow.xcom(HELD, run_id, "sweep.collect")["counts"]
    assert 2 == counts["COMPLETE"]


EDITED = """
from datetime import timedelta

from airflow.sdk import DAG

from podmap.airflow import sweep

about = "{count} trials, {timeout}"
with DAG("edited", schedule=None, dagrun_timeout={timeout}, description=about):
    sweep(
        {spec!r},
        experiments=[{{"exp_id": f"e{{n}}", "lr": 1.0, "tag": "edited"}} for n in range({count})],
        backend="process",
        overrides={{"trial.env.SWEEP_TEST_SCRATCH": {scratch!r}}},
    )
"""


def edit(deployment: Deployment, count: int, timeout: str = "None") -> None:
    """Writes the DAG `edited`, and waits until Airflow has it."""
    airflow = deployment.airflow
    spec, scratch = str(Path(__file__).parent / "dags" / "found.yaml"), str(deployment.scratch)
    text = EDITED.format(spec=spec, scratch=scratch, count=count, timeout=timeout)

    (deployment.edited / "edited.py").write_text(text)

    def known() -> bool:
        described = airflow.get("/api/v2/dags/edited")["description"]
        return bool(described == f"{count} trials, {timeout}")

    airflow.wait_for_dag("edited")
    airflow.wait_for(known, "the new version", 240)


def test_a_dag_that_is_edited_in_mid_run_goes_on_as_it_was_planned(deployment: Deployment) -> None:
    airflow = deployment.airflow
    (deployment.scratch / "edited").mkdir()
    (deployment.scratch / "edited" / "hold").touch()
    edit(deployment, 2)
    run_id = airflow.trigger("edited")
    airflow.wait_for(lambda: len(pids(deployment, "edited")) == 2, "two trials", 120)
    edit(deployment, 3)
    let_go(deployment, "edited")
    assert "success" == airflow.wait_for_run("edited", run_id)
    assert 2 == airflow.xcom("edited", run_id, "sweep.collect")["count"]


def test_a_dag_run_that_takes_too_long_ends_its_trials(deployment: Deployment) -> None:
    """It gets its time limit when its trials run, however slow the machine is."""
    airflow = deployment.airflow
    (deployment.scratch / "edited" / "hold").touch()
    begun_before = len(pids(deployment, "edited"))
    run_id = airflow.trigger("edited")
    airflow.wait_for(
        lambda: len(pids(deployment, "edited")) == begun_before + 3, "three trials", 120
    )
    edit(deployment, 3, "timedelta(seconds=1)")
    assert "failed" == airflow.wait_for_run("edited", run_id)
    airflow.wait_for(lambda: not alive(deployment, "edited"), "the end of all", 60)
