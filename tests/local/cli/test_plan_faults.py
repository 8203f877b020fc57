"""Faults of one trial, which are not the others'."""

from __future__ import annotations

from typing import Any

import pytest

LONG = "a" * 131_072
ITEMS = f"""\
apiVersion: podmap/v1
name: items
search:
  kind: list
  items: [{{text: a}}, {{text: {LONG}}}, {{text: b}}, {{text: c}}]
objective: {{metric: y, direction: maximize}}
trial:
  command: [sh, trial.sh]
  args: ["{{params.text}}"]
parallelism: 1
"""
TRIAL = 'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"'
NOTHING = """\
apiVersion: podmap/v1
name: nothing
search: {kind: grid, params: {x: [1, 2]}}
objective: {metric: y, direction: maximize}
trial: {args: ["{params.x}"]}
"""


def states(cli: Any) -> list[str]:
    return [record["state"] for _, record in sorted(cli.records().items())]


def test_an_argument_that_is_too_long_fails_its_trial_alone_and_plan_finds_it(cli: Any) -> None:
    spec = cli.spec(ITEMS, trial=TRIAL)
    planned = cli("plan", spec, "--json")
    assert (2, [1]) == (planned.code, [one["trial"] for one in planned.json["never_started"]])
    assert "trial 1 can never be started: argument 2 of the command is too long" in planned.err
    ran = cli("run", spec, "--set", "failures={allow: 1}")
    assert (0, ["COMPLETE", "FAILED", "COMPLETE", "COMPLETE"]) == (ran.code, states(cli))


def test_a_program_that_depends_on_params_fails_the_trials_that_lack_it(cli: Any) -> None:
    sets = ["--set", "search.items=[{p: sh}, {p: no-such-program}, {p: sh}]"]
    sets += ["--set", "trial.command=['{params.p}', trial.sh]", "--set", "trial.args=[]"]
    assert 1 == cli("run", cli.spec(ITEMS, trial=TRIAL), *sets, "--set=failures={allow: 0}").code
    assert ["COMPLETE", "FAILED"] == states(cli)[:2]
    assert "cannot run" not in str(cli.records()[1])


def test_a_case_whose_command_is_missing_leaves_the_other_trials_alone(cli: Any) -> None:
    case = "trial.cases=[{when: {text: a}, command: [no-such-program]}]"
    sets = ["--set", "search.items=[{text: a}, {text: b}]", "--set", case]
    assert 1 == cli("run", cli.spec(ITEMS, trial=TRIAL), *sets, "--set", "failures={allow: 0}").code
    cli("reset", cli.run_id(), "--failed")
    ran = cli("run", "sweep.yaml", *sets, "--set", "failures={allow: 1}", "--json")
    assert (0, {"FAILED": 1, "COMPLETE": 1}) == (ran.code, ran.json["counts"])


def test_a_command_that_no_trial_can_start_still_stops_the_run(cli: Any) -> None:
    ran = cli("run", cli.spec(ITEMS), "--set", "trial.command=[no-such-program]", "--json")
    assert (1, {"FAILED": 1, "CANCELLED": 3}) == (ran.code, ran.json["counts"])


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_spec_with_nothing_to_run_is_refused(cli: Any, verb: str) -> None:
    ran = cli(verb, cli.spec(NOTHING))
    assert (2, True) == (ran.code, "there is neither a command nor an image" in ran.err)


def test_a_value_that_a_form_cannot_say_fails_its_trial_alone_and_plan_finds_it(cli: Any) -> None:
    sets = ["--set", "search.items=[{n: [a, b]}, {n: [a], m: 1}, {n: ['a,b']}, {n: []}]"]
    sets += ["--set", "trial.args=[{params: flags, lists: comma}]"]
    spec = cli.spec(ITEMS, trial=TRIAL)
    planned = cli("plan", spec, *sets, "--json")
    assert (2, [2]) == (planned.code, [one["trial"] for one in planned.json["never_started"]])
    assert "trial.args[0]: n: 'a,b' holds a comma, which lists: comma" in planned.err
    ran = cli("run", spec, *sets, "--set", "failures={allow: 1}")
    assert (0, ["COMPLETE", "COMPLETE", "FAILED", "COMPLETE"]) == (ran.code, states(cli))
    assert "'a,b' holds a comma" in cli.records()[2]["reason"]
