"""Conditions of params that are wrong are told with their place, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.spec.load import load

KERNEL = ["linear", "rbf", "poly"]


def span(**when: Any) -> dict[str, Any]:
    return {"low": 0.1, "high": 1.0, "steps": 2, "when": when}


def spec(params: Any, *, kind: str = "random", trial: Any = None, **search: Any) -> dict[str, Any]:
    trials = {} if kind == "grid" else {"trials": 4}
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": kind, "params": {"kernel": KERNEL, **params}, **trials, **search},
        "objective": {"metric": "loss", "direction": "minimize"},
        "trial": {"command": ["true"], **(trial or {})},
    }


def told(given: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        load(given)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["grid", "random", "tpe"])
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param(
            {"g": span(kernl="rbf")},
            "search.params.g.when.kernl: 'kernl' is not a param; there are: g, kernel "
            "(did you mean 'kernel'?)",
            id="unknown name",
        ),
        pytest.param(
            {"g": span(kernel=["rbf", "rfb"])},
            "search.params.g.when.kernel[1]: 'rfb' is never taken by kernel: 'linear', 'rbf' or "
            "'poly' is needed",
            id="impossible value",
        ),
        pytest.param(
            {"g": span(kernel=[])}, "g.when.kernel: [] is not allowed: at least one", id="no value"
        ),
        pytest.param({"g": span()}, "g.when: {} is not allowed", id="nothing asked"),
        pytest.param(
            {"g": {"choices": [], "when": {"kernel": "rbf"}}},
            "g.choices: [] is not allowed: a choice has at least one value",
            id="no choice",
        ),
        pytest.param(
            {"g": {"choices": [1], "when": "rbf"}}, "g.when: 'rbf' is not allowed", id="no mapping"
        ),
        pytest.param(
            {"a": span(b=0.1), "b": span(c=0.1), "c": span(a=1.0)},
            "search.params.a.when: a circle, so that none of them ever exists: a needs b needs c "
            "needs a",
            id="circle",
        ),
        pytest.param({"a": span(a=0.1)}, "a needs a", id="itself"),
        pytest.param(
            {"g": span(kernel="rbf"), "sub": span(g=0.1, kernel=["linear", "poly"])},
            "search.params.sub.when: never true: g needs kernel to be 'rbf', and sub needs "
            "'linear' or 'poly'",
            id="contradiction",
        ),
        pytest.param(
            {
                "a": span(kernel=["rbf", "poly"]),
                "b": span(a=0.1, kernel=["linear", "poly"]),
                "c": span(b=0.1, kernel=["rbf", "linear"]),
            },
            "search.params.c.when: never true: b needs kernel to be 'poly', and c needs 'rbf' or "
            "'linear'",
            id="contradiction of three",
        ),
        pytest.param(
            {
                "opt": {"choices": [{"name": "sgd"}], "when": {"kernel": "rbf"}},
                "sub": span(**{"opt.name": "sgd", "kernel": "poly"}),
            },
            "never true: opt needs kernel to be 'rbf', and sub needs 'poly'",
            id="contradiction by a nested param",
        ),
    ],
)
def test_bad_conditions(kind: str, params: Any, expected: str) -> None:
    assert expected in told(spec(params, kind=kind))


def test_one_value_of_a_continuous_range_is_hardly_ever_taken() -> None:
    params = {"lr": {"low": 0.0, "high": 1.0}, "g": span(lr=0.5)}
    assert "search.params.g.when.lr: lr takes any number" in told(spec(params))


@pytest.mark.parametrize("kind", ["gp", "cmaes", "nsga2"])
def test_kinds_that_know_of_no_conditions_refuse_them(kind: str) -> None:
    given = spec({}, kind=kind)
    given["search"]["params"] = {"n": {"low": 1, "high": 4}, "g": span(n=2)}
    expected = f"search.params.g.when: {kind} takes params that every trial has (use tpe, qmc or"
    assert expected in told(given)


@pytest.mark.parametrize(
    ("trial", "place"),
    [
        ({"args": ["--g", "{params.g}"]}, "trial.args[1]"),
        ({"args": ["--of={params.g},{params.kernel}"]}, "trial.args[0]"),
        ({"args": ["--of={params.g}m"]}, "trial.args[0]"),
        ({"command": ["run", "{params.g}"]}, "trial.command[1]"),
        ({"env": {"G": "g{params.g}"}}, "trial.env.G"),
        ({"checkpoint": "s3://b/{params.g}"}, "trial.checkpoint"),
        (
            {"cases": [{"when": {"kernel": ["poly", "rbf"]}, "args": ["{params.g}"]}]},
            "trial.cases[0].args[0]",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["grid", "random", "tpe"])
def test_what_cannot_be_left_out_is_told_with_its_place(kind: str, trial: Any, place: str) -> None:
    found = told(spec({"g": span(kernel="rbf")}, kind=kind, trial=trial))
    assert f"{place}: {{params.g}} has no value in trials whose params do not meet" in found
    assert "trial.cases" in found


@pytest.mark.parametrize(
    "trial",
    [
        {"args": ["--g={params.g}", "g={params.g}", "{{params.g}}"], "env": {"G": "{params.g}"}},
        {"cases": [{"when": {"kernel": "rbf"}, "args": ["--g", "{params.g}"]}]},
        {"args": [{"params": "flags", "only": ["g"]}]},
    ],
)
def test_what_can_be_left_out_or_is_for_trials_that_have_it_is_right(trial: Any) -> None:
    load(spec({"g": span(kernel="rbf")}, trial=trial))


def test_what_cannot_be_left_out_is_told_of_searches_too_large_to_look_at_all_of() -> None:
    many: dict[str, Any] = {f"p{number}": [0, 1] for number in range(14)}
    params = {
        **many,
        "z": {"choices": [1, 2], "when": {"p0": 0}},
        "y": {"choices": [1, 2], "when": {name: 0 for name in many if name != "p0"}},
    }
    trial = {"command": ["true"], "args": ["--z", "{params.z}"]}
    assert "trial.args[1]: {params.z} has no value" in told(spec(params, trial=trial, trials=3))


def test_params_to_be_tried_first_are_those_that_exist() -> None:
    first = [{"kernel": "linear"}, {"kernel": "rbf", "g": 0.1}]
    load(spec({"g": span(kernel="rbf")}, try_first=first))
    wrong = told(
        spec(
            {"g": span(kernel="rbf")}, try_first=[{"kernel": "linear", "g": 0.1}, {"kernel": "rbf"}]
        )
    )
    assert "try_first[0].g: no trial has it with these params: its `when` does not hold" in wrong
    assert "try_first[1].g: missing" in wrong


def test_a_constraint_is_not_impossible_where_its_param_may_be_lacking() -> None:
    load(spec({"g": span(kernel="rbf")}, constraints=["params.g > 5"]))


def test_a_grid_is_as_large_as_its_combinations_that_differ() -> None:
    thousand = {"low": 1, "high": 1000}
    own = {
        "a": {**thousand, "when": {"kernel": "rbf"}},
        "b": {**thousand, "when": {"kernel": "poly"}},
    }
    load(spec({**own, "c": [1, 2]}, kind="grid"))
    both = {name: {**thousand, "when": {"kernel": "rbf"}} for name in ("a", "b")}
    assert "the grid has 1,000,001 points" in told(spec(both, kind="grid"))


def test_a_sweep_may_have_a_choice_without_a_condition_in_the_longer_form() -> None:
    assert ["a"] == load(spec({"x": {"choices": ["a"]}})).sweep.search.params["x"].choices  # type: ignore[union-attr]
