from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from podmap.records import TrialState
from podmap.report import figures, svg
from podmap.report.figures import HISTORY_POINTS, SCATTER_POINTS, make_axis, within_reach
from podmap.report.leaderboard import Leaderboard
from podmap.report.svg import tick_label
from podmap.report.words import duration_text, reason_pattern, shard_texts, spec_text

from .made_runs import ACCURACY, LOSS, record, two_goals


def board_of(*records) -> Leaderboard:
    return Leaderboard.build(records, [ACCURACY])


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("maximize", [(0, 0.5), (2, 0.7), (5, 0.9)]), ("minimize", [(0, 0.5), (1, 0.4)])],
)
def test_history_has_all_values_and_each_record(direction: str, expected) -> None:
    values = {0: 0.5, 1: 0.4, 2: 0.7, 4: 0.6, 5: 0.9}
    goal = ACCURACY.model_copy(update={"direction": direction})
    records = [record(n, v) for n, v in values.items()]
    board = Leaderboard.build([*records, record(3)], [goal])
    info = figures.get_history_info(board)
    assert info is not None
    assert {dot.number: dot.y for dot in info.dots} == values
    assert list(info.best) == expected
    assert [dot.number for dot in info.dots if dot.mark] == [expected[-1][0]]
    assert info.misses == ((3, TrialState.FAILED),)


def test_history_of_many_trials_is_thinned_but_keeps_the_records() -> None:
    draw = random.Random(0)
    board = board_of(*(record(n, draw.random()) for n in range(5000)), record(5000, 2.0))
    info = figures.get_history_info(board)
    assert info is not None
    assert len(info.dots) <= HISTORY_POINTS + len(info.best)
    assert info.total == 5001
    shown = {dot.number for dot in info.dots}
    assert {number for number, _ in info.best} <= shown
    assert 5000 in shown


def test_without_values_there_are_no_figures() -> None:
    for board in (board_of(), board_of(record(0), record(1))):
        assert figures.get_history_info(board) is None
        assert figures.get_scatter_infos(board) == []
        assert figures.get_pareto_info(board) is None


def test_scatters_come_by_what_they_explain_and_leave_constants_out() -> None:
    draw = random.Random(0)
    records = []
    for number in range(80):
        lr = 10 ** draw.uniform(-4, 0)
        params = {
            "same": 1,
            "noise": draw.random(),
            "lr": lr,
            "kernel": draw.choice(["a", "b"]),
            "free text": f"t{number}",
        }
        value = -((math.log10(lr) + 2) ** 2) + (0.2 if params["kernel"] == "a" else 0)
        records.append(record(number, value, params=params))
    infos = figures.get_scatter_infos(board_of(*records))
    assert infos[0].x_name == "lr"
    assert {info.x_name for info in infos} == {"lr", "kernel", "noise"}
    by_name = {info.x_name: info for info in infos}
    assert by_name["lr"].x.log
    assert by_name["kernel"].categories == ("a", "b")
    assert by_name["lr"].strength > 0.8 > 0.2 > by_name["noise"].strength


def test_scatter_of_many_trials_keeps_the_best() -> None:
    board = board_of(*(record(n, n % 977 / 1000) for n in range(3000)), record(3000, 5.0))
    for info in figures.get_scatter_infos(board):
        assert len(info.dots) == SCATTER_POINTS + 1
        assert [dot.number for dot in info.dots if dot.mark] == [3000]


@pytest.mark.parametrize(
    "value", [True, None, [1, 2], {"a": 1}, "x", 10**400, -(10**400), math.nan], ids=repr
)
def test_params_of_any_type_are_drawn_or_left_out(value: object) -> None:
    records = [record(n, n / 10, params={"p": value if n % 2 else 1}) for n in range(6)]
    for info in figures.get_scatter_infos(board_of(*records)):
        assert svg.scatter_svg(info).startswith("<svg ")


def test_pareto_marks_the_front() -> None:
    records = [two_goals(0, 0.5, 0.5), two_goals(1, 0.9, 0.9), two_goals(2, 0.4, 0.6)]
    info = figures.get_pareto_info(Leaderboard.build(records, [ACCURACY, LOSS]))
    assert info is not None
    assert {dot.number for dot in info.dots if dot.mark} == {0, 1}
    assert "polyline" in svg.scatter_svg(info, wide=True)


def test_drawn_text_is_escaped() -> None:
    name = '<script>"&'
    records = [record(n, n / 10, params={name: f"{name}{n % 2}"}) for n in range(4)]
    for info in figures.get_scatter_infos(board_of(*records)):
        assert "<script" not in svg.scatter_svg(info)


FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(values=st.lists(FINITE, max_size=20), whole=st.booleans())
@example(values=[1.0, 2.5e296], whole=False)
def test_axis_holds_all_its_values(values: list[float], whole: bool) -> None:
    axis = make_axis(values, whole=whole)
    assert axis.low < axis.high
    assert all(0 <= axis.place(value) <= 1 for value in values)
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert len(axis.ticks) <= 12
    assert all(tick_label(tick) for tick in axis.ticks)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 10], (0, 2, 4, 6, 8, 10)),
        ([0.71, 0.98], (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
        ([0.001, 10], (0.001, 0.01, 0.1, 1.0, 10.0)),
    ],
    ids=["linear", "narrow", "log"],
)
def test_ticks_are_round(values: list[float], expected: tuple[float, ...]) -> None:
    assert make_axis(values).ticks == pytest.approx(expected)


def test_far_outliers_on_the_worse_side_do_not_flatten_the_rest() -> None:
    values = [0.8 + n / 1000 for n in range(100)]
    low, high = within_reach([*values, -1e6], maximize=True)
    assert low > 0.6
    assert high == max(values)
    assert within_reach([*values, 1e6], maximize=True)[1] == 1e6
    assert within_reach([*values, 1e6], maximize=False)[1] < 1.2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.05, "0.05"), (1e-5, "1e-5"), (250000, "250000"), (1e7, "1e7"), (-2.5, "-2.5")],
)
def test_labels_are_short(value: float, text: str) -> None:
    assert tick_label(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12 ms"),
        (0.9999, "1.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1m 00s"),
        (3599.7, "1h 00m"),
        (90000, "25h 00m"),
        (200000, "2d 07h"),
        (None, "–"),  # noqa: RUF001 - the sign for nothing
    ],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


def test_reasons_that_differ_in_numbers_are_one_pattern() -> None:
    reasons = ["trial 3: lr=0.25 at 0x7f2a", "trial 14: lr=2 at 0xffff"]
    assert len({reason_pattern(reason) for reason in reasons}) == 1


def test_spec_hides_values_of_the_environment() -> None:
    spec = {"trial": {"env": {"TOKEN": "s3cret"}, "cases": [{"env": {"A": {"secret": "s"}}}]}}
    text = spec_text(spec)
    assert "s3cret" not in text
    assert '"TOKEN": "…"' in text


def test_reasons_with_other_exit_codes_are_not_the_same() -> None:
    reasons = [
        f"user_exit: ended with exit code {code}: step {code}" for code in (1, 2, 3, 13, 137)
    ]
    assert len(set(map(reason_pattern, reasons))) == len(reasons)


@pytest.mark.parametrize(
    ("uris", "texts"),
    [
        ([], []),
        (["/data/a.csv"], ["a.csv"]),
        (["s3://b/day=1/", "s3://b/day=2/"], ["day=1", "day=2"]),
        (["/d/day=1/part.csv", "/d/day=2/part.csv"], ["day=1/part.csv", "day=2/part.csv"]),
        (["/data/a", "/data/a/b"], ["a", "a/b"]),
        (["/a", "file:///b"], ["/a", "file:///b"]),
    ],
    ids=["none", "one", "folders", "same names", "nested", "nothing in common"],
)
def test_shard_texts(uris: list[str], texts: list[str]) -> None:
    assert list(shard_texts(uris).values()) == texts
