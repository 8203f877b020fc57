from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.errors import SpecError
from podmap.search.base import Search
from podmap.search.grid import Grid
from podmap.spec.dimension import points
from podmap.spec.search import Range
from podmap.testing.contracts import SearchContract


class TestGridContract(SearchContract):
    @pytest.fixture
    def search(self) -> Search:
        return Grid({"lr": Range(low=0.1, high=0.3, steps=5), "kernel": ["a", None, True, 2]})


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        pytest.param({"low": 0.1, "high": 0.5, "step": 0.1}, [0.1, 0.2, 0.3, 0.4, 0.5], id="step"),
        pytest.param({"low": 0, "high": 1, "step": 0.4, "type": "float"}, [0, 0.4, 0.8], id="odd"),
        pytest.param({"low": 0.0, "high": 1.0, "steps": 5}, [0, 0.25, 0.5, 0.75, 1], id="steps"),
        pytest.param({"low": 0.1, "high": 0.7, "steps": 3}, [0.1, 0.4, 0.7], id="steps-exact"),
        pytest.param({"low": 0.5, "high": 0.9, "steps": 1}, [0.5], id="one-step"),
        pytest.param({"low": 0.5, "high": 0.5, "steps": 4}, [0.5], id="no-width"),
        pytest.param(
            {"low": 1e-4, "high": 1e-1, "steps": 4, "log": True}, [1e-4, 1e-3, 1e-2, 0.1], id="log"
        ),
        pytest.param({"low": 2, "high": 5}, [2, 3, 4, 5], id="int"),
        pytest.param({"low": 2, "high": 10, "step": 3}, [2, 5, 8], id="int-step"),
        pytest.param({"low": -3, "high": 3, "steps": 4}, [-3, -1, 1, 3], id="int-steps"),
        pytest.param({"low": 1, "high": 3, "steps": 9}, [1, 2, 3], id="int-more-steps-than-ints"),
        pytest.param(
            {"low": 1, "high": 1000, "steps": 4, "log": True}, [1, 10, 100, 1000], id="int-log"
        ),
        pytest.param(
            {"low": 1, "high": 8, "steps": 12, "log": True}, [1, 2, 3, 4, 5, 7, 8], id="log-dup"
        ),
        pytest.param({"low": 2.0, "high": 4.0, "type": "int"}, [2, 3, 4], id="int-by-type"),
        pytest.param({"low": 7, "high": 7}, [7], id="single"),
    ],
)
def test_points_of_a_range_are_exact(dimension: dict[str, Any], expected: list[float]) -> None:
    taken = points(Range(**dimension))
    values = [taken.at(place) for place in range(taken.count)]
    assert expected == values
    whole = Range(**dimension).is_int
    assert {int if whole else float} == {type(value) for value in values}


def test_values_far_beyond_float_precision_are_whole() -> None:
    taken = points(Range(low=10**30, high=10**30 + 2))
    assert [10**30, 10**30 + 1, 10**30 + 2] == [taken.at(place) for place in range(taken.count)]


names = st.text(st.characters(categories=["L"]), min_size=1, max_size=4)
choices = st.lists(st.one_of(st.integers(), st.text(max_size=3)), min_size=1, max_size=4)


@given(st.dictionaries(names, choices, min_size=1, max_size=4))
def test_grid_enumerates_as_itertools_product(params: dict[str, list[Any]]) -> None:
    grid = Grid(params)
    expected = [
        dict(zip(params, values, strict=True)) for values in itertools.product(*params.values())
    ]
    assert expected == [grid.ask(number) for number in range(grid.count)]
    assert [list(params)] * grid.count == [list(grid.ask(number)) for number in range(grid.count)]


@given(
    low=st.decimals(-1000, 1000, places=3),
    step=st.decimals("0.001", 10, places=3),
    count=st.integers(1, 60),
)
def test_steps_are_the_decimals_as_written(low: Any, step: Any, count: int) -> None:
    high = low + step * (count - 1)
    taken = points(Range(low=float(low), high=float(high), step=float(step), type="float"))
    assert [float(low + step * i) for i in range(count)] == [
        taken.at(i) for i in range(taken.count)
    ]


@given(low=st.floats(1e-9, 1e9), ratio=st.floats(1.001, 1e9), steps=st.integers(2, 30))
def test_log_points_rise_from_end_to_end(low: float, ratio: float, steps: int) -> None:
    high = low * ratio
    taken = points(Range(low=low, high=high, steps=steps, log=True, type="float"))
    values = [taken.at(place) for place in range(taken.count)]
    assert (low, high) == (values[0], values[-1])
    assert sorted(set(values)) == values


def test_a_range_without_points_is_refused_by_name() -> None:
    with pytest.raises(SpecError) as caught:
        Grid({"lr": Range(low=0.1, high=0.2), "depth": [], "ok": 1})
    assert ["search.params.depth", "search.params.lr"] == sorted(
        problem.path for problem in caught.value.problems
    )
    assert "steps" in str(caught.value)


def test_a_grid_of_constants_has_one_point() -> None:
    grid = Grid({"epochs": 10, "kernel": "rbf"})
    assert 1 == grid.count
    assert {"epochs": 10, "kernel": "rbf"} == grid.ask(0)
