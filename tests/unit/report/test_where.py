"""The filter of tables: the cases that every reader of it must pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from podmap.report.where import DEEPEST, WhereError, parse_where

CASES = json.loads((Path(__file__).parents[2] / "where_cases.json").read_text("utf-8"))
MATCHING = [each for each in CASES["cases"] if "rows" in each]
WRONG = [each for each in CASES["cases"] if "error_at" in each]


@pytest.mark.parametrize("case", MATCHING, ids=lambda case: case["where"] or "nothing")
def test_a_filter_passes_the_rows_that_it_means(case: dict[str, Any]) -> None:
    where = parse_where(case["where"])
    passed = [place for place, row in enumerate(CASES["rows"]) if where.matches(row)]
    assert case["rows"] == passed


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case["where"])
def test_an_error_names_the_place(case: dict[str, Any]) -> None:
    with pytest.raises(WhereError) as raised:
        parse_where(case["where"])
    assert case["error_at"] == raised.value.at
    assert f"character {case['error_at'] + 1}: " in str(raised.value)


@pytest.mark.parametrize("case", CASES["names"], ids=lambda case: case["where"])
def test_a_column_that_is_not_there_is_an_error_at_its_place(case: dict[str, Any]) -> None:
    where = parse_where(case["where"])
    found = None
    try:
        where.check_names(case["columns"])
    except WhereError as error:
        found = error.at
    assert case.get("error_at") == found


def test_an_error_says_the_value_the_rule_and_what_is_meant_perhaps() -> None:
    with pytest.raises(WhereError) as raised:
        parse_where("lrate > 1").check_names(["number", "params.l_rate"])
    assert (
        "filter 'lrate > 1', character 1: there is no column 'lrate'; did you mean 'l_rate'?"
        == str(raised.value)
    )


@pytest.mark.parametrize("opening", ["(", "not "], ids=["parentheses", "not"])
def test_a_filter_that_is_too_deep_is_refused(opening: str) -> None:
    with pytest.raises(WhereError, match=f"more than {DEEPEST} levels"):
        parse_where(opening * 20_000 + "a = 1")
