"""The page on security names a test for each line of its table, and there is such a test."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
TEST = re.compile(r"\[(test_\w+)\]\(([^)\s]+)\)")
# What nothing holds cannot be shown.
UNHELD = (
    "where data may be read",
    "all that a task of Airflow may",
    "results, records, logs; whether a run goes on",
)


def rows() -> list[list[str]]:
    """The cells of the table's lines, without its head."""
    text = PAGE.read_text().partition("\n## Who decides what\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_every_line_has_a_test() -> None:
    bare = [row[1] for row in rows() if not TEST.search(row[3])]
    assert [] == [text for text in bare if not text.startswith(UNHELD)]
    assert {4} == {len(row) for row in rows()}


def test_everybody_has_a_line() -> None:
    who = " ".join(row[0] for row in rows())
    words = ("DAG file", "spec", "trigger", "data", "store", "XComs", "pod", "local process")
    words += ("user of the host", "neighbour", "cluster", "network")
    assert [] == [word for word in words if word not in who]


def test_every_test_that_is_named_exists() -> None:
    named = TEST.findall(PAGE.read_text())
    assert len(named) > 30
    missing = [
        f"{path}: {name}"
        for name, path in named
        if not re.search(rf"def {name}\b", (PAGE.parent / path).read_text())
    ]
    assert [] == missing


def test_the_policy_points_to_the_table() -> None:
    assert "docs/security.md#who-decides-what" in (ROOT / "SECURITY.md").read_text()
