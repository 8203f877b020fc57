"""podmap results: which trials and columns are shown, on a terminal and in a pipe."""

from __future__ import annotations

import csv
import os
from typing import Any

import pytest
from terminal import Screen, on_terminal

SPEC = """\
apiVersion: podmap/v1
name: grid
search:
  kind: list
  items:
    - {x: 0, model: svm, a_param_with_a_long_name: "a value that is rather long, in fact"}
    - {x: 1, model: mlp, a_param_with_a_long_name: "a value that is rather long, too"}
    - {x: 2, model: svm, a_param_with_a_long_name: "short"}
    - {x: 3, model: svm, a_param_with_a_long_name: "a value that is rather long, in fact"}
    - {x: 4, model: mlp, a_param_with_a_long_name: "a value that is rather long, too"}
  params: {same: 5}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
failures: {allow: 100%}
"""
TRIAL = """\
test "$1" -lt 3 || { echo "no luck with $1"; exit 3; }
echo "{\\"y\\": $1, \\"loss\\": 0.5}" >"$PODMAP_RESULT"
"""


@pytest.fixture
def run(cli: Any) -> str:
    text = SPEC.replace("  params: {same: 5}\n", "")
    text = text.replace("{x: ", "{same: 5, x: ")
    assert 0 == cli("run", cli.spec(text, trial=TRIAL), "-q").code
    return str(cli.run_id())


def trials(ran: Any) -> list[str]:
    """The numbers in the column TRIAL of a table."""
    head, *lines = ran.out.splitlines()
    place = head.split().index("TRIAL")
    return [line.split()[place] for line in lines if not line.startswith("… and ")]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--where", "x > 0 and model = svm"], ["2", "3"]),
        (["--where", "state = failed"], ["3", "4"]),
        (["--where", "rank <= 2"], ["2", "1"]),
        (["--where", "not (y >= 1)"], ["0", "3", "4"]),
        (["--where", "took >= 0", "--top", "2"], ["2", "1"]),
        (["--sort", "x"], ["0", "1", "2", "3", "4"]),
        (["--sort", "x:desc", "--top", "2"], ["4", "3"]),
        (["--sort", "model", "--sort", "x:desc"], ["4", "1", "3", "2", "0"]),
        (["--sort", "y:desc"], ["2", "1", "0", "3", "4"]),
        (["--sort", "y:asc", "--top", "4"], ["0", "1", "2", "3"]),
    ],
    ids=" ".join,
)
def test_rows_are_chosen_and_sorted(
    cli: Any, run: str, args: list[str], expected: list[str]
) -> None:
    assert expected == trials(cli("results", run, "--columns", "trial,x", *args))
    data = cli("results", run, "--json", *args).json["leaderboard"]
    assert expected == [str(row["number"]) for row in data]


def test_columns_are_shown_in_the_order_that_was_asked_for(cli: Any, run: str) -> None:
    ran = cli("results", run, "--columns", "x,params.model, state,reason", "--where", "trial > 2")
    head, *lines = ran.out.splitlines()
    assert ["X", "MODEL", "STATE", "REASON"] == head.split()
    assert ["3", "svm", "failed", "user_exit:"] == lines[0].split()[:4]
    assert lines[0].endswith("no luck with 3")


def test_all_columns_are_those_of_csv_and_the_rank(cli: Any, run: str) -> None:
    head = cli("results", run, "--all").out.splitlines()[0].split()
    assert {"RANK", "ATTEMPTS", "REASON", "SAME", "LOSS", "TOOK"} <= set(head)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--columns", "trial,reason,model,same,x"], ["TRIAL", "REASON", "MODEL", "SAME", "X"]),
        ([], ["RANK", "TRIAL", "STATE"]),
    ],
)
def test_what_was_asked_for_is_whole_on_a_narrow_terminal(
    cli: Any, run: str, args: list[str], expected: list[str]
) -> None:
    ours, theirs = os.openpty()
    process = cli.start("results", run, *args, env={**cli.env, "COLUMNS": "22"}, stdout=theirs)
    os.close(theirs)
    with open(ours, encoding="utf-8") as shown:
        head, *rows = (next(shown) for _ in range(6))
        process.wait()
    assert expected == head.split()
    assert ("REASON" in expected) == any("exit code 3: no luck with 3" in row for row in rows)


def test_csv_has_the_chosen_rows_and_columns(cli: Any, run: str) -> None:
    args = ("--csv", "--columns", "number,x", "--where", "x < 2", "--sort", "x")
    assert ["number,params.x", "0,0", "1,1"] == cli("results", run, *args).out.splitlines()
    whole = list(csv.DictReader(cli("results", run, "--csv").out.splitlines()))
    assert ["2", "1", "0", "3", "4"] == [row["number"] for row in whole]


def test_why_trials_failed_is_said_once_for_all_of_them(cli: Any, run: str) -> None:
    said = cli("results", run).err.splitlines()
    assert "the same in all trials: same = 5" in said
    why = "user_exit: the training command ended with exit code 3: no luck with 3"
    assert [f"  2 trials (3, 4): {why}"] == [line for line in said if "no luck" in line]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--where", "x >"], "filter 'x >', character 4: expected a value, not the end"),
        (["--where", "z > 1"], "filter 'z > 1', character 1: there is no column 'z'"),
        (["--sort", "modelx"], "--sort: there is no column 'modelx'; did you mean 'model'?"),
        (["--columns", "trial,yy"], "--columns: there is no column 'yy'"),
        (["--columns", "trial,"], "'trial,' is not NAME,NAME,..."),
        (["--columns", "trial", "--json"], "leave out --columns and --all"),
        (["--columns", "rank", "--csv"], "--columns: there is no column 'rank'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_chosen_ends_with_2(cli: Any, run: str, args: list[str], said: str) -> None:
    ran = cli("results", run, *args)
    assert (2, True) == (ran.code, said in ran.err)


def test_a_filter_that_no_trial_passes_prints_no_data(cli: Any, run: str) -> None:
    ran = cli("results", run, "--where", "x > 100")
    assert (0, "", True) == (ran.code, ran.out, "no trial passes the filter" in ran.err)


@pytest.mark.parametrize("columns", [24, 40, 60, 120])
def test_a_table_fits_the_terminal(cli: Any, run: str, columns: int) -> None:
    args = ["results", run, "--top", "3"]
    seen = on_terminal(args, columns=columns, folder=cli.folder, env=cli.env)
    head, *lines = Screen(columns).feed(seen).lines
    assert ["RANK", "TRIAL", "Y"] == head.split()[:3]
    assert all(len(line) <= columns for line in [head, *lines[:3]])
    said = "".join(lines[3:])
    hidden = said.partition("not shown: ")[2].partition(";")[0].split(", ")
    assert {24: 3, 40: 2, 60: 1, 120: 1}[columns] == len(hidden)
    for name in ("loss", "model", "took"):
        assert (name.upper() in head) != (name in hidden)
    assert (columns == 120) == ("A_PARAM_WITH_A_LONG_NAME" in head)
