"""Lints DAG files: which files, which rules, and which lines silence them."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping

from podmap import disk
from podmap.errors import UsageError
from podmap.lint.finding import DagSource, LintFinding, Rule, RuleOutcome
from podmap.lint.rules import (
    arguments,
    arrows,
    context,
    imports,
    overrides,
    parse_time,
    pods,
    sweeps,
    task_mapping,
    task_outputs,
)

UNREADABLE = Rule(
    "PM001",
    "unreadable",
    RuleOutcome.BROKEN,
    "The file cannot be read or is not Python: Airflow cannot import it either.",
    "correct the file; other files are checked all the same",
    bad="with DAG(\n",
    good="",
)
USELESS_COMMENT = Rule(
    "PM002",
    "unknown-rule-in-comment",
    RuleOutcome.IGNORED,
    "The comment names a rule that podmap does not have, so it silences nothing.",
    "# podmap: ignore[PM101], with ids of this table",
    bad="PARALLEL = 8  # podmap: ignore[PM999]\n",
    good="PARALLEL = 8  # podmap: ignore[PM101]\n",
)
_MAX_BYTES = 16 * 1024 * 1024
_SUBJECTS = (
    imports,
    arguments,
    context,
    task_mapping,
    task_outputs,
    pods,
    sweeps,
    overrides,
    arrows,
    parse_time,
)

RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in sorted(
        (UNREADABLE, USELESS_COMMENT, *(rule for subject in _SUBJECTS for rule in subject.RULES)),
        key=lambda rule: rule.id,
    )
}
"""All rules by id, in order."""

_SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "venv"))
_COMMENT = re.compile(r"#\s*podmap:\s*ignore\s*\[([^\]]*)\]")


def select_rules(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> frozenset[str]:
    """The ids of the rules to check.

    Args:
        select: Ids or beginnings of ids, such as `PM3`; none for all that are on by default.
        ignore: Ids or beginnings to leave out; they win over `select`.

    Raises:
        UsageError: One of them is the beginning of no rule's id.
    """
    wanted = _matching(select, "--select")
    if not wanted:
        wanted = {rule.id for rule in RULES.values() if rule.on}
    # A file that cannot be checked is always said to be so.
    return frozenset(wanted - _matching(ignore, "--ignore")) | {UNREADABLE.id}


def _matching(beginnings: Iterable[str], option: str) -> set[str]:
    found: set[str] = set()
    for beginning in beginnings:
        ids = {each for each in RULES if beginning and each.startswith(beginning.upper())}
        if not ids:
            known = ", ".join(RULES)
            raise UsageError(f"{option} {beginning}: no rule's id begins so; they are {known}")
        found |= ids
    return found


def iter_files(path: str) -> Iterator[tuple[str, bool]]:
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


def lint_file(path: str, *, named: bool, rules: frozenset[str]) -> list[LintFinding] | None:
    """The findings of a file; None if it was not named and does not look like a DAG file.

    Args:
        path: Where it is.
        named: Whether it is to be checked in any case.
        rules: Ids of the rules to check.
    """
    try:
        data = disk.read_regular(path, _MAX_BYTES, follow_links=True)
    except disk.OddFileError as error:
        return [unreadable_finding(path, str(error))]
    except OSError as error:
        return [unreadable_finding(path, error.strerror or str(error))]
    return lint_bytes(data, file=path, rules=rules) if named or _looks_like_dag(data) else None


def lint_bytes(data: bytes, *, file: str, rules: frozenset[str]) -> list[LintFinding]:
    """The findings of a file's content.

    Args:
        data: The content.
        file: The name to report.
        rules: Ids of the rules to check.
    """
    try:
        text = _decode(data)
    except (SyntaxError, ValueError, LookupError) as error:
        return [unreadable_finding(file, str(error))]
    return lint_text(text, file=file, rules=rules)


def lint_text(
    text: str, *, file: str = "<text>", rules: frozenset[str] | None = None
) -> list[LintFinding]:
    """All that the rules find in a DAG file, in its order. Nothing of it is run.

    Args:
        text: The file's content.
        file: The name to report.
        rules: Ids of the rules to check; None for those that are on by default.
    """
    rules = select_rules() if rules is None else rules
    try:
        source = DagSource.parse(file, text)
    except SyntaxError as error:
        return [unreadable_finding(file, error.msg, line=error.lineno, column=error.offset)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [unreadable_finding(file, str(error) or type(error).__name__)]
    silenced, unknown = _comments(source, text)
    found = [*unknown, *(each for subject in _SUBJECTS for each in subject.check(source))]
    kept = {
        each: None
        for each in found
        if each.rule.id in rules and each.rule.id not in silenced.get(each.line, ())
    }
    return sorted(kept, key=lambda each: (each.line, each.column, each.rule.id))


def unreadable_finding(
    file: str, why: str, *, line: int | None = None, column: int | None = None
) -> LintFinding:
    """The finding for a file that cannot be checked."""
    return LintFinding(
        UNREADABLE,
        file,
        line or 1,
        max(column or 1, 1),
        f"cannot be checked: {why}",
        UNREADABLE.fix,
    )


def _comments(source: DagSource, text: str) -> tuple[dict[int, set[str]], list[LintFinding]]:
    """Line to the ids silenced there, and a finding for every id that is none."""
    silenced: dict[int, set[str]] = {}
    unknown = []
    for token in _tokens(text):
        match = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        ids = {part.strip().upper() for part in match[1].split(",")} if match else set()
        for each in sorted(ids - RULES.keys()):
            place = ast.Pass(lineno=token.start[0], col_offset=token.start[1])
            message = f"the comment names {each or 'no rule'}, which podmap does not have"
            unknown.append(source.finding(USELESS_COMMENT, place, message))
        silenced.setdefault(token.start[0], set()).update(ids)
    return silenced, unknown


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        # The tree could be parsed; comments after the place where this gives up are not seen.
        return


def _decode(data: bytes) -> str:
    """The text of a Python file, by its byte order mark or coding comment.

    Raises:
        SyntaxError: The encoding is unknown.
        UnicodeDecodeError: It is not in that encoding.
    """
    lines = iter(data.splitlines(keepends=True))
    encoding, _ = tokenize.detect_encoding(lambda: next(lines, b""))
    return data.decode(encoding)


def _looks_like_dag(data: bytes) -> bool:
    """Whether Airflow's safe mode would read the file: it names airflow, and a dag or asset."""
    low = data.lower()
    return b"airflow" in low and (b"dag" in low or b"asset" in low)
