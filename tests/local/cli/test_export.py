"""A run's trials as CSV, Parquet and a study of Optuna's; runs side by side."""

from __future__ import annotations

import csv
from typing import Any

import pytest

SPEC = """\
apiVersion: podmap/v1
name: exported
search:
  kind: list
  items:
    - {x: 1, kernel: rbf, sizes: [1, 2]}
    - {x: 2, kernel: rbf, sizes: [3]}
    - {x: 3, kernel: linear, sizes: [1, 2]}
objective: {metric: y, direction: maximize}
trial: {command: [sh, trial.sh], args: ["{params.x}"]}
parallelism: 3
"""
TRIAL = """\
[ "$1" != 3 ] || exit 9
for step in 1 2; do echo "podmap: {\\"step\\": $step, \\"y\\": $step$1}"; done
echo "{\\"y\\": $1, \\"z\\": 0.5}" >"$PODMAP_RESULT"
"""


@pytest.fixture
def run(cli: Any) -> str:
    assert 1 == cli("run", cli.spec(SPEC, trial=TRIAL), "-q").code
    return str(cli.run_id())


def test_csv_is_the_leaderboard_with_all_columns(cli: Any, run: str) -> None:
    rows = list(csv.DictReader(cli("export", run, "--to", "csv").out.splitlines()))
    assert [("1", "2.0"), ("0", "1.0"), ("2", "")] == [
        (row["number"], row["objective"] and str(float(row["objective"]))) for row in rows
    ]
    said = cli("export", run, "--to", "csv", "-o", "t.csv", "--json").json
    assert (str(cli.folder / "t.csv"), 3) == (said["file"], said["trials"])
    assert rows == list(csv.DictReader((cli.folder / "t.csv").read_text().splitlines()))


def test_parquet_keeps_the_types(cli: Any, run: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = cli("export", run, "--to", "parquet").out.strip()
    assert f"exported-{run}.parquet" == path
    table = parquet.read_table(cli.folder / path).to_pydict()
    assert [1, 0, 2] == table["number"]
    assert [2.0, 1.0, None] == table["objective"]
    assert ["[3]", "[1, 2]", "[1, 2]"] == table["params.sizes"]


@pytest.mark.parametrize("name", ["study.log", "study.db"])
def test_a_study_has_what_ended_and_what_was_reported(cli: Any, run: str, name: str) -> None:
    optuna = pytest.importorskip("optuna")
    pytest.importorskip("sqlalchemy")
    assert 3 == cli("export", run, "--to", "optuna", "-o", name, "--json").json["trials"]
    path = str(cli.folder / name)
    journal = optuna.storages.journal.JournalFileBackend
    storage = f"sqlite:///{path}" if name.endswith(".db") else optuna.storages.JournalStorage(
        journal(path)
    )  # fmt: skip
    study = optuna.load_study(study_name=f"exported-{run}", storage=storage)
    assert (2.0, 1) == (study.best_value, study.best_trial.user_attrs["podmap_trial"])
    assert {"x": 2, "kernel": "rbf", "sizes": "[3]"} == study.best_params
    assert {1: 12.0, 2: 22.0} == study.best_trial.intermediate_values
    assert ["COMPLETE", "COMPLETE", "FAIL"] == [trial.state.name for trial in study.trials]
    assert "already" in cli("export", run, "--to", "optuna", "-o", name).err


def test_what_cannot_be_written_is_said(cli: Any, run: str) -> None:
    ran = cli("export", run, "--to", "csv", "-o", "none/t.csv")
    assert (2, True) == (ran.code, "none/t.csv cannot be written" in ran.err)


def test_runs_side_by_side_show_what_differs(cli: Any, run: str) -> None:
    assert (0, 2) == (cli("compare", run, run).code, cli("compare", run).code)
    spec = cli.spec(SPEC, trial=TRIAL)
    sets = ["--set", "parallelism=1", "--set", "search.items=[{x: 5, kernel: rbf, sizes: [1]}]"]
    assert 0 == cli("run", spec, "-q", *sets, "--json").code
    other = next(one for one in cli("ls", "--json").json if one["run_id"] != run)["run_id"]
    data = cli("compare", run, other, "--json").json
    assert [run, other] == [one["run_id"] for one in data["runs"]]
    assert [3, 1] == data["spec"]["parallelism"]
    assert {"x": [2, 5], "sizes": [[3], [1]]} == data["best_params"]
    assert {"parallelism", "search.items"} == set(data["spec"])
    rows = {
        line.split("  ")[0]: line.split() for line in cli("compare", run, other).out.splitlines()
    }
    assert ["best", "y", "2", "5"] == rows["best y"]
    assert ["failed", "1", "0"] == rows["failed"]


def test_a_study_has_the_ranges_of_the_spec_wide_enough_for_what_was_added(cli: Any) -> None:
    optuna = pytest.importorskip("optuna")
    params = "{x: {low: 1, high: 2, type: float}, n: {low: 1, high: 9, step: 2}, k: a}"
    search = f"search={{kind: random, trials: 3, params: {params}}}"
    trial = 'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
    assert 0 == cli("run", cli.spec(SPEC, trial=trial), "-q", "--set", search).code
    run = cli.run_id()
    (cli.folder / "more.jsonl").write_text('{"x": 7, "n": 1}\n')
    assert 0 == cli("add", run, "--items", "more.jsonl").code
    assert 0 == cli("resume", run, "-q").code
    assert 0 == cli("export", run, "--to", "optuna", "-o", "s.log").code
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(cli.folder / "s.log"))
    )
    study = optuna.load_study(study_name=f"exported-{run}", storage=storage)
    of = optuna.distributions
    assert {
        "x": of.FloatDistribution(1.0, 7.0),
        "n": of.IntDistribution(1, 9, step=2),
        "k": of.CategoricalDistribution(("a",)),
    } == study.best_trial.distributions
