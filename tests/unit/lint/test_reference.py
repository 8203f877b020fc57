"""The pages about lint rules say what the rules say."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.lint.linter import RULES
from podmap.lint.reference import markdown, with_table

DOCS = Path(__file__).parents[3] / "docs"


def test_the_table_of_rules_is_up_to_date() -> None:
    page = (DOCS / "lint-dag.md").read_text("utf-8")
    assert page == with_table(page), "run: make docs"


def test_the_page_of_rules_is_up_to_date() -> None:
    assert (DOCS / "reference" / "lint-rules.md").read_text("utf-8") == markdown(), "run: make docs"


def test_every_rule_is_in_both_pages() -> None:
    for page in ("lint-dag.md", "reference/lint-rules.md"):
        text = (DOCS / page).read_text("utf-8")
        assert [] == [rule for rule in RULES if rule not in text]


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="the page has no <!-- rules"):
        with_table("# A page\n")
