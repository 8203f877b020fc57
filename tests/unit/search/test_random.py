from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from podmap.search.base import Search
from podmap.search.random import RandomDraws
from podmap.spec.search import Params, Range
from podmap.testing.contracts import SearchContract

PARAMS: Params = {
    "lr": Range(low=1e-4, high=1e-1, log=True),
    "momentum": Range(low=0.0, high=1.0),
    "dropout": Range(low=0.0, high=0.5, step=0.1),
    "depth": Range(low=2, high=10, step=2),
    "width": Range(low=1, high=4096, log=True),
    "layers": Range(low=1, high=12),
    "kernel": ["linear", "rbf"],
    "epochs": 10,
}
GOLDEN: dict[int, dict[str, Any]] = {
    0: {
        "lr": 0.00031739002349104675,
        "momentum": 0.856489215678452,
        "dropout": 0.3,
        "depth": 6,
        "width": 2,
        "layers": 5,
        "kernel": "rbf",
        "epochs": 10,
    },
    1: {
        "lr": 0.0005651790218071977,
        "momentum": 0.8247634475388277,
        "dropout": 0.3,
        "depth": 4,
        "width": 633,
        "layers": 6,
        "kernel": "rbf",
        "epochs": 10,
    },
    2: {
        "lr": 0.08141450381527258,
        "momentum": 0.004232268725904098,
        "dropout": 0.2,
        "depth": 6,
        "width": 1,
        "layers": 10,
        "kernel": "linear",
        "epochs": 10,
    },
    999999: {
        "lr": 0.000400609135502973,
        "momentum": 0.4867028823884805,
        "dropout": 0.2,
        "depth": 2,
        "width": 38,
        "layers": 11,
        "kernel": "rbf",
        "epochs": 10,
    },
}


class TestRandomContract(SearchContract):
    @pytest.fixture
    def search(self) -> Search:
        first = {**RandomDraws(PARAMS, trials=1, seed=0).ask(0), "lr": 0.01}
        return RandomDraws(PARAMS, trials=60, seed=3, try_first=[first])


def drawn(dimension: Any, *, seed: int = 0, trials: int = 200) -> list[Any]:
    search = RandomDraws({"x": dimension}, trials=trials, seed=seed)
    return [search.ask(number)["x"] for number in range(trials)]


def test_draws_are_the_same_bits_on_every_machine() -> None:
    search = RandomDraws(PARAMS, trials=1_000_000, seed=7)
    assert GOLDEN == {number: search.ask(number) for number in GOLDEN}


def test_draws_are_the_same_in_another_process() -> None:
    code = (
        "from podmap.search.random import RandomDraws\n"
        "from podmap.spec.search import Range\n"
        "search = RandomDraws({'x': Range(low=1e-4, high=0.1, log=True)}, trials=50, seed=9)\n"
        "print([search.ask(number)['x'] for number in range(50)])"
    )
    environment = {"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    expected = drawn(Range(low=1e-4, high=0.1, log=True), seed=9, trials=50)
    assert f"{expected}" == done.stdout.strip()


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite, st.integers(0, 2**40))
def test_floats_stay_in_their_range(one: float, two: float, seed: int) -> None:
    low, high = sorted((one, two))
    for value in drawn(Range(low=low, high=high), seed=seed, trials=5):
        assert isinstance(value, float)
        assert low <= value <= high


@given(st.floats(5e-324, 1.7e308), st.floats(5e-324, 1.7e308), st.integers(0, 99))
def test_log_floats_stay_in_their_range(one: float, two: float, seed: int) -> None:
    low, high = sorted((one, two))
    for value in drawn(Range(low=low, high=high, log=True), seed=seed, trials=5):
        assert isinstance(value, float)
        assert low <= value <= high


@given(st.integers(1, 10**40), st.integers(0, 10**40), st.booleans(), st.integers(0, 99))
def test_ints_stay_in_their_range(low: int, span: int, log: bool, seed: int) -> None:
    for value in drawn(Range(low=low, high=low + span, log=log), seed=seed, trials=5):
        assert isinstance(value, int)
        assert low <= value <= low + span


@given(
    low=st.decimals(-100, 100, places=2),
    span=st.decimals(0, 100, places=2),
    step=st.decimals("0.01", 5, places=2),
)
def test_stepped_floats_are_on_a_step_as_written(low: Any, span: Any, step: Any) -> None:
    assume(step <= span)
    dimension = Range(low=float(low), high=float(low + span), step=float(step), type="float")
    for value in drawn(dimension, trials=5):
        assert 0 == (Decimal(repr(value)) - low) % step
        assert low <= Decimal(repr(value)) <= low + span


def test_every_int_choice_and_step_comes_up() -> None:
    assert set(range(1, 7)) == set(drawn(Range(low=1, high=6)))
    assert {"a", "b", "c"} == set(drawn(["a", "b", "c"]))
    assert {0.0, 0.1, 0.2, 0.3} == set(drawn(Range(low=0.0, high=0.3, step=0.1)))
    assert {0.0, 0.5, 1.0} == set(drawn(Range(low=0.0, high=1.0, steps=3)))
    assert {1, 2, 3} == set(drawn(Range(low=1, high=3, log=True)))


def test_draws_are_spread_evenly() -> None:
    trials = 4000
    faces = drawn(Range(low=0, high=9), trials=trials)
    expected = trials / 10
    chi_square = sum((faces.count(face) - expected) ** 2 / expected for face in range(10))
    assert chi_square < 33  # 1 in 10,000 for nine degrees of freedom; the draws are fixed
    assert abs(sum(drawn(Range(low=0.0, high=1.0), trials=trials)) / trials - 0.5) < 0.02
    logs = [math.log10(x) for x in drawn(Range(low=1e-4, high=1.0, log=True), trials=trials)]
    assert abs(sum(logs) / trials + 2) < 0.08


def test_a_param_added_leaves_the_draws_of_others() -> None:
    without = {name: PARAMS[name] for name in PARAMS if name != "momentum"}
    more, fewer = (RandomDraws(params, trials=5, seed=1) for params in (PARAMS, without))
    for number in range(5):
        assert fewer.ask(number).items() <= more.ask(number).items()


def test_seeds_and_names_give_different_draws() -> None:
    dimension = Range(low=0.0, high=1.0)
    search = RandomDraws({"a": dimension, "b": dimension}, trials=20, seed=0)
    assert all(search.ask(n)["a"] != search.ask(n)["b"] for n in range(20))
    assert not set(drawn(dimension, seed=1)) & set(drawn(dimension, seed=11))


def test_more_trials_keep_the_ones_before() -> None:
    few, many = (RandomDraws(PARAMS, trials=trials, seed=2) for trials in (5, 50))
    assert [few.ask(n) for n in range(5)] == [many.ask(n) for n in range(5)]


def test_try_first_takes_the_first_numbers_and_constants_are_filled_in() -> None:
    params: Params = {"lr": Range(low=0.0, high=1.0), "kernel": ["a", "b"], "epochs": 10}
    given_first = [{"kernel": "b", "lr": 1}, {"lr": 0.5, "kernel": "a", "epochs": 3}]
    search = RandomDraws(params, trials=5, seed=4, try_first=given_first)
    plain = RandomDraws(params, trials=5, seed=4)
    assert {"lr": 1.0, "kernel": "b", "epochs": 10} == search.ask(0)
    assert isinstance(search.ask(0)["lr"], float)
    assert ["lr", "kernel", "epochs"] == list(search.ask(0))
    assert {"lr": 0.5, "kernel": "a", "epochs": 3} == search.ask(1)
    assert [plain.ask(n) for n in (2, 3, 4)] == [search.ask(n) for n in (2, 3, 4)]


def test_a_range_without_width_gives_its_end() -> None:
    assert {0.1} == set(drawn(Range(low=0.1, high=0.1), trials=20))
    assert {0.1} == set(drawn(Range(low=0.1, high=0.1, log=True), trials=20))
    assert {3} == set(drawn(Range(low=3, high=3, log=True), trials=20))
