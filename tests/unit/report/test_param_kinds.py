"""What kind each param is: as the spec says, else as its values are."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.report.param_kinds import param_kinds
from podmap.spec.search import Range


@pytest.mark.parametrize(
    ("dimension", "expected"),
    [
        (
            Range(low=1e-4, high=0.1, log=True),
            {"kind": "number", "log": True, "low": 1e-4, "high": 0.1},
        ),
        (["svm", True, 1, None], {"kind": "choice", "choices": ["svm", True, 1, None]}),
        ([[1, 2], [3]], {"kind": "choice", "choices": ["[1, 2]", "[3]"]}),
        (list(range(1, 200)), {"kind": "number", "log": True, "low": 1, "high": 199}),
    ],
    ids=["range", "choice", "lists", "many numbers"],
)
def test_as_the_spec_has_it(dimension: Any, expected: dict[str, Any]) -> None:
    assert [{"name": "p", **expected}] == param_kinds({"p": dimension}, [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 5.5, None], {"kind": "number", "log": False, "low": 1, "high": 5.5}),
        (["a", 1, "a"], {"kind": "choice", "choices": ["a", 1]}),
        ([True, 1], {"kind": "choice", "choices": [True, 1]}),
        ([f"s{n}" for n in range(21)], {"kind": "text"}),
        ([None], {"kind": "choice", "choices": []}),
    ],
    ids=["numbers", "mixed", "true is not 1", "many texts", "nothing"],
)
def test_as_the_values_are(values: list[Any], expected: dict[str, Any]) -> None:
    assert [{"name": "p", **expected}] == param_kinds({}, [{"p": value} for value in values])
