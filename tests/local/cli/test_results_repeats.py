from __future__ import annotations

import csv
import io
from typing import Any

SPEC = """\
apiVersion: podmap/v1
name: repeated
search: {kind: grid, repeats: 3, params: {x: [1, 2]}}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}", "{trial.repeat}"]}
"""
TRIAL = 'echo "{\\"y\\": $(($1 * 10 + $2))}" >"$PODMAP_RESULT"; echo "seed $PODMAP_SEED"'
LAST_FAILS = f'[ "$1$2" != 22 ] || exit 3; {TRIAL}'


def test_repeats_are_trials_of_their_own_and_one_row(cli: Any) -> None:
    ran = cli("run", cli.spec(SPEC, trial=TRIAL))
    assert ran.code == 0
    assert "6 trials" in ran.err
    assert [0, 1, 2, 0, 1, 2] == [cli.records()[number]["repeat"] for number in range(6)]
    assert len({cli("logs", cli.run_id(), str(number)).out for number in range(6)}) == 6
    head, best, other = ran.out.splitlines()
    assert head.split()[:6] == ["RANK", "TRIAL", "N", "Y", "±", "STD"]
    assert best.split()[:6] == ["1", "5", "3/3", "21", "1", "2"]
    assert other.split()[:4] == ["2", "2", "3/3", "11"]


def test_results_show_sets_of_params_or_each_trial(cli: Any) -> None:
    cli("run", cli.spec(SPEC, trial=TRIAL))
    run = cli.run_id()
    assert len(cli("results", run).out.splitlines()) == 3
    assert len(cli("results", run, "--each").out.splitlines()) == 7
    data = cli("results", run, "--json").json
    assert [3, 3] == [row["repeats"]["complete"] for row in data["leaderboard"]]
    assert data["best"]["metrics"] == {"y": 21}
    assert data["best"]["repeats"]["objective_std"] == 1
    each = cli("results", run, "--each", "--json").json
    assert ([5, 4, 3], 22) == (
        [row["number"] for row in each["leaderboard"][:3]],
        each["best"]["metrics"]["y"],
    )
    rows = list(csv.DictReader(io.StringIO(cli("results", run, "--csv").out)))
    assert [("3", "21.0"), ("3", "11.0")] == [
        (row["repeats.complete"], row["objective"]) for row in rows
    ]


def test_a_set_of_params_of_which_one_failed_stands_behind_whole_ones(cli: Any) -> None:
    ran = cli("run", cli.spec(SPEC, trial=LAST_FAILS), "--json")
    assert ran.code == 1
    first, second = ran.json["leaderboard"]
    assert (first["params"], first["objective"]) == ({"x": 1}, 11)
    assert (second["objective"], second["repeats"]["complete"]) == (20.5, 2)
    assert second["reason"].startswith("1 of 3 failed: user_exit")
    assert "1 of 6 trials failed" in ran.json["verdict"]
    again = cli("reset", cli.run_id(), "--failed")
    assert again.code == 0
    cli.spec(SPEC, trial=TRIAL)
    assert cli("resume", cli.run_id(), "--json").json["best"]["params"] == {"x": 2}


def test_repeats_that_are_added_run_alone_where_the_others_are_reused(cli: Any) -> None:
    spec = cli.spec(SPEC + "reuse: sweep\n", trial=TRIAL)
    assert cli("run", spec, "--set", "search.repeats=1").code == 0
    more = cli("run", spec, "--json", "--set", "search.repeats=2").json
    each = cli("results", more["run_id"], "--each", "--json").json["leaderboard"]
    assert [True, False, True, False] == [
        row["reason"].startswith("reused") for row in sorted(each, key=lambda row: row["number"])
    ]
    assert more["best"]["metrics"] == {"y": 20.5}


def test_plan_says_how_many_of_what(cli: Any) -> None:
    spec = cli.spec(SPEC, trial=TRIAL)
    out = cli("plan", spec).out
    assert "6 trials (grid: 2 x 3 repeats), 8 at once" in out
    data = cli("plan", spec, "--json").json
    assert (3, [0, 1, 2, 0, 1, 2]) == (data["repeats"], [t["repeat"] for t in data["trials"]])
