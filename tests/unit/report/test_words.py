"""The words for states: one set of them, in commands, reports and Airflow."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from podmap.records import TrialState
from podmap.report.words import counts_text, state_text

PACKAGE = Path(__file__).parents[3] / "src" / "podmap"
FILES = sorted(
    path
    for part in ("cli", "report", "airflow", "server", "engine")
    for path in PACKAGE.glob(f"{part}/**/*.py")
)
OTHER_WORDS = re.compile(
    r"\btrials? (that |which )?(is |are |was |were |has |have )?"
    r"(succeeded|completed|succeed|canceled|aborted|errored|crashed|queued|done)\b",
    re.IGNORECASE,
)
STATES = re.compile(rf"\b({'|'.join(state.value for state in TrialState)})\b")


def test_counts_are_told_in_the_order_of_the_states() -> None:
    counts = {"FAILED": 2, "COMPLETE": 3, "WAITING": 0}
    assert "3 complete, 2 failed" == counts_text(counts)
    assert "unknown" == state_text(TrialState.UNKNOWN)


def texts(path: Path) -> Iterator[tuple[int, ast.Constant | ast.JoinedStr]]:
    """The texts of a file that may reach a person: no docstrings, and no single words."""
    tree = ast.parse(path.read_text("utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    docs |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docs:
            continue
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
        ):
            yield node.lineno, node


def other_words(path: Path) -> Iterator[str]:
    for line, node in texts(path):
        place = f"{path.relative_to(PACKAGE)}:{line}"
        if isinstance(node, ast.JoinedStr):
            shown = [
                ast.unparse(each.value)
                for each in node.values
                if isinstance(each, ast.FormattedValue)
            ]
            yield from (f"{place}: {{{each}}}" for each in shown if each.endswith("state.value"))
            continue
        found = OTHER_WORDS.search(str(node.value)) or STATES.search(str(node.value))
        if found:
            yield f"{place}: {found[0]}"


def test_no_text_has_other_words_for_states() -> None:
    assert [] == [each for path in FILES for each in other_words(path)]
