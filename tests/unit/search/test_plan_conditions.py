"""Searches of params with conditions: each trial has those that exist, whoever makes it."""

from __future__ import annotations

import inspect
import itertools
import sys
from typing import Any

import pytest

from podmap.search.adaptive.choice import chosen_kind
from podmap.search.adaptive.samplers import make_sampler
from podmap.search.adaptive.space import Space
from podmap.search.grid import Grid
from podmap.search.random import RandomDraws
from podmap.spec.conditions import Conditions
from podmap.spec.search import AdaptiveSearch, ConditionalChoice, RandomSearch, Range
from podmap.spec.warnings import find_warnings
from podmap.testing.contracts import SamplerContract
from podmap.testing.contracts.sampler import MakeSampler

PARAMS: dict[str, Any] = {
    "c": [1, 2],
    "gamma": Range(low=1, high=3, when={"kernel": ["rbf", "poly"]}),
    "degree": Range(low=2, high=5, when={"kernel": "poly"}),
    "coef": ConditionalChoice(choices=[0, 1], when={"degree": [3, 4]}),
    "kernel": ["linear", "rbf", "poly"],
}


def expected_combinations() -> list[dict[str, Any]]:
    """All that differ, by trying every combination."""
    values = ([1, 2], [1, 2, 3], [2, 3, 4, 5], [0, 1], ["linear", "rbf", "poly"])
    found = []
    for each in itertools.product(*values):
        made = Conditions(PARAMS).applying(dict(zip(PARAMS, each, strict=True)))
        if made not in found:
            found.append(dict(made))
    return found


def test_a_grid_has_each_combination_that_differs_once() -> None:
    grid = Grid(PARAMS)
    made = [grid.ask(number) for number in range(grid.count)]
    expected = expected_combinations()
    assert 2 * (1 + 3 + 3 * (2 + 2 * 2)) == len(expected) == len(made)
    assert sorted(expected, key=str) == sorted(made, key=str)
    assert all([name for name in PARAMS if name in each] == list(each) for each in made)
    assert grid.distinct
    with pytest.raises(IndexError):
        grid.ask(grid.count)


def test_a_grid_of_a_chain_of_more_conditions_than_python_may_recurse() -> None:
    chain: dict[str, Any] = {"p0": [0, 1]}
    for number in range(1, 400):
        when = {f"p{number - 1}": 1}
        chain[f"p{number}"] = ConditionalChoice(choices=[0, 1], when=when)
    stack = inspect.stack(0)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(stack) + 200)
    try:
        grid = Grid(chain)
    finally:
        sys.setrecursionlimit(before)
    assert (401, 400) == (grid.count, len(grid.ask(400)))


def test_constraints_on_what_a_combination_lacks_do_not_hold_it_back() -> None:
    grid = Grid(PARAMS, constraints=["params.gamma * params.c <= 2", "params.coef == 1"])
    expected = [
        each
        for each in expected_combinations()
        if each.get("gamma", 0) * each["c"] <= 2 and each.get("coef", 1) == 1
    ]
    made = [grid.ask(number) for number in range(grid.count)]
    assert sorted(expected, key=str) == sorted(made, key=str)


def test_draws_are_those_that_there_are_without_conditions() -> None:
    plain = {
        name: one.choices if isinstance(one, ConditionalChoice) else one
        for name, one in PARAMS.items()
    }
    free = {
        name: Range(low=one.low, high=one.high) if isinstance(one, Range) else one
        for name, one in plain.items()
    }
    own, whole = RandomDraws(PARAMS, trials=60, seed=4), RandomDraws(free, trials=60, seed=4)
    for number in range(60):
        assert Conditions(PARAMS).applying(whole.ask(number)) == own.ask(number)
    assert any("coef" in own.ask(number) for number in range(60))


def test_params_to_be_tried_first_may_lack_some() -> None:
    first = [{"kernel": "linear", "c": 2}, {"kernel": "poly", "c": 1, "gamma": 2, "degree": 2}]
    draws = RandomDraws(PARAMS, trials=4, seed=4, try_first=first)
    assert [{"c": 2, "kernel": "linear"}, first[1]] == [draws.ask(0), draws.ask(1)]


def test_what_could_be_drawn_twice_is_counted_without_copies() -> None:
    from podmap.spec.model import Sweep

    data = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "random", "trials": 45, "params": {}},
        "objective": {"metric": "loss", "direction": "minimize"},
        "trial": {"command": ["true"]},
    }
    search = RandomSearch(kind="random", trials=45, params=PARAMS)
    sweep = Sweep.model_validate(data).model_copy(update={"search": search})
    (warning,) = find_warnings(sweep, data)
    assert warning.message.startswith("45 trials, and the params have 44 combinations")


SPACE = Space({**PARAMS, "lr": Range(low=0.1, high=1.0, when={"kernel": "rbf"}), "fixed": 3})


@pytest.mark.parametrize(
    ("point", "params"),
    [
        ({"c": 0, "kernel": 0}, {"c": 1, "kernel": "linear", "fixed": 3}),
        (
            {"c": 0, "gamma": 2, "kernel": 1, "lr": 0.5},
            {"c": 1, "gamma": 2, "kernel": "rbf", "lr": 0.5, "fixed": 3},
        ),
        (
            {"c": 1, "gamma": 1, "degree": 4, "coef": 0, "kernel": 2},
            {"c": 2, "gamma": 1, "degree": 4, "coef": 0, "kernel": "poly", "fixed": 3},
        ),
    ],
)
def test_a_point_has_the_axes_that_exist(point: dict[str, float], params: dict[str, Any]) -> None:
    assert params == SPACE.outer(point) == SPACE.outer({"gamma": 1, "degree": 2, "lr": 0.2} | point)
    assert point == SPACE.inner(params) == SPACE.existing({"degree": 9, "lr": 0.2} | point)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"c": 1, "kernel": "linear", "gamma": 2, "fixed": 3}, "gamma: the params are others"),
        ({"c": 1, "kernel": "rbf", "gamma": 2, "fixed": 3}, "lr: missing"),
        ({"c": 1, "kernel": "linear", "degree": 3, "coef": 1, "fixed": 3}, "the params are others"),
    ],
)
def test_params_with_what_cannot_exist_are_none_of_the_space(
    params: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        SPACE.inner(params)


@pytest.mark.parametrize("objectives", [1, 2])
def test_auto_is_tpe(objectives: int) -> None:
    search = AdaptiveSearch(kind="auto", trials=9, params=PARAMS)
    expected = ("tpe", "some trials alone have gamma, degree, coef (`when:`)")
    assert expected == chosen_kind(search, objectives)


class _Conditional(SamplerContract):
    @pytest.fixture
    def space(self) -> Space:
        return SPACE


class TestTpeWithConditions(_Conditional):
    @pytest.fixture
    def make(self) -> MakeSampler:
        return lambda setting: make_sampler("tpe", setting)


class TestSobolWithConditions(_Conditional):
    @pytest.fixture
    def make(self) -> MakeSampler:
        return lambda setting: make_sampler("qmc", setting)
