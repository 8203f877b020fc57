"""The grammar of constraints: what holds, and what is none; nothing else is evaluated."""

from __future__ import annotations

import pytest

from podmap.spec.constraint import Constraint, ConstraintError, Constraints

PARAMS = {"a": 4, "b": 2.5, "deep.c": 3, "kind": "rbf", "on": True, "low": 0.1}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("params.a * params.b <= 10", True),
        ("params.a * params.b < 10", False),
        ("params.a * params.b == 10 and params.a != 4", False),
        ("params.a - 1 - 1 == 2", True),
        ("params.a / 2 / 2 == 1", True),
        ("params.a + 2 * 3 == 10", True),
        ("(params.a + 2) * 3 == 18", True),
        ("-params.a < -3 and - - params.a > 3", True),
        ("1 < params.a <= 4 < 5", True),
        ("1 < params.a <= 3", False),
        ("params.low * 3 == .3 and params.low * 3 <= 3e-1", True),
        ("params.low * 3 < 0.3", False),
        ("params.deep.c > 2", True),
        ("params.a / (params.a - 4) > 0", False),
        ("params.kind > 3 and params.on > 3 and params.gone > 3", True),
        ("params.kind > 3 and params.a > 5", False),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert holds is Constraint.parse(text).holds(PARAMS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the end is not allowed there: a number"),
        ("params.a", "the end is not allowed there: <=, <"),
        ("params.a <= ", "the end is not allowed there: a number"),
        ("params.a = 3", "'=' is not allowed there"),
        ("1 < 2", "names no param"),
        ("batch <= 3", "'batch' is no param: one is written params.NAME"),
        ("params.a <= 3 or params.a > 5", "'or' is not allowed there"),
        ("params.a ** 2 < 3", r"'\*' is not allowed there"),
        ("(params.a < 3", "'<' is not allowed there: a calculation"),
        ("params.a < 3)", r"'\)' is not allowed there"),
        ("params.a < 1e999", "too large"),
        ("params.a < 3x", "'3x' is not allowed"),
        ("__import__('os') < params.a", "'__import__' is no param"),
        ("params.__class__ < exit()", "'exit' is no param"),
        ("params.a < 'x'", "is not allowed there"),
        ("params.a < " + "(" * 30 + "1" + ")" * 30, "nested more than"),
        ("params.a < " + "-" * 30 + "1", "nested more than"),
        ("params.a < " + "1+" * 300 + "1", "more than 500 characters"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ConstraintError, match=why):
        Constraint.parse(text)


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("params.x * params.y <= 0.5", True),
        ("params.x * params.y <= 1", False),
        ("params.x * params.y < 1", True),
        ("params.x + 1 > params.y + 11", True),
        ("params.x >= 10 and params.x > 10", True),
        ("params.x == params.y + 10", True),
        ("params.x != params.x", False),
        ("1 / (params.x - 5) > 100", False),
        ("params.z > 1e9", False),
    ],
)
def test_what_the_ends_of_ranges_rule_out(text: str, never: bool) -> None:
    assert never is Constraint.parse(text).never_holds({"x": (1, 10), "y": (1, 4)})


def test_the_first_that_is_broken_is_told() -> None:
    every = Constraints(["params.a > 1", "params.b > 3", "params.a > 9"])
    broken = every.broken_by({"a": 2, "b": {}})
    assert broken is not None
    assert "params.a > 9" == broken.text
    assert {"a", "b"} == every.names
    assert Constraints([]).broken_by({}) is None
