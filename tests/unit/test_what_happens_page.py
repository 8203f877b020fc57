"""The page about situations in a DAG names a test for each, and there is such a test."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "airflow-what-happens.md"
TEST = re.compile(r"\[(test_\w+)\]\(([^)\s]+)\)")


def test_every_situation_has_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    heads = ("| you |", "| what |")
    bare = [row for row in rows if not row.startswith(heads) and not TEST.search(row)]
    assert [] == bare
    assert len(rows) > 40


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE.read_text())
    missing = [
        f"{path}: {name}"
        for name, path in named
        if f"def {name}(" not in (PAGE.parent / path).read_text()
    ]
    assert [] == missing
