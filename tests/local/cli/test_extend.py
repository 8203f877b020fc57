"""The search of a run that goes on: more trials, another space, a grid with more points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.local.cli.test_add import SPEC, WHEN_TOLD, ended
from tests.local.cli.test_steer import PATIENCE_S, in_state, states, until

__all__ = ["ended"]


def params(cli: Any) -> list[dict[str, Any]]:
    return [record["params"] for _, record in sorted(cli.records().items())]


def test_a_run_that_goes_on_takes_up_more_trials(cli: Any) -> None:
    process = cli.start("run", cli.spec(SPEC, trial=WHEN_TOLD), "--json")
    until(lambda: in_state(cli, "RUNNING") == {0, 1})
    said = cli("extend", cli.run_id(), "--set", "search.trials=3", "--json").json
    assert ([2], 3, 0, True) == (said["added"], said["count"], said["outside"], said["goes_on"])
    both = cli("set", cli.run_id(), "trials=5", "parallelism=5", "--json").json
    assert {"trials": 5, "parallelism": 5} == both["changed"]
    until(lambda: in_state(cli, "RUNNING") == {0, 1, 2, 3, 4})
    Path(cli.folder, "go").touch()
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert {"COMPLETE": 5} == json.loads(out)["counts"]


def test_the_trials_are_those_of_a_run_that_had_so_many_at_once(cli: Any, ended: str) -> None:
    ran = cli("extend", ended, "--set", "search.trials=4")
    assert "4 trials, 2 to 3 are new\n" == ran.out
    assert f"podmap resume {ended}" in ran.err
    assert "4 trials already\n" == cli("extend", ended, "--set", "search.trials=4").out
    assert {"COMPLETE": 4} == cli("resume", ended, "--json").json["counts"]
    found = params(cli)
    assert 0 == cli("clean", ended, "--yes").code
    spec = cli.spec(SPEC, trial=WHEN_TOLD)
    assert 0 == cli("run", spec, "-q", "--set", "search.trials=4").code
    assert found == params(cli)


def test_given_trials_between_change_nothing_of_it(cli: Any, ended: str) -> None:
    (cli.folder / "more.csv").write_text("x,c\n2,a\n")
    assert 0 == cli("extend", ended, "--set", "search.trials=3").code
    assert 0 == cli("add", ended, "--items", "more.csv").code
    assert 0 == cli("extend", ended, "--set", "search.trials=4").code
    assert {"COMPLETE": 5} == cli("resume", ended, "--json").json["counts"]
    found = params(cli)
    assert {"x": 2.0, "c": "a", "k": 3} == found.pop(3)
    assert 0 == cli("clean", ended, "--yes").code
    spec = cli.spec(SPEC, trial=WHEN_TOLD)
    assert 0 == cli("run", spec, "-q", "--set", "search.trials=4").code
    assert found == params(cli)


def test_another_space_is_that_of_new_trials_and_what_lies_outside_is_counted(
    cli: Any, ended: str
) -> None:
    before = params(cli)
    space = ["--set", "search.params.x={low: 5, high: 6.0}", "--set", "search.params.c=[b, z]"]
    assert 2 == cli("extend", ended, *space).code
    said = cli("extend", ended, "--set", "search.trials=6", *space, "--json").json
    assert ([2, 3, 4, 5], 2) == (said["added"], said["outside"])
    assert {"COMPLETE": 6} == cli("resume", ended, "--json").json["counts"]
    assert before == params(cli)[:2]
    assert all(5 <= own["x"] <= 6 and own["c"] in "bz" for own in params(cli)[2:])


def test_a_grid_gets_the_points_that_it_has_not_had(cli: Any) -> None:
    trial = 'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
    assert 0 == cli("run", cli.spec(trial=trial), "-q").code
    run = cli.run_id()
    said = cli("extend", run, "--set", "search.params.x={low: 2, high: 5, step: 1}", "--json").json
    assert ([4, 5], 6, 2) == (said["added"], said["count"], said["outside"])
    assert {"COMPLETE": 6} == cli("resume", run, "--json").json["counts"]
    assert [{"x": x} for x in range(6)] == params(cli)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("search.trials=1", "1 is less than the 2 that there are"),
        ("search.seed=3", "search.seed: this cannot be changed any more; search.trials"),
        ("parallelism=3", "podmap set changes parallelism"),
        ("trial.image=x", "only search is extended"),
        ("search.trials=none", "search.trials"),
        ("search.params.x.low=2", "search.params.x"),
    ],
)
def test_what_cannot_be_is_refused(cli: Any, ended: str, change: str, text: str) -> None:
    ran = cli("extend", ended, "--set", change)
    assert 2 == ran.code
    assert text in ran.err
    assert ["COMPLETE"] * 2 == states(cli)
    assert [] == list(cli.store.glob("*/*/added/*/*"))
