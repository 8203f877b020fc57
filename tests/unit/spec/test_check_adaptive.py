"""What is wrong with the space of a search that learns is told before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.spec.load import load

X = {"x": {"low": 0.0, "high": 1.0}}
LOSS = {"metric": "loss", "direction": "minimize"}


def spec(params: Any, *, objective: Any = LOSS, **search: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"trials": 9, "params": params, **search},
        "objective": objective,
        "trial": {"command": ["true"]},
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (spec({"a": 1, "b": [2], "c": {"low": 3, "high": 3}}, kind="tpe"), "nothing to search"),
        (spec({}, kind="gp"), "at least one param"),
        (spec({"x": {"low": 0, "high": 1.5, "log": True}}, kind="gp"), "more than 0 for log"),
        (spec({"x": [1, 2, 1]}, kind="gp"), "given twice"),
        (spec({"x": {"low": 0.0, "high": 1.0, "step": 0.3}}, kind="tpe"), "the last is 0.9"),
        (spec({**X, "c": ["a", "b"]}, kind="cmaes"), "cmaes takes numbers alone"),
        (spec(X, kind="gp", objective=[LOSS, {**LOSS, "metric": "b"}]), "gp takes one objective"),
        (spec(X, kind="tpe", failed="never"), "avoid, ignore or worst"),
    ],
)
def test_bad_spaces(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        load(given)


def test_equal_looking_choices_are_two() -> None:
    load(spec({"x": [1, True]}, kind="gp"))


def test_a_search_without_a_kind_learns_if_it_has_trials_and_ranges() -> None:
    loaded = load(spec(X))
    assert ("auto", "auto") == (loaded.sweep.search.kind, loaded.raw["search"]["kind"])  # type: ignore[union-attr]
    with pytest.raises(SpecError, match="kind"):
        load(spec({"x": [1, 2]}))
