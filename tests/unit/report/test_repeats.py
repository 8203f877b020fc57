from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from podmap.loading import load
from podmap.objective import mean
from podmap.records import Record, TrialState
from podmap.report.leaderboard import Leaderboard
from podmap.report.publish import build_summary, publish, read_leaderboard
from podmap.report.repeats import deviation

from .made_runs import ACCURACY, LOSS, make_run, record, two_goals

FAILED, PRUNED, CANCELLED = TrialState.FAILED, TrialState.PRUNED, TrialState.CANCELLED


def repeated(values: Sequence[Sequence[float | TrialState]]) -> list[Record]:
    """Records of sets of params, each with as many trials: a value, or the state without one."""
    made = []
    for place, own in enumerate(values):
        for repeat, value in enumerate(own):
            state = value if isinstance(value, TrialState) else TrialState.COMPLETE
            number = place * len(own) + repeat
            made.append(
                record(
                    number,
                    None if isinstance(value, TrialState) else value,
                    state=state,
                    params={"lr": place / 100},
                    repeat=repeat,
                )
            )
    return made


def board_of(values: Sequence[Sequence[float | TrialState]], **more: Any) -> Leaderboard:
    return Leaderboard.build(repeated(values), [ACCURACY], repeats=len(values[0]), **more)


def test_a_set_of_params_is_one_row_with_mean_and_spread() -> None:
    board = board_of([(0.5, 0.7, 0.9), (0.81, 0.8, 0.82)])
    best, second = board.rows
    assert best is board.best
    assert ({"lr": 0.01}, {"lr": 0.0}) == (best.params, second.params)
    assert best.objective == pytest.approx(0.81)
    assert best.metrics == {"accuracy": pytest.approx(0.81)}
    assert best.repeats_json() == {
        "complete": 3,
        "failed": 0,
        "of": 3,
        "trials": [3, 4, 5],
        "objective_std": pytest.approx(statistics.stdev([0.81, 0.8, 0.82])),
        "metric_stds": {"accuracy": pytest.approx(0.01)},
    }
    assert best.number == 5, "of its trials the best one"
    assert board.counts == {"COMPLETE": 6}
    assert [row.number for row in board.trials] == list(range(6))


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ([(0.9, FAILED), (0.1, 0.1)], [1, 0]),
        ([(0.9, PRUNED), (0.1, 0.1)], [1, 0]),
        ([(0.9, CANCELLED), (FAILED, FAILED), (0.91, FAILED)], [2, 0, 1]),
        ([(0.1, 0.3), (0.2, 0.2)], [0, 1]),
    ],
    ids=["failed", "pruned", "none-whole", "tie"],
)
def test_the_more_of_its_trials_are_complete_the_higher_it_stands(
    values: Sequence[Sequence[Any]], order: list[int]
) -> None:
    rows = board_of(values).rows
    assert [round(row.params["lr"] * 100) for row in rows] == order


def test_what_failed_is_counted_and_said() -> None:
    board = board_of([(0.9, FAILED, FAILED), (FAILED, FAILED, FAILED)])
    some, none = board.rows
    assert (some.state, some.objective, some.repeats_json()["failed"]) == ("COMPLETE", 0.9, 2)
    assert some.reason == "2 of 3 failed: it broke"
    assert some.repeats_json()["objective_std"] is None
    assert (none.state, none.objective, none.ranked) == ("FAILED", None, False)
    assert none.repeats_json()["complete"] == 0


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([TrialState.COMPLETE, TrialState.RUNNING], "RUNNING"),
        ([TrialState.COMPLETE, TrialState.WAITING], "RUNNING"),
        ([TrialState.WAITING, TrialState.WAITING], "WAITING"),
        ([TrialState.COMPLETE], "RUNNING"),
        ([TrialState.PRUNED, TrialState.CANCELLED], "PRUNED"),
        ([TrialState.FAILED, TrialState.PRUNED], "FAILED"),
    ],
)
def test_a_row_runs_until_all_its_trials_have_ended(states: list[TrialState], expected) -> None:
    records = [record(n, 0.5, state=s, repeat=n, params={}) for n, s in enumerate(states)]
    assert [expected] == [r.state for r in Leaderboard.build(records, [ACCURACY], repeats=2).rows]


def test_only_what_is_complete_with_a_number_counts_in_a_mean() -> None:
    values = [0.5, math.nan, None, 0.7]
    records = [
        record(n, 0.1, objective=v, metrics={"accuracy": v, "size": n}, repeat=n, params={})
        for n, v in enumerate(values)
    ]
    (row,) = Leaderboard.build(records, [ACCURACY], repeats=4).rows
    assert row.objective == pytest.approx(0.6)
    assert row.metrics == {"accuracy": pytest.approx(0.6), "size": 1.5}
    assert row.repeats is not None
    assert row.repeats.text == "2/4"


def test_trials_of_an_earlier_plan_are_not_mixed_in() -> None:
    old = record(1, 0.99, params={"lr": 7}, repeat=1)
    board = Leaderboard.build([record(0, 0.5, params={"lr": 1}), old], [ACCURACY], repeats=2)
    assert [{"lr": 7}, {"lr": 1}] == [row.params for row in board.rows]


def test_single_trials_are_ranked_where_asked_for() -> None:
    board = Leaderboard.build(repeated([(0.1, 0.9), (0.6, 0.7)]), [ACCURACY])
    assert [1, 3, 2, 0] == [row.number for row in board.rows]
    assert not board.has_repeats


def test_the_pareto_front_is_of_means_and_of_whole_sets() -> None:
    points = [(0.9, 0.9), (0.7, 0.9), (0.1, 0.1), (0.3, 0.1), (0.99, 0.01)]
    records = []
    for number, (accuracy, loss) in enumerate(points):
        one = two_goals(number, accuracy, loss)
        records.append(
            Record(**{**_fields(one), "repeat": number % 2, "params": {"a": number // 2}})
        )
    board = Leaderboard.build(records, [ACCURACY, LOSS], repeats=2)
    assert [{"a": 0}, {"a": 1}] == [row.params for row in board.pareto]
    assert [0, 1, 2] == [row.params["a"] for row in board.rows]


def _fields(one: Record) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


@pytest.fixture
def run(tmp_path: Path):
    ledger, manifest = make_run(
        tmp_path,
        repeated([(0.9, FAILED, 0.7), (0.8, 0.81, 0.82)]),
        objective={"metric": "accuracy", "direction": "maximize"},
    )
    manifest.spec["search"] = {"kind": "list", "items": [{"lr": 0}, {"lr": 1}], "repeats": 3}
    ledger.replace_manifest(manifest)
    return ledger, manifest


def test_all_that_is_published_says_the_same(run) -> None:
    ledger, manifest = run
    summary = publish(ledger, manifest)
    best = summary["best"]
    assert (best["number"], best["params"]) == (5, {"lr": 0.01})
    assert best["metrics"] == {"accuracy": pytest.approx(0.81)}
    assert (best["repeats"]["complete"], best["repeats"]["of"]) == (3, 3)
    assert best["record_uri"].endswith("/trials/5.json")
    first, second = csv.DictReader(io.StringIO(ledger.read_file("leaderboard.csv").decode()))
    assert float(first["objective"]) == best["metrics"]["accuracy"]
    assert float(first["std.objective"]) == best["repeats"]["objective_std"]
    assert (second["repeats.complete"], second["repeats.failed"], second["repeats.of"]) == tuple(
        "213"
    )
    assert float(first["std.metrics.accuracy"]) == pytest.approx(0.01)
    page = ledger.read_file("report.html").decode()
    assert "± 0.01, n = 3/3" in page
    assert "<td>2/3</td>" in page
    assert len(second) == len(read_leaderboard(ledger, manifest).columns)


def test_a_run_is_loaded_with_its_means_and_its_single_records(run) -> None:
    ledger, _ = run
    loaded = load(ledger.run_uri)
    assert len(loaded.records) == 6
    assert loaded.best is not None
    assert loaded.best.number == 5
    assert len(loaded.leaderboard.rows) == 2


def test_each_gives_single_trials(run) -> None:
    ledger, manifest = run
    board = read_leaderboard(ledger, manifest, each=True)
    assert len(board.rows) == 6
    assert build_summary(ledger, manifest, board)["best"]["number"] == 0


def test_a_table_has_as_many_cells_as_columns(run) -> None:
    ledger, manifest = run
    board = read_leaderboard(ledger, manifest)
    assert all(len(values) == len(board.columns) for values in board.table())


@pytest.mark.parametrize(
    ("values", "expected", "spread"),
    [
        ([], None, None),
        ([1.0], 1.0, None),
        ([1e308, 1e308], 1e308, 0.0),
        ([0.95] * 5, 0.95, 0.0),
        ([0.764] * 3, 0.764, 0.0),
        ([0.847] * 5, 0.847, 0.0),
        ([1e200, -1e200], 0.0, None),
    ],
)
def test_mean_and_spread_of_odd_values(values: list[float], expected, spread) -> None:
    assert (mean(values), deviation(values)) == (expected, spread)
