"""Which files to lint: those that are named, and those below folders that look like DAG files."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterator
from pathlib import Path

from podmap.lint.check import lint, unreadable
from podmap.lint.finding import Finding

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "venv"))


def find(path: str) -> Iterator[tuple[str, bool]]:
    """The files that a path stands for, each with whether it was named.

    Files below a folder were not named: they count only if they look like DAG files.
    """
    if not os.path.isdir(path):
        yield path, True
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(n for n in folders if n not in _SKIPPED and not n.startswith("."))
        for name in sorted(names):
            if name.endswith(".py"):
                yield os.path.join(folder, name), False


def lint_file(path: str, *, named: bool, rules: frozenset[str]) -> list[Finding] | None:
    """The findings of a file; None if it was not named and does not look like a DAG file.

    Args:
        path: Where it is.
        named: Whether it is to be checked in any case.
        rules: Ids of the rules to check.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return [unreadable(path, error.strerror or str(error))]
    return lint_bytes(data, file=path, rules=rules) if named or looks_like_dag(data) else None


def lint_bytes(data: bytes, *, file: str, rules: frozenset[str]) -> list[Finding]:
    """The findings of a file's content.

    Args:
        data: The content.
        file: The name to report.
        rules: Ids of the rules to check.
    """
    try:
        text = decode(data)
    except (SyntaxError, ValueError, LookupError) as error:
        return [unreadable(file, str(error))]
    return lint(text, file=file, rules=rules)


def decode(data: bytes) -> str:
    """The text of a Python file, by its byte order mark or coding comment.

    Raises:
        SyntaxError: The encoding is unknown.
        UnicodeDecodeError: It is not in that encoding.
    """
    lines = iter(data.splitlines(keepends=True))
    encoding, _ = tokenize.detect_encoding(lambda: next(lines, b""))
    return data.decode(encoding)


def looks_like_dag(data: bytes) -> bool:
    """Whether Airflow's safe mode would read the file: it names airflow, and a dag or asset."""
    low = data.lower()
    return b"airflow" in low and (b"dag" in low or b"asset" in low)
