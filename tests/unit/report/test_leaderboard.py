from __future__ import annotations

import csv
import io
import json
import math
import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.ledger import encode
from podmap.records import Attempt, Shard, TrialState
from podmap.report.leaderboard import Leaderboard, pareto_front
from podmap.report.rows import REASON_LENGTH

from .made_runs import ACCURACY, LOSS, record, two_goals


def numbers(board: Leaderboard) -> list[int]:
    return [row.number for row in board.rows]


@pytest.mark.parametrize(
    ("objective", "expected"), [(ACCURACY, [2, 0, 3, 1]), (LOSS, [1, 0, 3, 2])], ids=["max", "min"]
)
def test_rows_are_sorted_best_first_ties_by_number(objective, expected) -> None:
    values = {3: 0.5, 1: 0.1, 2: 0.9, 0: 0.5}
    records = [record(n, v, metrics={objective.metric: v}, objective=v) for n, v in values.items()]
    board = Leaderboard.build(records, [objective])
    assert numbers(board) == expected
    assert board.best is board.rows[0]
    assert board.pareto == ()


def test_trials_without_a_value_follow_by_number() -> None:
    records = [
        record(5),
        record(4, 0.9, state=TrialState.PRUNED),
        record(3, 0.99, state=TrialState.RUNNING),
        record(2, 0.2),
        record(1, 0.3),
        record(0, None, state=TrialState.WAITING),
    ]
    board = Leaderboard.build(records, [ACCURACY])
    assert numbers(board) == [1, 2, 0, 3, 4, 5]
    expected = {"FAILED": 1, "PRUNED": 1, "RUNNING": 1, "COMPLETE": 2, "WAITING": 1}
    assert board.counts == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, None], ids=str)
@pytest.mark.parametrize("objective", [ACCURACY, LOSS], ids=["max", "min"])
def test_what_is_no_number_is_never_best(value: float | None, objective) -> None:
    bad = record(0, 0.5, metrics={objective.metric: value}, objective=value)
    good = record(1, 0.1, metrics={objective.metric: 0.1}, objective=0.1)
    board = Leaderboard.build([bad, good], [objective])
    assert board.best is not None
    assert (board.best.number, numbers(board)) == (1, [1, 0])


def test_without_any_value_there_is_no_best() -> None:
    for records in ([], [record(0), record(1)]):
        board = Leaderboard.build(records, [ACCURACY])
        assert (board.best, board.pareto) == (None, ())


def test_without_an_objective_rows_are_by_number() -> None:
    records = [record(2, 0.1, objective=None), record(0), record(1, 0.9, objective=None)]
    board = Leaderboard.build(records, [])
    assert (numbers(board), board.best) == ([0, 1, 2], None)
    assert "objective" not in board.columns


def test_several_objectives_have_a_front_and_no_best() -> None:
    records = [
        two_goals(0, 0.5, 0.5),
        two_goals(1, 0.9, 0.9),
        two_goals(2, 0.9, 0.8),
        two_goals(3, 0.1, 0.1),
        two_goals(4, 0.4, 0.6),
        record(5),
        record(6, 0.99, metrics={"accuracy": 0.99, "loss": None}, objective=None),
    ]
    board = Leaderboard.build(records, [ACCURACY, LOSS])
    assert [row.number for row in board.pareto] == [2, 0, 3]
    assert numbers(board) == [2, 0, 3, 1, 4, 5, 6]
    assert board.best is None


@given(
    points=st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=30).map(sorted),
)
def test_front_is_what_nothing_beats(points: list[tuple[int, ...]]) -> None:
    def beats(one, other) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    expected = [
        place
        for place, point in enumerate(points)
        if not any(beats(other, point) for other in points)
    ]
    assert pareto_front(points) == expected


def test_columns_are_the_union_and_missing_values_are_empty() -> None:
    records = [
        record(0, 0.5, params={"lr": 0.1, "depth": 3}),
        record(1, 0.9, params={"kernel": "rbf"}, metrics={"accuracy": 0.9, "lr": 1.0}),
    ]
    board = Leaderboard.build(records, [ACCURACY])
    rows = list(csv.DictReader(io.StringIO(board.to_csv().decode())))
    expected = [
        "number",
        "state",
        "objective",
        "params.lr",
        "params.depth",
        "params.kernel",
        "metrics.accuracy",
        "metrics.lr",
        "duration_s",
        "attempts",
        "reason",
    ]
    assert list(rows[0]) == expected
    assert (rows[0]["params.kernel"], rows[0]["params.lr"]) == ("rbf", "")
    assert (rows[1]["params.depth"], rows[1]["objective"]) == ("3", "0.5")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\nx"),
        (" =1+1", "' =1+1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\uff20x", "'\uff20x"),
        ("\n=1", "'\n'=1"),
        ("a;=1+1", "a;'=1+1"),
        ("a;\t=1+1", "a;\t'=1+1"),
        ('a;"@x"', 'a;"\'@x"'),
        ("a\t+x\n-y", "a\t'+x\n'-y"),
        ("\x1b\u200b=1", "'\x1b\u200b=1"),
        ("\ufe66x", "'\ufe66x"),
        ("a; b-c=d", "a; b-c=d"),
        ("x=1", "x=1"),
        (-1, "-1"),
        (-1e-7, "-1e-07"),
        (True, "true"),
        (None, ""),
        (["a", 1], '["a", 1]'),
        ('a "b",\nc', 'a "b",\nc'),
        ("\udc80", "?"),
    ],
    ids=repr,
)
def test_cell_is_no_formula_and_survives(value: object, cell: str) -> None:
    board = Leaderboard.build([record(0, 0.5, params={"p": value})], [ACCURACY])
    rows = list(csv.reader(io.StringIO(board.to_csv().decode(), newline="")))
    assert rows[1][rows[0].index("params.p")] == cell


def test_json_has_rows_best_and_counts() -> None:
    attempts = (Attempt(1, "p"), Attempt(2, "p"))
    board = Leaderboard.build([record(0), record(1, 0.9, attempts=attempts)], [ACCURACY])
    data = json.loads(json.dumps(board.to_json()))
    assert (data["best"], data["counts"]) == (1, {"FAILED": 1, "COMPLETE": 1})
    assert data["objectives"] == [{"metric": "accuracy", "direction": "maximize"}]
    assert data["rows"][0] == {
        "number": 1,
        "state": "COMPLETE",
        "objective": 0.9,
        "params": {"lr": 0.01, "kernel": "rbf"},
        "metrics": {"accuracy": 0.9},
        "duration_s": 60.0,
        "attempts": 2,
        "reason": "",
    }


def test_long_reasons_become_one_short_line() -> None:
    board = Leaderboard.build([record(0, reason="a\n  b" + "c" * 10_000)], [ACCURACY])
    assert board.rows[0].reason.startswith("a bccc")
    assert len(board.rows[0].reason) == REASON_LENGTH


def test_times_span_all_trials() -> None:
    board = Leaderboard.build([record(7, 0.1), record(3, 0.2), record(9, 0.3)], [ACCURACY])
    expected = ("2026-01-01T00:00:03.000Z", "2026-01-01T00:01:09.000Z")
    assert (board.started, board.finished) == expected


def test_a_row_takes_little_memory() -> None:
    draw = random.Random(0)

    def records():
        for number in range(3000):
            kernel = draw.choice(["linear", "rbf"])
            value = draw.random()
            params = {"lr": draw.random(), "depth": 3, "kernel": kernel, "epochs": 10}
            made = record(number, value, params=params, metrics={"accuracy": value, "loss": 1.5})
            yield encode.parse_record(encode.dump_record(made), uri="x")

    tracemalloc.start()
    try:
        board = Leaderboard.build(records(), [ACCURACY])
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(board.rows) == 3000
    assert kept / 3000 < 750


def test_shards_have_a_column() -> None:
    shards = [Shard(f"/data/day={day}/", f"day={day}", day) for day in (0, 1)]
    board = Leaderboard.build(
        [*(record(n, shard=shard) for n, shard in enumerate(shards)), record(2)], []
    )
    assert [row.shard for row in board.rows] == ["/data/day=0/", "/data/day=1/", ""]
    assert board.columns[:3] == ("number", "state", "shard")
    assert [values[2] for values in board.table()] == ["/data/day=0/", "/data/day=1/", None]
    assert [row.to_json().get("shard") for row in board.rows[1:]] == ["/data/day=1/", None]


def test_a_pause_between_attempts_does_not_count_as_time_of_the_trial() -> None:
    def attempt(number: int, start: str, end: str | None) -> Attempt:
        day = "2026-01-01T"
        return Attempt(number, "p", started=f"{day}{start}Z", finished=end and f"{day}{end}Z")

    first = attempt(1, "00:00:00.000", "00:00:10.000")
    second = attempt(2, "05:00:00.000", "05:00:05.500")
    records = [
        record(0, 0.5, attempts=(first, second), duration_s=18005.5),
        record(1, 0.4, attempts=(first,), duration_s=60.0),
        record(2, 0.3, attempts=(attempt(1, "00:00:00.000", None),) * 2, duration_s=7.0),
        record(3, 0.2, attempts=(first, second), duration_s=None),
    ]
    board = Leaderboard.build(records, [ACCURACY])
    assert [row.duration_s for row in board.rows] == [15.5, 60.0, 7.0, None]
