"""What is probably not meant: said by every verb that takes a spec, in JSON too."""

from __future__ import annotations

from typing import Any

import pytest

SPEC = """\
apiVersion: podmap/v1
name: meant
search: {kind: random, trials: 3, params: {lr: [1, 2]}}
objective: {metric: y, direction: maximize}
trial:
  command: [sh, trial.sh]
  args: ["{lr}", "${params.lr}"]
"""
TRIAL = 'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"'
EXPECTED = [
    "sweep.yaml:3:32: search.trials: 3 trials, and the params have 2 combinations",
    "sweep.yaml:7:10: trial.args[0]: {lr} is no placeholder, so it stays as it is (did you mean",
    "sweep.yaml:7:18: trial.args[1]: ${params.lr} is no placeholder",
]


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_warnings_are_said_and_are_in_the_json(cli: Any, verb: str) -> None:
    ran = cli(verb, cli.spec(SPEC, trial=TRIAL), "--json")
    assert 0 == ran.code
    said = [line for line in ran.err.splitlines() if line.startswith("warning: ")]
    assert [f"warning: {warning}" for warning in ran.json["warnings"]] == said
    assert len(EXPECTED) == len(said)
    for part in EXPECTED:
        assert any(part in line for line in said), part


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_with_strict_warnings_are_errors(cli: Any, verb: str) -> None:
    ran = cli(verb, cli.spec(SPEC, trial=TRIAL), "--strict")
    assert 2 == ran.code
    for part in EXPECTED:
        assert part in ran.err
    assert not cli.store.exists()


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_the_params_of_a_file_are_known_once_it_is_read(cli: Any, verb: str) -> None:
    spec = cli.spec(SPEC, trial=TRIAL)
    (cli.folder / "list.csv").write_text("lr\n1\n2\n")
    sets = ["--set", "search={kind: list, items: list.csv}"]
    ran = cli(verb, spec, *sets, "--json")
    assert 0 == ran.code
    assert ["{lr}", "${params.lr}"] == sorted(
        (text.split(": ")[2].split()[0] for text in ran.json["warnings"]), key=len
    )
    strict = cli(verb, spec, *sets, "--set", "trial.args=['{lr}']", "--strict")
    assert (2, True) == (strict.code, "{lr} is no placeholder" in strict.err)


def test_a_spec_that_means_what_it_says_has_no_warnings(cli: Any) -> None:
    sets = ["--set", "trial.args=['{params.lr}']", "--set", "search.trials=2"]
    ran = cli("plan", cli.spec(SPEC), *sets, "--json")
    assert ([], "") == (ran.json["warnings"], ran.err)
