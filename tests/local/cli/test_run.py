from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FAILING = """\
apiVersion: podmap/v1
name: failing
search: {kind: grid, params: {code: [0, 3, 13, 4]}}
objective: {metric: y, direction: minimize}
trial: {command: [sh, trial.sh], args: ["{params.code}"]}
"""
TRIAL = 'echo "x is $1"; echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
FAIL = """\
echo '{"y": 1}' >"$PODMAP_RESULT"
exit $(($1 % 10))
"""


def test_run_prints_the_leaderboard_best_first_on_stdout_and_talks_on_stderr(cli: Any) -> None:
    ran = cli("run", cli.spec())
    assert 0 == ran.code
    assert ["RANK", "1", "2", "3", "4"] == [line.split()[0] for line in ran.out.splitlines()]
    assert ["1", "3", "3", "3"] == ran.out.splitlines()[1].split()[:4]
    assert f"podmap resume {cli.run_id()}" in ran.err
    assert "4 complete" in ran.err


def test_run_leaves_summary_leaderboard_and_report_in_the_ledger(cli: Any) -> None:
    assert 0 == cli("run", cli.spec()).code
    folder = cli.store / "grid" / cli.run_id()
    assert 4 == json.loads((folder / "summary.json").read_text())["counts"]["COMPLETE"]
    assert 5 == len((folder / "leaderboard.csv").read_text().splitlines())
    assert (folder / "report.html").read_text().lower().startswith("<!doctype html")
    assert json.loads((folder / "run.json").read_text())["finished"]


def test_run_with_json_prints_one_object_with_all_there_is_to_know(cli: Any) -> None:
    data = cli("run", cli.spec(), "--json").json
    assert {"COMPLETE": 4} == data["counts"]
    assert {"x": 3} == data["best"]["params"]
    assert [3, 2, 1, 0] == [row["number"] for row in data["leaderboard"]]
    assert str(cli.store / "grid" / cli.run_id()) == data["run_uri"]
    assert (0, False, "", []) == (
        data["exit_code"],
        data["interrupted"],
        data["verdict"],
        data["failures"],
    )


def test_set_overrides_the_file_and_is_kept_in_the_manifest(cli: Any) -> None:
    ran = cli("run", cli.spec(), "--json", "--set", "search.params.x.high=1", "--set", "name=two")
    assert 2 == ran.json["count"]
    manifest = json.loads((cli.store / "two" / cli.run_id() / "manifest.json").read_text())
    assert 1 == manifest["spec"]["search"]["params"]["x"]["high"]


def test_trials_run_in_the_folder_of_the_spec(cli: Any) -> None:
    spec = cli.spec(trial=f"pwd; {TRIAL}", folder="below")
    assert 0 == cli("run", spec).code
    assert f"{cli.folder}/below\nx is 0\n" == cli("logs", cli.run_id(), "0").out


def test_failed_trials_end_the_command_with_1_though_all_are_run_and_shown(cli: Any) -> None:
    ran = cli("run", cli.spec(FAILING, trial=FAIL))
    assert 1 == ran.code
    assert 4 == len(cli.records())
    assert 1 == ran.err.count("failed: user_exit: the training command ended with exit code 3")
    assert "2 trials (1, 2) failed like the first of them, see above" in ran.err
    assert "trial 3 failed: user_exit" in ran.err
    assert f"podmap logs {cli.run_id()} 1" in ran.err
    assert ["RANK", "1"] == [line.split()[0] for line in ran.out.splitlines()]


def test_failures_are_shown_with_their_last_line_and_grouped_by_it(cli: Any) -> None:
    ran = cli("run", cli.spec(FAILING, trial='echo "Error: no data in part $1"; exit 3\n'))
    assert 1 == ran.err.count("Error: no data in part")
    assert "4 trials (0, 1, 2, 3) failed like the first of them, see above" in ran.err
    why = "user_exit: the training command ended with exit code 3: Error: no data in part"
    assert 0 == cli("reset", cli.run_id(), "--failed").code
    quiet = cli("resume", cli.run_id(), "-q")  # which has said nothing before
    assert f"4 trials (0, 1, 2, 3) failed: {why}" in quiet.err


@pytest.mark.parametrize(
    ("allow", "code"), [("3", 0), ("75%", 0), ("2", 1)], ids=["count", "percent", "beyond"]
)
def test_failures_within_the_allowance_are_forgiven(cli: Any, allow: str, code: int) -> None:
    spec = cli.spec(FAILING, trial=FAIL)
    assert code == cli("run", spec, "--set", f"failures={{allow: {allow}}}").code


def test_a_command_that_is_not_there_stops_the_run_once_and_says_so(cli: Any) -> None:
    spec = cli.spec(FAILING, trial=FAIL)
    ran = cli("run", spec, "--set", "trial.command=[no-such-command]", "--set", "parallelism=1")
    assert 1 == ran.code
    assert "command not found: 'no-such-command'" in ran.err
    states = {record["state"] for number, record in cli.records().items() if number > 0}
    assert {"CANCELLED"} == states


def test_a_command_that_is_not_there_ends_with_1_whatever_is_allowed(cli: Any) -> None:
    spec = cli.spec(FAILING, trial=FAIL)
    allow = "failures={allow: 100%}"
    assert 1 == cli("run", spec, "--set", "trial.command=[no-such-command]", "--set", allow).code


def test_logs_shows_the_output_of_trials_on_stderr_with_their_numbers(cli: Any) -> None:
    ran = cli("run", cli.spec(), "--logs", "--json")
    assert 4 == ran.json["count"]
    assert {f"[{n}] x is {n}" for n in range(4)} <= set(ran.err.splitlines())


def test_quiet_says_nothing(cli: Any) -> None:
    assert "" == cli("run", cli.spec(), "--quiet").err


def test_what_local_processes_ignore_is_said(cli: Any) -> None:
    sets = ["--set", "trial.resources={cpu: 1}", "--set", "kubernetes.namespace=ml"]
    ran = cli("run", cli.spec(), *sets)
    assert 0 == ran.code
    assert "local processes ignore: trial.resources, kubernetes.namespace" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--backend", "kubernetes"], "trial.image: a pod needs an image"),
        (["--set", "pack=2"], "pack: 2 is not yet supported"),
        (["--set", "search.trials"], "it has no '='"),
        (["--patience", "soon"], "--patience"),
        (["--no-such-option"], "No such option"),
    ],
    ids=["backend", "not yet supported", "set", "patience", "option"],
)
def test_what_cannot_be_run_ends_with_2_and_starts_nothing(
    cli: Any, args: list[str], said: str
) -> None:
    ran = cli("run", cli.spec(), *args)
    assert 2 == ran.code
    assert said in ran.err
    assert not cli.store.exists()


def test_a_file_in_the_place_of_the_store_ends_with_3(cli: Any) -> None:
    Path(cli.store).write_text("")
    ran = cli("run", cli.spec())
    assert 3 == ran.code
    assert f"podmap: cannot create {cli.store}" in ran.err
    assert "a file is where a folder must be" in ran.err
    assert "--store" in ran.err


def test_demo_runs_a_sweep_and_shows_its_leaderboard(cli: Any) -> None:
    data = cli("demo", "--json").json
    assert {"COMPLETE": 16} == data["counts"]
    assert data["best"]["metrics"]["accuracy"] > 0.9


def test_a_wrong_metric_costs_five_trials_and_says_what_to_change(cli: Any) -> None:
    given = "search.params.x={low: 1, high: 12}"
    ran = cli("run", cli.spec(), "--set", "objective.metric=acc", "--set", given)
    assert 1 == ran.code
    states = [record["state"] for record in cli.records().values()]
    assert 5 <= states.count("FAILED") < 12
    assert "CANCELLED" in states
    assert "stopped early: the first 5 trials failed in the same way" in ran.err
    assert "has no metric 'acc', the objective; it has y" in ran.err
    assert "objective.metric" in ran.err
    all_of_them = cli(
        "run", cli.spec(), "--json", "--set", "objective.metric=acc", "--set", given,
        "--set", "failures.same=none",
    )  # fmt: skip
    assert {"FAILED": 12} == all_of_them.json["counts"]
