from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.errors import SpecError
from podmap.objective import TargetTally
from podmap.records import Record, TrialState
from podmap.spec.load import load
from podmap.spec.model import Objective

COMPLETE, FAILED, PRUNED = TrialState.COMPLETE, TrialState.FAILED, TrialState.PRUNED


def goal(target: float | None, direction: str = "maximize", metric: str = "y") -> Objective:
    return Objective.model_validate({"metric": metric, "direction": direction, "target": target})


def record(number: int, value: float | None, *, state=COMPLETE, repeats: int = 1, **more) -> Record:
    metrics = {"y": value, **more}
    at = f"2026-01-01T00:00:{number:02d}.000Z"
    return Record(number, "k", "e", state, metrics=metrics, repeat=number % repeats, finished=at)


def reached(records: list[Record], *goals: Objective, repeats: int = 1) -> str:
    tally = TargetTally(goals, repeats=repeats)
    for one in records:
        tally.count_record(one)
    return tally.reached.text if tally.reached else ""


@pytest.mark.parametrize(
    ("direction", "value", "expected"),
    [
        ("maximize", 0.95, True),
        ("maximize", 0.96, True),
        ("maximize", 0.9499, False),
        ("minimize", 0.95, True),
        ("minimize", 0.1, True),
        ("minimize", 0.951, False),
    ],
)
def test_a_target_is_reached_in_the_objectives_direction(direction, value, expected) -> None:
    assert bool(reached([record(3, value)], goal(0.95, direction))) is expected


@pytest.mark.parametrize("state", [s for s in TrialState if s is not COMPLETE])
def test_only_what_is_complete_counts(state: TrialState) -> None:
    assert reached([record(0, 1.0, state=state)], goal(0.5)) == ""


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_never_reaches_it(value) -> None:
    assert reached([record(0, value)], goal(0.5)) == ""
    assert reached([record(0, value)], goal(0.5, "minimize")) == ""


def test_without_a_target_nothing_is_reached() -> None:
    assert reached([record(0, 1.0)], goal(None)) == ""
    assert reached([record(0, 1.0)]) == ""


def test_of_several_objectives_one_trial_must_reach_all_that_have_one() -> None:
    goals = goal(0.9), goal(10, "minimize", "ms"), goal(None, metric="size")
    assert reached([record(0, 0.99, ms=11), record(1, 0.5, ms=1)], *goals) == ""
    text = reached([record(2, 0.99, ms=10)], *goals)
    assert text == (
        "trial 2 has reached the target: y 0.99 is at least 0.9, ms 10 is at most 10 "
        "(objective.target)"
    )


def test_with_repeats_the_mean_counts_once_all_are_complete() -> None:
    tally = TargetTally([goal(0.9)], repeats=3)
    for number, value in enumerate([0.99, 0.99]):
        tally.count_record(record(number, value, repeats=3))
        assert tally.reached is None
    tally.count_record(record(2, 0.6, repeats=3))
    assert tally.reached is None
    tally.count_record(record(2, 0.72, repeats=3))
    assert tally.reached is not None
    assert tally.reached.text == (
        "trials 0 to 2 have reached the target: their mean y 0.9 is at least 0.9 (objective.target)"
    )
    tally.count_record(record(1, None, state=FAILED, repeats=3))
    assert tally.reached is None


def test_a_trial_that_is_run_again_has_not_reached_it() -> None:
    tally = TargetTally([goal(0.9)])
    tally.count_record(record(4, 1.0))
    tally.count_record(record(2, 1.0))
    assert tally.reached is not None
    assert tally.reached.numbers == (2,), "the first in time"
    tally.forget_trial(2)
    assert tally.reached is not None
    assert tally.reached.numbers == (4,)
    tally.count_record(record(4, None, state=TrialState.RUNNING))
    assert tally.reached is None


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.1, 0.9, None]))), st.integers(0))
def test_it_is_the_same_in_any_order_and_told_twice(made, seed: int) -> None:
    found = list({n: record(n, v, repeats=3) for n, v in made}.values())
    shuffled = [*found, *found]
    random.Random(seed).shuffle(shuffled)
    assert reached(found, goal(0.5), repeats=3) == reached(shuffled, goal(0.5), repeats=3)


SPEC = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "search": {"kind": "grid", "params": {"x": [1]}},
    "trial": {"command": ["x"]},
}


@pytest.mark.parametrize("target", [float("nan"), float("inf"), "0.9", "high", True, [1], {}])
def test_a_target_is_a_finite_number(target) -> None:
    objective = {"metric": "y", "direction": "maximize", "target": target}
    with pytest.raises(SpecError, match=r"objective\.target"):
        load({**SPEC, "objective": objective})


def test_a_target_needs_its_objective() -> None:
    with pytest.raises(SpecError) as caught:
        load({**SPEC, "objective": {"target": 1}})
    assert "objective.metric: missing" in str(caught.value)
