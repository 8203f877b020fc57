"""Pages that say which test shows what: each of their lines names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("promises.md", "contributing/reports.md")
_TEST = re.compile(r"\[`(test_\w+)`\]\(([^)]+\.py)\)")


def lines(page: str) -> list[str]:
    """The lines of the page's tables, without their heads."""
    text = (DOCS / page).read_text()
    tables = re.findall(r"^\|(?:---\|)+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line for table in tables for line in table.splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_each_line_names_tests_that_are_there(page: str) -> None:
    missing = []
    for line in lines(page):
        named = _TEST.findall(line)
        if not named:
            missing.append(line)
        for name, path in named:
            file = (DOCS / page).parent / path
            if not file.is_file() or not re.search(rf"\bdef {name}\(", file.read_text()):
                missing.append(f"{name} in {path}")
    assert [] == missing
    assert len(lines(page)) > 20


def test_no_kind_of_report_is_told_twice() -> None:
    said = [line.split("|")[1].partition(" ([")[0].strip() for line in lines(PAGES[1])]
    assert len(said) == len(set(said))
