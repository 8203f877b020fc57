"""Combinations that break a constraint are left out of a grid, whose numbers stay dense."""

from __future__ import annotations

import pytest

from podmap.errors import SpecError
from podmap.search.grid import Grid
from podmap.spec.search import Range

PARAMS = {
    "batch": [16, 32, 64],
    "kernel": ["linear", "rbf"],
    "net": [{"width": 1}, {"width": 4}, {"flat": True}],
    "depth": Range(low=1, high=3),
}
RULES = ("params.batch * params.net.width <= 64", "params.depth != 2")


def test_the_others_stay_in_their_order() -> None:
    whole = Grid(PARAMS)
    every = [whole.ask(number) for number in range(whole.count)]
    own = Grid(PARAMS, constraints=RULES)
    kept = [own.ask(number) for number in range(own.count)]
    expected = [
        each
        for each in every
        if each["batch"] * each["net"].get("width", 0) <= 64 and each["depth"] != 2
    ]
    assert 2 * 2 * 7 == len(expected)
    assert expected == kept
    with pytest.raises(IndexError):
        own.ask(own.count)


def test_none_at_all() -> None:
    with pytest.raises(SpecError, match=r"search\.constraints: no combination"):
        Grid(PARAMS, constraints=["params.depth == 1.5"])
