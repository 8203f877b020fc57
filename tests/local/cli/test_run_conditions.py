"""A run whose params have conditions: its trials, records, tables, exports, and what is added."""

from __future__ import annotations

import csv
import io
import sys
from typing import Any

import pytest

import podmap

SPEC = """\
apiVersion: podmap/v1
name: conditional
search:
  kind: KIND
  params:
    kernel: [linear, rbf]
    gamma: {low: 1, high: 2, when: {kernel: rbf}}
objective: {metric: y, direction: maximize}
trial:
  command: [sh, trial.sh]
  args: ["--gamma={params.gamma}", {params: flags}]
  env: {GAMMA: "{params.gamma}"}
parallelism: 3
"""
TRIAL = """\
echo "argv: $*; ${GAMMA-none}; $PODMAP_PARAMS"
echo "{\\"y\\": ${GAMMA-0}}" >"$PODMAP_RESULT"
"""


@pytest.fixture
def run(cli: Any) -> str:
    assert 0 == cli("run", cli.spec(SPEC.replace("KIND", "grid"), trial=TRIAL), "-q").code
    return str(cli.run_id())


def said(cli: Any, run: str) -> list[str]:
    records = podmap.load(str(cli.store / "conditional" / run)).records
    return [record.log_tail.strip() for record in sorted(records, key=lambda one: one.number)]


def test_a_trial_is_told_of_what_it_has(cli: Any, run: str) -> None:
    assert [
        'argv: --kernel=linear; none; {"kernel": "linear"}',
        'argv: --gamma=1 --kernel=rbf --gamma=1; 1; {"kernel": "rbf", "gamma": 1}',
        'argv: --gamma=2 --kernel=rbf --gamma=2; 2; {"kernel": "rbf", "gamma": 2}',
    ] == said(cli, run)


def test_tables_and_exports_have_no_value_for_it(cli: Any, run: str) -> None:
    optuna = pytest.importorskip("optuna")
    rows = csv.DictReader(io.StringIO(cli("export", run, "--to", "csv").out))
    assert [("rbf", "2"), ("rbf", "1"), ("linear", "")] == [
        (row["params.kernel"], row["params.gamma"]) for row in rows
    ]
    assert "linear      -" in cli("results", run).out
    cli("export", run, "--to", "optuna", "-o", "study.log")
    journal = optuna.storages.journal.JournalFileBackend(str(cli.folder / "study.log"))
    study = optuna.load_study(
        study_name=f"conditional-{run}", storage=optuna.storages.JournalStorage(journal)
    )
    expected = [{"kernel": "linear"}, {"kernel": "rbf", "gamma": 1}, {"kernel": "rbf", "gamma": 2}]
    assert expected == [trial.params for trial in study.trials]


def test_added_trials_have_what_exists(cli: Any, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(items: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(items))
        return cli("add", run, "--items", "-", "--json")

    refused = add('[{"kernel": "rbf"}]')
    assert (2, True) == (refused.code, "missing: every param but constants" in refused.err)
    added = add('[{"kernel": "linear", "trial": {"shm": "1Mi"}}, {"kernel": "rbf", "gamma": 9}]')
    assert 0 == added.code
    assert 0 == cli("resume", run, "-q").code
    expected = 'argv: --gamma=9 --kernel=rbf --gamma=9; 9; {"kernel": "rbf", "gamma": 9}'
    assert ['argv: --kernel=linear; none; {"kernel": "linear"}', expected] == said(cli, run)[3:]


def test_a_search_that_learns_asks_for_what_exists_and_goes_on_after_an_end(cli: Any) -> None:
    pytest.importorskip("optuna")
    spec = cli.spec(SPEC.replace("KIND", "tpe\n  trials: 14"), trial=TRIAL)
    assert 0 == cli("run", spec, "-q").code
    run = str(cli.run_id())
    assert 0 == cli("extend", run, "--set", "search.trials=18").code
    assert 0 == cli("resume", run, "-q").code
    records = list(podmap.load(str(cli.store / "conditional" / run)).records)
    assert 18 == len(records)
    kernels = {record.params["kernel"]: set(record.params) for record in records}
    assert {"linear": {"kernel"}, "rbf": {"kernel", "gamma"}} == kernels
