"""Which params exist beside which values of others."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.records import Trial
from podmap.spec.absent import stands_for
from podmap.spec.conditions import Conditions, optional_params
from podmap.spec.model import TrialTemplate
from podmap.spec.render import render
from podmap.spec.search import ConditionalChoice, RandomSearch, Range

PARAMS: dict[str, Any] = {
    "sub": ConditionalChoice(choices=[None, 1], when={"degree": [3, 4]}),
    "degree": Range(low=2, high=4, when={"kernel": "poly", "flag": True}),
    "kernel": ["linear", "poly"],
    "flag": [True, 1],
    "opt": ConditionalChoice(choices=[{"name": "sgd", "lr": 1}], when={"kernel": "linear"}),
    "momentum": Range(low=0.0, high=1.0, when={"opt.name": "sgd"}),
    "c": 7,
}
CONDITIONS = Conditions(PARAMS)
ALL = {"sub": None, "degree": 3, "kernel": "poly", "flag": True, "momentum": 0.5, "c": 7} | {
    "opt": {"name": "sgd", "lr": 1}
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"sub", "degree", "kernel", "flag", "c"}),
        ({"degree": 2}, {"degree", "kernel", "flag", "c"}),
        ({"flag": 1}, {"kernel", "flag", "c"}),
        ({"kernel": "linear"}, {"kernel", "flag", "c", "opt", "momentum"}),
        ({"kernel": "linear", "opt": {"name": "x"}}, {"kernel", "flag", "c", "opt"}),
    ],
    ids=["a chain", "a link that does not hold", "true is not 1", "nested", "another nested value"],
)
def test_what_exists(values: dict[str, Any], expected: set[str]) -> None:
    given = {**ALL, **values}
    found = CONDITIONS.applying(given)
    assert {name: given[name] for name in ALL if name in expected} == found
    assert [name for name in given if name in expected] == list(found)


def test_each_param_stands_behind_those_that_it_needs() -> None:
    order = CONDITIONS.order
    assert sorted(PARAMS) == sorted(order)
    for name in CONDITIONS.when:
        assert all(order.index(each) < order.index(name) for each in CONDITIONS.needed_by(name))
    assert {"degree", "kernel", "flag", "opt"} == CONDITIONS.askers


def test_without_conditions_all_exist() -> None:
    given = {"x": 1}
    assert given is Conditions({"x": [1, 2]}).applying(given)


def test_the_names_that_trials_may_lack_are_those_that_placeholders_use() -> None:
    search = RandomSearch(kind="random", trials=1, params=PARAMS)
    assert {"sub", "degree", "opt.name", "opt.lr", "momentum"} == optional_params(search)
    assert frozenset() == optional_params(None)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("args", "--g={params.g}", "g"),
        ("args", "+model.g={params.g}", "g"),
        ("command", "--g={params.opt.lr}", "opt.lr"),
        ("env", "{params.g}", "g"),
        ("args", "{params.g}", None),
        ("args", "={params.g}", None),
        ("args", "--g={params.g}m", None),
        ("args", "--g={params.g}{params.h}", None),
        ("args", "--g=={params.g}", None),
        ("args", "--g={{params.g}}", None),
        ("args", "--g={trial.number}", None),
        ("env", "--g={params.g}", None),
        ("checkpoint", "{params.g}", None),
        ("image", "a={params.g}", None),
    ],
)
def test_the_param_without_which_a_text_is_left_out(
    key: str, text: str, expected: str | None
) -> None:
    assert expected == stands_for(key, text)


@pytest.mark.parametrize(
    ("params", "argv", "env"),
    [
        ({"g": 1, "h": 2}, ("run", "--g=1", "--h=2", "--g=1", "--h=2"), {"G": "1", "H": "2"}),
        ({"h": 2}, ("run", "--h=2", "--h=2"), {"H": "2"}),
    ],
)
def test_arguments_and_variables_of_a_trial_without_a_param(
    params: dict[str, Any], argv: tuple[str, ...], env: dict[str, str]
) -> None:
    template = TrialTemplate.model_validate(
        {
            "command": ["run", "--g={params.g}"],
            "args": ["--h={params.h}", {"params": "flags"}],
            "env": {"G": "{params.g}", "H": "{params.h}"},
        }
    )
    made = render(
        template,
        Trial(number=0, key="k", seed=1, params=params),
        sweep="s",
        run_id="0a1b2c3d",
        run_uri="/s",
        attempt=1,
        result="/r",
        optional=frozenset({"g"}),
    )
    assert argv == made.argv
    assert env == {name: made.env[name] for name in ("G", "H") if name in made.env}
