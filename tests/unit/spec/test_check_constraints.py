"""Constraints that are wrong are told with their place, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.spec.load import load

PARAMS = {
    "batch": [16, 32, 64],
    "width": {"low": 1, "high": 128},
    "kernel": ["linear", "rbf"],
    "opt": [{"name": "sgd", "lr": 0.5}, {"name": "adam"}],
    "mixed": ["auto", 3],
    "seven": 7,
}


def spec(*constraints: Any, kind: str = "random", **more: Any) -> dict[str, Any]:
    trials = {} if kind == "grid" else {"trials": 4}
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": kind, "params": PARAMS, "constraints": [*constraints], **trials, **more},
        "objective": {"metric": "loss", "direction": "minimize"},
        "trial": {"command": ["true"]},
    }


@pytest.mark.parametrize("kind", ["grid", "random", "tpe"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("params.batch * params.wdth < 9", r"\[0\]: 'wdth' is not a param.*did you mean 'width'"),
        ("params.kernel == 3", "kernel is never a number"),
        ("params.opt.name > 3", "opt.name is never a number"),
        ("params.batch <", "'params.batch <' is not allowed: the end is not allowed there"),
        ("params.batch * params.seven > 1e6", "no params can meet"),
        (7, "text is needed"),
    ],
)
def test_bad_constraints(kind: str, text: Any, told: str) -> None:
    with pytest.raises(SpecError, match=rf"search\.constraints\[0\].*{told}|{told}"):
        load(spec(text, kind=kind))


def test_good_constraints() -> None:
    load(spec("params.batch * params.width <= 4096", "params.opt.lr > 9", "params.mixed > 5"))
    load(spec("params.batch + params.opt.lr > 1 and params.seven == 7", kind="gp"))


def test_params_to_be_tried_first_must_meet_them() -> None:
    params = {"batch": 64, "width": 2, "kernel": "rbf", "opt": PARAMS["opt"][1], "mixed": 3}  # type: ignore[index]
    with pytest.raises(SpecError, match=r"try_first\[0\]: the params break the constraint"):
        load(spec("params.batch * params.seven < 300", try_first=[params]))


def test_too_many_and_where_there_are_none() -> None:
    with pytest.raises(SpecError, match="51 constraints; at most 50"):
        load(spec(*["params.batch > 0"] * 51))
    listed = {"kind": "list", "items": [{"x": 1}], "constraints": ["params.x > 0"]}
    with pytest.raises(SpecError, match="unknown key 'constraints'"):
        load({**spec(), "search": listed})
