from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

SPEC = """\
apiVersion: podmap/v1
name: reaching
search: {kind: grid, params: {x: [1, 2, 3, 4, 5, 6]}}
objective: {metric: y, direction: maximize, target: 3}
trial: {command: [sh, trial.sh], args: ["{params.x}", "{trial.repeat}"]}
parallelism: 1
"""
TRIAL = 'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
REACHED = "trial 2 has reached the target: y 3 is at least 3 (objective.target)"
HANGS_BUT_FOR_3 = f'[ "$1" = 3 ] || exec sleep 600; until [ -e go ]; do sleep 0.1; done; {TRIAL}'
REPEATS = """\
apiVersion: podmap/v1
name: reaching
search: {kind: grid, params: {x: [1, 2, 3]}, repeats: 2}
objective: {metric: y, direction: minimize, target: 2.5}
trial: {command: [sh, trial.sh], args: ["{params.x}", "{trial.repeat}"]}
parallelism: 1
"""
FALLING = 'echo "{\\"y\\": $((5 - $1 - $2))}" >"$PODMAP_RESULT"'


def states(cli: Any) -> list[str]:
    return [record["state"] for _, record in sorted(cli.records().items())]


def test_a_run_ends_well_once_a_trial_has_reached_the_target(cli: Any) -> None:
    ran = cli("run", cli.spec(SPEC, trial=TRIAL))
    assert ran.code == 0
    assert ["COMPLETE"] * 3 + ["CANCELLED"] * 3 == states(cli)
    assert {REACHED} == {cli.records()[number]["reason"] for number in (3, 4, 5)}
    assert f"ended early: {REACHED}" in ran.err
    assert "podmap reset" not in ran.err
    run = cli.run_id()
    assert f"target  {REACHED}" in cli("status", run).out
    assert cli("status", run, "--json").json["reached"] == REACHED
    assert cli("results", run, "--json").json["reached"] == REACHED
    page = (cli.store / "reaching" / run / "report.html").read_text()
    assert REACHED in page


def test_what_runs_is_ended(cli: Any) -> None:
    Path(cli.folder, "go").touch()
    ran = cli("run", cli.spec(SPEC, trial=HANGS_BUT_FOR_3), "--set", "parallelism=6", "--json")
    assert ran.code == 0
    assert {"COMPLETE": 1, "CANCELLED": 5} == ran.json["counts"]
    assert {REACHED} <= {cli.records()[number]["reason"] for number in (0, 1, 3, 4, 5)}


def test_failed_trials_do_not_make_it_a_failure_unless_they_are_too_many(cli: Any) -> None:
    spec = cli.spec(SPEC, trial=f'[ "$1" != 1 ] || exit 1; {TRIAL}')
    assert cli("run", spec).code == 0
    assert cli("run", spec, "--set", "failures.allow=0").code == 1


def test_a_target_that_nobody_reaches_changes_nothing(cli: Any) -> None:
    ran = cli("run", cli.spec(SPEC, trial=TRIAL), "--set", "objective.target=7", "--json")
    assert ({"COMPLETE": 6}, "", 0) == (ran.json["counts"], ran.json["reached"], ran.code)


def test_with_repeats_the_mean_of_all_of_them_reaches_it(cli: Any) -> None:
    ran = cli("run", cli.spec(REPEATS, trial=FALLING), "--json")
    assert ["COMPLETE"] * 4 + ["CANCELLED"] * 2 == states(cli)
    assert ran.json["reached"] == (
        "trials 2 to 3 have reached the target: their mean y 2.5 is at most 2.5 (objective.target)"
    )
    assert ran.json["best"]["metrics"]["y"] == 2.5


def test_results_that_are_reused_reach_it_at_once(cli: Any) -> None:
    spec = cli.spec(SPEC + "reuse: sweep\n", trial=TRIAL)
    assert cli("run", spec, "--set", "objective.target=6").code == 0
    ran = cli("run", spec, "--json", "--set", "search.params.x=[9, 3, 8]")
    assert ran.json["counts"] == {"COMPLETE": 1, "CANCELLED": 2}
    cli.spec(SPEC + "reuse: sweep\n", trial="exit 1")
    again = cli("run", spec, "--json", "--set", "search.params.x=[3, 7, 8]")
    assert ({"COMPLETE": 1, "CANCELLED": 2}, 0) == (again.json["counts"], again.code)


@pytest.mark.parametrize("parallelism", [1, 4])
def test_a_killed_run_is_ended_by_its_resume_once_the_target_is_reached(
    cli: Any, parallelism: int
) -> None:
    spec = cli.spec(SPEC, trial=HANGS_BUT_FOR_3)
    process = cli.start("run", spec, "--set", "parallelism=3")
    assert process.stderr is not None
    for line in process.stderr:
        if "if it is interrupted" in line:
            break
    until_running(cli, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    Path(cli.folder, "go").touch()
    manifest = next(cli.store.glob("reaching/*/run.json"), None)
    if manifest is not None:
        state = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**state, "parallelism": parallelism}))
    ran = cli("resume", cli.run_id(), "--json")
    assert ran.code == 0
    assert ran.json["reached"] == REACHED
    assert {"COMPLETE": 1, "CANCELLED": 5} == ran.json["counts"]
    again = cli("resume", cli.run_id(), "--json")
    assert ({"COMPLETE": 1, "CANCELLED": 5}, 0) == (again.json["counts"], again.code)


def until_running(cli: Any, count: int) -> None:
    import time

    ends = time.monotonic() + 30
    while sum(record["state"] == "RUNNING" for record in cli.records().values()) < count:
        assert time.monotonic() < ends, "they never ran"
        time.sleep(0.05)
