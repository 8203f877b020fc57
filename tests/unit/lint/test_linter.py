"""Comments, choices of rules, files that are no Python, folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.errors import UsageError
from podmap.lint.linter import RULES, iter_files, lint_file, lint_text, select_rules

GONE = "from airflow.utils.dates import days_ago"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{GONE}  # podmap: ignore[PM101]", []),
        (f"{GONE}  # podmap:ignore[pm102, PM101] why", []),
        (f"{GONE}  # noqa  # podmap: ignore[PM101]", []),
        (f"{GONE}  # podmap: ignore[PM102]", ["PM101"]),
        (f"{GONE}  # podmap: ignore", ["PM101"]),
        (f"text = '# podmap: ignore[PM101]'; {GONE}", ["PM101"]),
        (f"{GONE}  # podmap: ignore[PM1]", ["PM101", "PM002"]),
        (f"{GONE}  # podmap: ignore[]", ["PM101", "PM002"]),
    ],
)
def test_a_comment_silences_its_line(line: str, expected: list[str]) -> None:
    assert expected == [each.rule.id for each in lint_text(line)]


def test_rules_are_chosen_by_the_beginnings_of_their_ids() -> None:
    assert {"PM001", "PM101", "PM102"} == select_rules(["PM1"])
    assert {"PM001", "PM101"} == select_rules(["pm1"], ["PM102"])
    assert set(RULES) - {"PM602"} == select_rules()
    assert "PM602" in select_rules(["PM602"])
    assert "PM001" in select_rules([], ["PM"])


@pytest.mark.parametrize("text", ["PM9", "", "nonsense"])
def test_a_choice_of_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no rule's id begins so; they are PM001, PM002"):
        select_rules([text])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("with DAG(:\n", 1),
        ("x = 1\n  y = 2\n", 2),
        ("a\0b", 1),
        ("\n\nx = " + "(" * 500 + ")" * 500, None),
        ("x" + " + x" * 100_000, None),
    ],
    ids=["syntax", "indent", "null", "parentheses", "deep"],
)
def test_what_is_no_python_is_a_finding(text: str, line: int | None) -> None:
    [finding] = lint_text(text)
    assert "PM001" == finding.rule.id
    assert line in (None, finding.line)


def test_folders_are_walked_for_what_looks_like_dag_files(tmp_path: Path) -> None:
    files = {
        "a_dag.py": "from airflow.sdk import dag",
        "sub/b.py": "from airflow.sdk import Asset",
        "other.py": "import os",
        "notes.txt": "airflow dag",
        ".hidden/c.py": "airflow dag",
        "sub/__pycache__/d.py": "airflow dag",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    checked = [
        Path(path).relative_to(tmp_path).as_posix()
        for path, named in iter_files(str(tmp_path))
        if lint_file(path, named=named, rules=select_rules()) is not None
    ]
    assert ["a_dag.py", "sub/b.py"] == checked


def test_a_named_file_is_checked_whatever_it_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "plain.txt"
    path.write_text("import os")
    assert [] == lint_file(str(path), named=True, rules=select_rules())


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"# coding: klingon\n", b"x = '\xe9'"])
def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "dag.py"
    path.write_bytes(data)
    found = lint_file(str(path), named=True, rules=select_rules())
    assert ["PM001"] == [each.rule.id for each in found or []]


def test_the_coding_comment_and_the_byte_order_mark_are_heeded(tmp_path: Path) -> None:
    for data in (b"# coding: latin-1\nx = '\xe9'\n", b"\xef\xbb\xbfx = 1\r\n", b""):
        path = tmp_path / "dag.py"
        path.write_bytes(data)
        assert [] == lint_file(str(path), named=True, rules=select_rules())


def test_nothing_of_a_file_is_run() -> None:
    assert [] == lint_text("raise SystemExit('run')\nimport no_such_module_anywhere\n")
