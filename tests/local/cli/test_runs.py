"""The verbs that look at runs, and change them."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from podmap.engine.run_lock import hold_run

TRIAL = 'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'

ENDS = ["COMPLETE", "FAILED", "CANCELLED"]


@pytest.fixture
def run(cli: Any) -> str:
    assert 0 == cli("run", cli.spec(), "-q").code
    return str(cli.run_id())


def test_ls_lists_runs_with_their_counts(cli: Any, run: str) -> None:
    head, line = cli("ls").out.splitlines()
    assert ["RUN", "SWEEP", "STATE", "CREATED", "TRIALS", *ENDS, "OPEN", "BEST", "TOOK"] == (
        head.split()
    )
    assert [run, "grid", "ended"] == line.split()[:3]
    assert ["4", "4", "0", "0", "0", "3"] == line.split()[4:-1]
    assert [run] == [one["run_id"] for one in cli("ls", "--json").json]


def test_ls_of_an_empty_store_prints_no_data(cli: Any) -> None:
    assert (0, "") == (cli("ls").code, cli("ls").out)
    assert [] == cli("ls", "--json").json


def test_results_shows_all_or_the_top(cli: Any, run: str) -> None:
    assert 5 == len(cli("results", run).out.splitlines())
    top = cli("results", run, "--top", "2").out.splitlines()
    assert (4, "… and 2 more") == (len(top), top[-1])
    data = cli("results", run, "--json", "--top", "2").json
    assert [3, 2] == [row["number"] for row in data["leaderboard"]]


def test_results_leaves_out_what_is_the_same_in_all_trials_of_the_run_only(cli: Any) -> None:
    grid = "{kind: grid, params: {x: {low: 0, high: 3, step: 1}, same: 5}}"
    assert 0 == cli("run", cli.spec(), "-q", "--set", f"search={grid}").code
    for top in (["--top", "1"], ["--top", "2"], []):
        head = cli("results", cli.run_id(), *top).out.splitlines()[0]
        assert ["RANK", "TRIAL", "Y", "X", "TOOK"] == head.split()


def test_results_of_shards_name_them(cli: Any) -> None:
    spec = cli.spec(trial='wc -c <"$1"')
    for name in ("a", "b"):
        (cli.folder / f"part-{name}.csv").write_text(name)
    sets = [
        "search={kind: shards, uris: 'part-*.csv'}",
        "trial={command: [sh, trial.sh, '{shard.uri}']}",
        "objective=",
    ]
    assert 0 == cli("run", spec, "-q", *(f"--set={one}" for one in sets)).code
    assert [["TRIAL", "SHARD", "TOOK"], ["0", "part-a.csv"], ["1", "part-b.csv"]] == [
        line.split()[: 3 if place == 0 else 2]
        for place, line in enumerate(cli("results", cli.run_id()).out.splitlines())
    ]
    rows = csv.DictReader(cli("results", cli.run_id(), "--csv").out.splitlines())
    assert [f"{cli.folder}/part-{name}.csv" for name in ("a", "b")] == [r["shard"] for r in rows]


def test_results_as_csv_has_all_rows_and_columns(cli: Any, run: str) -> None:
    rows = list(csv.DictReader(cli("results", run, "--csv").out.splitlines()))
    assert ["3", "2", "1", "0"] == [row["params.x"] for row in rows]


def test_a_run_is_found_by_the_start_of_its_id_and_by_its_uri(cli: Any, run: str) -> None:
    for name in (run[:4], f"grid/{run}", str(cli.store / "grid" / run)):
        assert run == cli("status", name, "--json").json["run_id"]


def test_a_run_that_is_not_there_ends_with_2_and_names_near_ones(cli: Any, run: str) -> None:
    ran = cli("results", run[:-1] + "z")
    assert 2 == ran.code
    assert f"did you mean {run}?" in ran.err


def test_status_counts_the_trials_by_state(cli: Any, run: str) -> None:
    data = cli("status", run, "--json").json
    assert ("ended", 4, {"COMPLETE": 4}, []) == (
        data["state"],
        data["count"],
        data["counts"],
        data["running"],
    )
    assert "4: 4 complete" in cli("status", run).out


def test_status_of_a_run_that_is_being_run_names_the_process(cli: Any, run: str) -> None:
    cli("reset", run, "0", "--yes")
    assert "open" == cli("status", run, "--json").json["state"]
    assert f"go on with it: podmap resume {run}\n" == cli("status", run).err
    where = f"{cli.store}/grid/{run}"
    cli.env["PODMAP_STORE"] = str(cli.folder / "elsewhere")
    said = cli.process("status", run, "--store", str(cli.store)).err
    assert f"go on with it: podmap resume {where}\n" == said
    with hold_run(run):
        data = cli("status", run, "--json").json
    assert ("running", "int") == (data["state"], type(data["pid"]).__name__)


def test_logs_prints_the_output_alone_on_stdout(cli: Any, run: str) -> None:
    ran = cli("logs", run, "2")
    assert "x is 2\n" == ran.out
    assert "complete" in ran.err
    data = cli("logs", run, "2", "--attempt", "1", "--json").json
    assert ("x is 2\n", "ledger", 1) == (data["log"], data["source"], data["attempt"])


def test_logs_of_a_failed_trial_says_why_and_what_to_do(cli: Any) -> None:
    spec = cli.spec(trial="echo begins; echo out of luck; exit 3")
    assert 1 == cli("run", spec, "-q").code
    ran = cli("logs", cli.run_id(), "0")
    assert "begins\nout of luck\n" == ran.out
    about, reason, cure = ran.err.splitlines()
    assert ("failed" in about, True) == (True, reason.startswith("user_exit: "))
    assert cure.startswith("what to do: ")
    diagnosis = cli("logs", cli.run_id(), "0", "--json").json["diagnosis"]
    assert ("user_exit", f"what to do: {diagnosis['resolution']}") == (diagnosis["category"], cure)


@pytest.mark.parametrize("verb", ["logs", "reset"])
def test_a_trial_that_is_not_there_ends_with_2(cli: Any, run: str, verb: str) -> None:
    ran = cli(verb, run, "4")
    assert 2 == ran.code
    assert "has no trial 4; its 4 trials go from 0 to 3" in ran.err


def test_logs_of_an_attempt_that_is_not_there_ends_with_2(cli: Any, run: str) -> None:
    ran = cli("logs", run, "0", "--attempt", "2")
    assert (2, True) == (ran.code, "has no attempt 2; it has 1" in ran.err)


def test_report_prints_where_it_was_written_anew(cli: Any, run: str) -> None:
    path = cli.store / "grid" / run / "report.html"
    path.unlink()
    assert f"{path}\n" == cli("report", run).out
    assert path.exists()
    assert str(path) == cli("report", run, "--json").json["report_uri"]


def test_reset_forgets_trials_and_resume_runs_them_alone_again(cli: Any, run: str) -> None:
    before = cli.records()
    assert [1, 3] == cli("reset", run, "3", "1", "--yes", "--json").json["reset"]
    assert {0, 2} == set(cli.records())
    assert {"COMPLETE": 2, "WAITING": 2} == cli("status", run, "--json").json["counts"]
    assert {"COMPLETE": 4} == cli("resume", run, "--json").json["counts"]
    after = cli.records()
    assert [[1], [2], [1], [2]] == [
        [attempt["number"] for attempt in after[n]["attempts"]] for n in range(4)
    ]
    assert before[0] == after[0]
    former = cli.store / "grid" / run / "former"
    assert before[1] == json.loads((former / "1-1.json").read_text())


def test_reset_of_results_asks_first(cli: Any, run: str) -> None:
    ran = cli("reset", run, "3", "1")
    said = "reset gives up the results of complete trials 1, 3: without a terminal, say --yes"
    assert (2, f"podmap: {said}\n", 4) == (ran.code, ran.err, len(cli.records()))


def test_ls_lists_the_others_if_a_run_cannot_be_read(cli: Any, run: str) -> None:
    broken, other = cli.store / "grid" / "00000000", cli.store / "other"
    (broken / "manifest.json").mkdir(parents=True)
    other.touch()
    other.unlink()
    other.symlink_to(other)  # a loop, which even root cannot read
    ran = cli("ls")
    assert (0, ["00000000", run]) == (
        ran.code,
        sorted(line.split()[0] for line in ran.out.splitlines()[1:]),
    )
    assert "00000000: cannot read" in ran.err
    assert [True, False] == [bool(one["problem"]) for one in cli("ls", "--json").json]


def test_what_was_reused_counts_for_nothing_in_a_runs_times(cli: Any) -> None:
    spec = cli.spec(trial=TRIAL)
    first = cli("run", spec, "--json", "--set", "reuse=sweep").json
    assert first["duration_s"] is not None
    again = cli("run", spec, "--json", "--set", "reuse=sweep").json
    assert ({"COMPLETE": 4}, None) == (again["counts"], again["duration_s"])
    assert again["finished"] > first["finished"]


def test_a_ledger_deleted_in_mid_run_is_an_error_with_its_path(cli: Any) -> None:
    spec = cli.spec(trial=f"[ $1 = 1 ] && rm -r {cli.store}; {TRIAL}")
    ran = cli("run", spec, "--json", "--set", "parallelism=1")
    assert (3, False) == (ran.code, cli.store.exists())
    assert f"the ledger {cli.store}/grid/" in ran.json["error"]


def test_a_store_in_memory_is_warned_of(cli: Any) -> None:
    ran = cli("run", cli.spec(), "--store", "memory://runs", "-q")
    assert (0, True) == (ran.code, "a store in memory:// is gone" in ran.err)


def test_reset_failed_forgets_those_that_failed(cli: Any) -> None:
    spec = cli.spec(trial='[ $1 = 2 ] && exit 1; echo "{\\"y\\": 1}" >"$PODMAP_RESULT"')
    assert 1 == cli("run", spec, "-q").code
    assert [2] == cli("reset", cli.run_id(), "--failed", "--json").json["reset"]


def test_reset_without_trials_ends_with_2(cli: Any, run: str) -> None:
    assert 2 == cli("reset", run).code


@pytest.mark.parametrize(
    "args",
    [["resume"], ["clean", "--yes"], ["reset", "--failed"]],
    ids=["resume", "clean", "reset"],
)
def test_a_run_that_is_being_run_is_left_alone(cli: Any, run: str, args: list[str]) -> None:
    with hold_run(run):
        ran = cli(args[0], run, *args[1:])
    assert 1 == ran.code
    assert f"run {run} is being run by process" in ran.err
    assert (cli.store / "grid" / run).exists()


def test_resume_of_a_run_of_airflow_is_refused(cli: Any, run: str) -> None:
    path = cli.store / "grid" / run / "manifest.json"
    owner = {"kind": "airflow", "dag_id": "d", "run_id": "r", "group_id": "g"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "owner": owner}))
    ran = cli("resume", run)
    assert (1, True) == (ran.code, "dag_id=d, run_id=r; clear its tasks in Airflow" in ran.err)


def change_manifest(cli: Any, run: str, **changes: Any) -> None:
    path = cli.store / "grid" / run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_resume_of_a_run_whose_manifest_was_changed_runs_nothing(cli: Any, run: str) -> None:
    spec = json.loads((cli.store / "grid" / run / "manifest.json").read_text())["spec"]
    spec["trial"]["command"] = ["touch", str(cli.folder / "evil")]
    change_manifest(cli, run, spec=spec)
    assert 0 == cli("reset", run, "1", "--yes").code
    ran = cli("resume", run)
    assert 1 == ran.code
    assert "not the one that was planned" in ran.err
    assert not (cli.folder / "evil").exists()


@pytest.mark.parametrize("verb", ["resume", "clean", "reset", "status", "results"])
@pytest.mark.parametrize(
    "changes", [{"run_id": "00000000"}, {"sweep": "other"}, {"run_id": "../x"}]
)
def test_a_manifest_of_another_run_is_an_error_of_that_run_alone(
    cli: Any, run: str, verb: str, changes: Any
) -> None:
    change_manifest(cli, run, **changes)
    more = {"clean": ["--yes"], "reset": ["0"]}.get(verb, [])
    ran = cli(verb, run, *more)
    assert 1 == ran.code
    assert f"{run}/manifest.json" in ran.err
    assert 1 == len(ran.err.splitlines())
    listed = cli("ls", "--json").json
    assert [run] == [one["run_id"] for one in listed]
    assert "manifest.json" in listed[0]["problem"]


def test_clean_deletes_the_run_but_only_when_told_so(cli: Any, run: str) -> None:
    ran = cli("clean", run)
    assert (2, True) == (ran.code, "say --yes" in ran.err)
    assert {"run_uri": str(cli.store / "grid" / run), "ended": 0} == cli(
        "clean", run, "--yes", "--json"
    ).json
    assert not (cli.store / "grid" / run).exists()


def test_two_runs_of_one_sweep_have_ids_and_folders_of_their_own(cli: Any, run: str) -> None:
    assert 0 == cli("run", "sweep.yaml", "-q").code
    assert 2 == len(cli("ls", "--json").json)


def test_a_sweep_without_an_objective_lists_its_trials_by_number(cli: Any) -> None:
    for number in range(3):
        (cli.folder / f"part-{number}").touch()
    shards = ["--set", "search={kind: shards, uris: 'part-*'}", "--set", "objective="]
    ran = cli("run", cli.spec(), *shards, "--set", 'trial.args=["{shard.index}"]')
    assert 0 == ran.code
    assert ["TRIAL", "0", "1", "2"] == [line.split()[0] for line in ran.out.splitlines()]


def test_results_rank_anew_by_a_metric_that_was_not_the_objective(cli: Any) -> None:
    spec = cli.spec()
    assert 1 == cli("run", spec, "-q", "--set", "objective.metric=other").code
    run = cli.run_id()
    assert {"FAILED": 4} == cli("results", run, "--json").json["counts"]
    for direction, numbers in (("minimize", [0, 1, 2, 3]), ("maximize", [3, 2, 1, 0])):
        data = cli("results", run, "--json", "--objective", f"y:{direction}").json
        assert numbers == [row["number"] for row in data["leaderboard"]]
        assert numbers[0] == data["best"]["number"]
    for wrong in ("y", "y:up", ":minimize"):
        assert 2 == cli("results", run, "--objective", wrong).code


def test_what_a_terminal_would_obey_is_not_printed(cli: Any, run: str) -> None:
    path = cli.store / "grid" / run / "trials" / "1.json"
    data = json.loads(path.read_text())
    bad = "a\x1b[2J\u202eb\x9bc"
    data.update(metrics={**data["metrics"], bad: 1.0}, params={"x": 1, bad: bad}, reason=bad)
    path.write_text(json.dumps(data))
    (cli.store / "grid" / run / "trials" / "2.json").write_text(json.dumps({"schema": bad}))
    for args in (["results", run], ["status", run], ["results", run, "--json"]):
        ran = cli(*args)
        assert not set("\x1b\u202e\x9b") & set(ran.out + ran.err), args
    assert bad in cli("results", run, "--json").json["leaderboard"][1]["metrics"]
