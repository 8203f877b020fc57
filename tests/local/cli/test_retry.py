"""Failed trials run again: while their run goes on, after its end, and never twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.local.cli.test_steer import PATIENCE_S, in_state, states, until

SPEC = """\
apiVersion: podmap/v1
name: retried
search: {kind: grid, params: {x: {low: 0, high: 3}}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
parallelism: 2
failures: {allow: 1}
"""
ONE_BY_ONE = ("--set", "parallelism=1")
FAILS_UNTIL_MENDED = """\
[ "$1" = 3 ] && until [ -e go ]; do sleep 0.05; done
[ -e mended ] || [ "$1" != 1 ] || exit 9
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
"""


def attempts(cli: Any, number: int) -> list[int]:
    return [attempt["number"] for attempt in cli.records()[number]["attempts"]]


@pytest.fixture
def ended(cli: Any) -> str:
    """A run whose trial 1 has failed."""
    Path(cli.folder, "go").touch()
    assert 0 == cli("run", cli.spec(SPEC, trial=FAILS_UNTIL_MENDED), "-q").code
    return str(cli.run_id())


def test_a_failed_trial_is_run_again_in_the_run_that_goes_on(cli: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=FAILS_UNTIL_MENDED), "--json")
    until(lambda: in_state(cli, "FAILED") == {1} and in_state(cli, "RUNNING") == {3})
    Path(cli.folder, "mended").touch()
    said = cli("retry", cli.run_id(), "--failed", "--json").json
    assert ([1], True, process.pid) == (said["retried"], said["goes_on"], said["pid"])
    until(lambda: in_state(cli, "COMPLETE") == {0, 1, 2})
    assert [2] == attempts(cli, 1)
    (run,) = cli.store.glob("retried/*")
    assert [f"1-a{k}.json" for k in (1, 2)] == sorted(
        path.name for path in run.glob("attempts/1-*.json")
    )
    Path(cli.folder, "go").touch()
    out, _ = process.communicate(timeout=PATIENCE_S)
    summary = json.loads(out)
    assert ({"COMPLETE": 4}, [], 0) == (summary["counts"], summary["failures"], process.returncode)


def test_after_the_end_resume_runs_it(cli: Any, ended: str) -> None:
    Path(cli.folder, "mended").touch()
    ran = cli("retry", ended, "1")
    assert "retried: 1\n" == ran.out
    assert f"podmap resume {ended}" in ran.err
    assert "open" == cli("status", ended, "--json").json["state"]
    assert {"COMPLETE": 4} == cli("resume", ended, "--json").json["counts"]
    assert [2] == attempts(cli, 1)


def test_too_many_failures_until_then_do_not_stop_the_run_again(cli: Any) -> None:
    spec = cli.spec(SPEC, trial=FAILS_UNTIL_MENDED)
    assert 1 == cli("run", spec, "-q", "--set", "failures.allow=0", *ONE_BY_ONE).code
    # Trial 2 gets the slot of trial 1 before that counts as failed, or never.
    ended = states(cli)
    assert ["COMPLETE", "FAILED", "CANCELLED"] == [*ended[:2], ended[3]]
    for name in ("go", "mended"):
        Path(cli.folder, name).touch()
    run = cli.run_id()
    again = [number for number, state in enumerate(ended) if state != "COMPLETE"]
    assert again == cli("retry", run, "--failed", "--json").json["retried"]
    assert {"COMPLETE": 4} == cli("resume", run, "--json").json["counts"]


def test_what_cannot_be_run_again_is_said_at_once(cli: Any, ended: str) -> None:
    ran = cli("retry", ended, "0", "1", "9")
    assert 2 == ran.code
    assert "trial 0 is complete; podmap reset gives its result up" in ran.err
    assert "has no trial 9" in ran.err
    assert "FAILED" == cli.records()[1]["state"]
    assert 0 == cli("retry", ended, "1").code
    assert "trial 1 has not ended, it is waiting" in cli("retry", ended, "1").err
    assert "no trial is failed or cancelled" in cli("retry", ended, "--failed").out
    assert 2 == cli("retry", ended).code


def test_a_run_of_airflow_is_left_to_airflow(cli: Any, ended: str) -> None:
    (path,) = cli.store.glob("retried/*/manifest.json")
    manifest = json.loads(path.read_text())
    owner = {"kind": "airflow", "dag_id": "d", "run_id": "r", "group_id": "g"}
    path.write_text(json.dumps({**manifest, "owner": owner}))
    ran = cli("retry", ended, "--failed")
    assert 2 == ran.code
    assert "clear the tasks of the trials in Airflow instead" in ran.err
