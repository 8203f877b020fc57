"""The rules that end hopeless trials, as functions of what all have reported."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest

from podmap.records import Record, TrialState
from podmap.search.curves import MOST_POINTS, MOST_TABLES, Curves
from podmap.search.prune import make_curves, make_rule, rungs
from podmap.spec.load import load


def judge_all(
    prune: dict[str, Any],
    reports: Sequence[tuple[int, int, object]],
    *,
    direction: str = "maximize",
    complete: Sequence[int] = (),
) -> dict[int, str]:
    """The trials that a rule ends, with why, when these reports come in this order."""
    sweep = load(
        {
            "apiVersion": "podmap/v1",
            "name": "s",
            "search": {"kind": "random", "trials": 9, "params": {"x": {"low": 0.0, "high": 1.0}}},
            "objective": {"metric": "y", "direction": direction},
            "trial": {"command": ["true"]},
            "prune": prune,
        }
    ).sweep
    rule = make_rule(sweep)
    assert rule is not None
    curves = make_curves(sweep, rule)
    ended: dict[int, str] = {}
    for number, step, value in reports:
        before = curves.add(number, "e", step, curves.goodness(value))
        reason = "" if before is None else rule.judge(curves, number, before=before)
        if reason:
            ended.setdefault(number, reason)
        if number in complete and step == 9:
            curves.mark_complete(number, "e")
    return ended


def whole(number: int, value: object) -> list[tuple[int, int, object]]:
    return [(number, step, value) for step in range(1, 10)]


@pytest.mark.parametrize(
    ("max_steps", "factor", "count", "expected"),
    [
        (27, 3, 2, (3, 9)),
        (9, 3, 2, (1, 3)),
        (81, 3, 3, (3, 9, 27)),
        (100, 3, 2, (11, 33)),
        (100, 4, 2, (6, 25)),
        (5, 3, 2, (1, 2)),
        (2, 3, 2, (1,)),
        (27, 3, 20, (1, 3, 9)),
        (3, 2, 20, (1, 2)),
    ],
)
def test_rungs(max_steps: int, factor: int, count: int, expected: tuple[int, ...]) -> None:
    assert expected == rungs(max_steps, factor, count)


@pytest.mark.parametrize(
    ("before", "kept"), [(3, 1), (4, 2), (5, 2), (6, 2), (7, 3), (8, 3), (9, 3), (10, 4), (29, 10)]
)
def test_asha_keeps_the_best_third_at_a_rung_rounded(before: int, kept: int) -> None:
    """A trial comes to the rung after so many: it stays if it is among the best `kept`."""
    for better in range(before + 1):
        said = [(n, 1, float(n < better)) for n in range(before)] + [(99, 1, 0.5)]
        ended = judge_all({"kind": "asha", "max_steps": 9}, said)
        assert (better >= kept) == (99 in ended), better


def test_asha_ends_none_before_enough_have_come() -> None:
    said = [(n, 1, -n) for n in range(3)]
    assert {} == judge_all({"max_steps": 9}, said)
    assert {3} == set(judge_all({"max_steps": 9}, [*said, (3, 1, -3)]))
    assert {} == judge_all({"max_steps": 9, "least_trials": 5}, [*said, (3, 1, -3)])


def test_asha_goes_by_the_best_so_far_and_looks_once_at_a_rung() -> None:
    good = [(n, step, 1.0) for n in range(6) for step in (1, 2, 3)]
    assert {} == judge_all({"max_steps": 27}, [*good, (9, 1, 1.0), (9, 2, 0.0), (9, 3, 0.0)])
    # Between the rungs, at 3 and 9, and after them nothing is ended.
    late = [(9, 1, 1.0), (9, 3, 0.0), (9, 4, 0.0), (9, 8, 0.0)]
    assert {} == judge_all({"max_steps": 27}, [*good, *late])


def test_asha_looks_at_rungs_that_are_passed_in_one_step() -> None:
    good = [(n, step, 1.0) for n in range(6) for step in (1, 3, 5)]
    ended = judge_all({"max_steps": 27}, [*good, (9, 1, 0.1), (9, 20, 0.9)])
    assert "by step 3 its best y was 0.1" in ended[9]


def test_equal_values_are_never_ended() -> None:
    said = [(n, step, 0.5) for step in range(1, 10) for n in range(20)]
    for kind in ("asha", "hyperband"):
        assert {} == judge_all({"kind": kind, "max_steps": 9}, said)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "x", True, 10**400])
def test_what_is_no_finite_number_is_the_worst(value: object) -> None:
    said = [(n, 1, -(10**9)) for n in range(6)]
    assert {9} == set(judge_all({"max_steps": 9}, [*said, (9, 1, value)]))
    assert {} == judge_all({"max_steps": 9}, [(n, 1, value) for n in range(9)])


def test_median_compares_with_complete_trials_only() -> None:
    good = list(itertools.chain.from_iterable(whole(n, float(n)) for n in range(5)))
    bad = [(9, 1, 1.0), (9, 2, 1.5)]
    assert {} == judge_all({"kind": "median"}, [*good, *bad])
    assert {9} == set(judge_all({"kind": "median"}, [*good, *bad], complete=range(5)))
    assert {} == judge_all({"kind": "median"}, [*good, (9, 1, 2.0)], complete=range(5))
    warm = {"kind": "median", "warmup_steps": 2}
    assert {} == judge_all(warm, [*good, *bad], complete=range(5))
    assert {9} == set(judge_all(warm, [*good, *bad, (9, 3, 0.0)], complete=range(5)))


def test_hyperband_gives_trials_in_turns_later_first_rungs() -> None:
    good = [(n, step, 1.0) for n in range(100, 106) for step in (1, 3, 9)]
    at = {}
    for number in range(3):
        said = [(number, step, 0.0) for step in range(1, 27)]
        (reason,) = judge_all({"kind": "hyperband", "max_steps": 27}, [*good, *said]).values()
        at[number] = reason.split(" its")[0]
    expected = ("hyperband: by step 1", "hyperband: by step 3", "hyperband: by step 9")
    assert expected == tuple(at.values())


def test_threshold_ends_what_leaves_the_bounds() -> None:
    bounds = {"kind": "threshold", "lower": 0.2, "upper": 0.8, "warmup_steps": 1}
    said = [(1, 1, 5.0), (1, 2, 0.8), (2, 2, 0.81), (3, 2, 0.1), (4, 2, math.nan), (5, 2, 0.2)]
    for direction in ("maximize", "minimize"):
        assert {2, 3, 4} == set(judge_all(bounds, said, direction=direction))


def test_patience_ends_what_gets_no_better() -> None:
    rule = {"kind": "patience", "patience": 3, "min_delta": 0.1}
    slow = [(1, step, step * 0.04) for step in range(1, 40)]
    assert {} == judge_all(rule, slow)  # by little, but in three steps by more than 0.1
    rest = [(1, 1, 1.0), (1, 2, 1.05), (1, 3, 1.1), (1, 4, 0.0)]
    assert {1} == set(judge_all(rule, rest))
    assert {} == judge_all(rule, rest[:3])
    assert {1} == set(judge_all(rule, [(1, s, -v) for _, s, v in rest], direction="minimize"))


@pytest.mark.parametrize("kind", ["asha", "median", "hyperband", "patience"])
def test_reports_that_are_told_again_or_go_back_change_nothing(kind: str) -> None:
    more = {"patience": {"patience": 2}, "median": {}}.get(kind, {"max_steps": 9})
    said = [(n, step, (n * step) % 5) for step in range(1, 10) for n in range(12)]
    again = [each for number, each in enumerate(said) for each in (each, said[number // 2])]
    once = judge_all({"kind": kind, **more}, said, complete=range(6))
    assert once == judge_all({"kind": kind, **more}, again, complete=range(6))
    assert once


def test_standings_are_those_of_all_curves_however_they_came() -> None:
    """The tables that are kept up to date are the same as those made anew."""
    draw = random.Random(7)
    for only_complete in (False, True):
        curves = Curves(metric="y", maximize=True, only_complete=only_complete)
        for _ in range(2000):
            number, step = draw.randrange(30), draw.randrange(40)
            curves.standings(draw.randrange(0, 40, 5))
            curves.add(number, f"e{draw.randrange(2)}", step, draw.random())
            if draw.random() < 0.02:
                curves.mark_complete(number, curves.curve(number).epoch)
        for step in range(0, 40, 5):
            assert sorted(curves._bests_by(step)) == curves.standings(step)


def test_curves_of_records_are_those_of_the_reports() -> None:
    reports = ((1, {"y": 0.5, "z": 3}), (2, {"z": 4}), (3, {"y": None}), (4, {"y": 0.75}))
    curves = Curves(metric="y", maximize=False, only_complete=True)
    record = Record(2, "k", "e", TrialState.COMPLETE, reports=reports)
    for _ in range(2):
        curves.count_record(record)
    curve = curves.curve(2)
    assert (1, 4, -0.5) == (curves.complete, curve.last_step, curve.best)
    assert [-0.5] == curves.standings(3)


def test_a_million_steps_take_bounded_memory() -> None:
    curves = Curves(metric="y", maximize=True)
    rule_steps = []
    for step in range(100_000):
        curves.add(1, "e", step, float(step))
        if step % 50 == 0:
            rule_steps.append(len(curves.standings(step)))
    assert len(curves.curve(1).points()) <= MOST_POINTS + 1
    assert len(curves._tables) <= MOST_TABLES
    assert {1} == set(rule_steps)
    assert 99_999 == curves.curve(1).best
