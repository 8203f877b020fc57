"""How long a sweep takes that is played: slots, starts, failures."""

from __future__ import annotations

import random
from typing import Any

import pytest

from podmap.forecast.makespan import Play, play_sweep


def fixed(seconds: float) -> Any:
    return lambda number, rng: seconds


def course(count: int, at_once: int, took: Any = None, **more: Any) -> Any:
    took = took or fixed(10.0)
    return play_sweep(Play(count, at_once, took, more.pop("failed", took), **more))


@pytest.mark.parametrize(
    ("count", "at_once", "makespan_s"),
    [(1, 1, 10), (4, 2, 20), (5, 2, 30), (3, 8, 10), (0, 4, 0)],
    ids=["one", "even", "odd", "all-at-once", "none"],
)
def test_slots_are_filled_as_soon_as_they_are_free(
    count: int, at_once: int, makespan_s: float
) -> None:
    found = course(count, at_once)
    assert (makespan_s, makespan_s, makespan_s) == (found.makespan_s, found.low_s, found.high_s)
    assert count == found.attempts
    assert [10.0] * count == list(found.busy_s)


def test_a_long_trial_at_the_end_is_waited_for() -> None:
    found = course(3, 2, lambda number, rng: 30.0 if number == 2 else 10.0)
    assert 40 == found.makespan_s
    assert [10.0, 10.0, 30.0] == list(found.busy_s)


def test_a_start_costs_each_slot_that_is_filled_again() -> None:
    assert 2 + 10 + 1 + 10 == course(4, 2, start_s=1.0, first_s=2.0).makespan_s


def test_what_fails_is_tried_again_as_often_as_it_may() -> None:
    found = course(100, 10, failing=0.5, retries=3, failed=fixed(1.0))
    # 1 + 1/2 + 1/4 + 1/8 attempts a trial.
    assert 187.5 == pytest.approx(found.attempts, rel=0.05)
    assert found.low_s < found.makespan_s < found.high_s


def test_without_retries_what_fails_is_over() -> None:
    assert 100 == course(100, 10, failing=0.5).attempts


def test_it_is_the_same_for_the_same_arguments() -> None:
    def took(number: int, rng: random.Random) -> float:
        return rng.uniform(1, 9)

    assert course(50, 4, took) == course(50, 4, took)


def test_a_large_sweep_is_played_less_often() -> None:
    played = []

    def took(number: int, rng: random.Random) -> float:
        played.append(number)
        return 1.0

    course(100_000, 100, took)
    assert 200_000 == len(played)
