"""Searches that learn go on, with given trials between and in another space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.local.cli.test_add import WHEN_TOLD
from tests.local.cli.test_steer import PATIENCE_S, in_state, until

pytest.importorskip("optuna")
SPEC = """\
apiVersion: podmap/v1
name: growing
search: {kind: tpe, trials: 3, params: {x: {low: 0, high: 1.0}, c: [a, b], k: 3}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}", "{params.c}{params.k}"]}
parallelism: 3
"""


def test_given_trials_and_more_of_its_own_are_taken_up_while_it_goes_on(cli: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=WHEN_TOLD), "--json")
    until(lambda: in_state(cli, "RUNNING") == {0, 1, 2})
    run = cli.run_id()
    (cli.folder / "more.jsonl").write_text('{"x": 0.5, "c": "a"}\n{"x": 7, "c": "b"}\n')
    assert 5 == cli("add", run, "--items", "more.jsonl", "--json").json["count"]
    assert [5, 6] == cli("extend", run, "--set", "search.trials=5", "--json").json["added"]
    narrower = ["--set", "search.trials=6", "--set", "search.params.c=[a]"]
    refused = cli("extend", run, *narrower)
    assert (2, True) == (refused.code, "interrupt it" in refused.err)
    Path(cli.folder, "go").touch()
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert {"COMPLETE": 7} == json.loads(out)["counts"]
    records = cli.records()
    assert [0.5, 7.0] == [records[number]["params"]["x"] for number in (3, 4)]
    assert all(0 <= records[number]["params"]["x"] <= 1 for number in (0, 1, 2, 5, 6))


def test_another_space_is_learnt_of_by_who_resumes_and_old_results_stay(cli: Any) -> None:
    Path(cli.folder, "go").touch()
    assert 0 == cli("run", cli.spec(SPEC, trial=WHEN_TOLD), "-q").code
    run, before = cli.run_id(), cli.records()
    space = "search.params.x={low: 5, high: 6.0}"
    said = cli("extend", run, "--set", "search.trials=6", "--set", space, "--json").json
    assert ([3, 4, 5], 3) == (said["added"], said["outside"])
    assert {"COMPLETE": 6} == cli("resume", run, "--json").json["counts"]
    records = cli.records()
    assert before == {number: records[number] for number in range(3)}
    assert all(5 <= records[number]["params"]["x"] <= 6 for number in (3, 4, 5))
    assert {"COMPLETE": 6} == cli("resume", run, "--json").json["counts"]
    assert records == cli.records()
