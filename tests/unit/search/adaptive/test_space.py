"""Params as points of a space, and back."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.search.adaptive.space import Space
from podmap.spec.search import Range

SPACE = Space(
    {
        "x": Range(low=-5.0, high=10.0),
        "lr": Range(low=1e-4, high=1.0, log=True),
        "depth": Range(low=2, high=10, step=2),
        "width": Range(low=1, high=100, log=True),
        "rate": Range(low=0.1, high=0.3, step=0.1),
        "few": Range(low=1.0, high=100.0, log=True, steps=3),
        "odd": [True, 1, None, [1, 2], "1"],
        "opt": [{"name": "adam", "lr": 0.1}, {"name": "sgd"}],
        "same": Range(low=3, high=3),
        "fixed": [7],
        "constant": "c",
    }
)
POINT = {
    "x": 2.5,
    "lr": 0.01,
    "depth": 3,
    "width": 42,
    "rate": 2,
    "few": 1,
    "odd": 1,
    "opt": 0,
}
PARAMS = {
    "x": 2.5,
    "lr": 0.01,
    "depth": 8,
    "width": 42,
    "rate": 0.3,
    "few": 10.0,
    "odd": 1,
    "opt.name": "adam",
    "opt.lr": 0.1,
    "same": 3,
    "fixed": 7,
    "constant": "c",
}


def test_a_point_stands_for_params_and_they_for_it() -> None:
    assert list(POINT) == [axis.name for axis in SPACE.axes]
    assert PARAMS == SPACE.outer(POINT)
    assert POINT == SPACE.inner(PARAMS)


@pytest.mark.parametrize("place", range(5))
def test_equal_looking_choices_stay_apart(place: int) -> None:
    params = SPACE.outer({**POINT, "odd": place})
    assert {**POINT, "odd": place} == SPACE.inner(params)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"x": 11.0}, "x: it must be from -5.0 to 10.0"),
        ({"x": "2"}, "x: a number"),
        ({"depth": 3}, "depth"),
        ({"odd": 1.5}, "odd"),
        ({"constant": "d"}, "constant"),
        ({"opt.lr": 0.2}, "opt: none of its choices"),
        ({"more": 1}, "more"),
    ],
)
def test_what_the_search_would_never_propose_is_no_point(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SPACE.inner({**PARAMS, **changed})
    with pytest.raises(ValueError, match="missing"):
        SPACE.inner({name: value for name, value in PARAMS.items() if name != "x"})


@pytest.mark.parametrize("axis", SPACE.axes, ids=lambda axis: axis.name)
def test_units_go_over_the_whole_axis_and_back(axis: Any) -> None:
    low, high = axis.ends
    assert (low, high) == (axis.from_unit(0.0), axis.from_unit(1.0))
    assert (low, high) == (axis.share(0.0), axis.share(1.0))
    assert (0.0, 1.0) == (axis.unit(low), axis.unit(high))
    inner = axis.from_unit(0.37)
    assert inner == pytest.approx(axis.from_unit(axis.unit(inner)))
