"""Draws that break a constraint are made again, the same for whoever draws."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search.random import RandomDraws
from podmap.spec.search import Range

PARAMS = {"x": Range(low=0.0, high=10.0), "y": Range(low=1, high=9), "k": ["a", "b"]}


def draws(*constraints: str, **more: Any) -> RandomDraws:
    return RandomDraws(PARAMS, trials=40, seed=5, constraints=constraints, **more)


def test_all_meet_it_and_those_that_did_before_are_the_same() -> None:
    free, own, again = draws(), draws("params.x * params.y <= 9"), draws("params.x * params.y <= 9")
    found = [own.ask(number) for number in range(40)]
    assert all(each["x"] * each["y"] <= 9 for each in found)
    assert found == [again.ask(number) for number in reversed(range(40))][::-1]
    meet = [n for n in range(40) if (one := free.ask(n))["x"] * one["y"] <= 9]
    assert 0 < len(meet) < 40
    assert [free.ask(n) for n in meet] == [found[n] for n in meet]
    assert 40 == len({str(each) for each in found})


def test_one_that_hardly_any_draw_meets_is_refused() -> None:
    with pytest.raises(SpecError, match=r"search\.constraints: none of 1,000 draws meets"):
        draws("params.x == params.y")
