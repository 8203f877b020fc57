"""Lints one text: all rules, less those that are not asked for and lines that silence them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping

from podmap.errors import UsageError
from podmap.lint import arguments, imports, mapping, outputs, pods, run_time, sweeps
from podmap.lint.finding import Finding, Outcome, Rule
from podmap.lint.source import Source

UNREADABLE = Rule(
    "PM001",
    "unreadable",
    Outcome.BROKEN,
    "The file cannot be read or is not Python: Airflow cannot import it either.",
    "correct the file; other files are checked all the same",
    bad="with DAG(\n",
    good="",
)
USELESS_COMMENT = Rule(
    "PM002",
    "unknown-rule-in-comment",
    Outcome.IGNORED,
    "The comment names a rule that podmap does not have, so it silences nothing.",
    "# podmap: ignore[PM101], with ids of this table",
    bad="PARALLEL = 8  # podmap: ignore[PM999]\n",
    good="PARALLEL = 8  # podmap: ignore[PM101]\n",
)
_CHECKS = (imports, arguments, run_time, mapping, outputs, pods, sweeps)
RULES: Mapping[str, Rule] = {
    rule.id: rule
    for rule in sorted(
        (UNREADABLE, USELESS_COMMENT, *(rule for part in _CHECKS for rule in part.RULES)),
        key=lambda rule: rule.id,
    )
}
"""All rules by id, in order."""

_COMMENT = re.compile(r"#\s*podmap:\s*ignore\s*\[([^\]]*)\]")


def chosen(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> frozenset[str]:
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


def lint(text: str, *, file: str = "<text>", rules: frozenset[str] | None = None) -> list[Finding]:
    """All that the rules find in a DAG file, in its order. Nothing of it is run.

    Args:
        text: The file's content.
        file: The name to report.
        rules: Ids of the rules to check; None for those that are on by default.
    """
    rules = chosen() if rules is None else rules
    try:
        source = Source.of(file, text)
    except SyntaxError as error:
        return [unreadable(file, error.msg, line=error.lineno, column=error.offset)]
    except (ValueError, RecursionError, MemoryError) as error:
        return [unreadable(file, str(error) or type(error).__name__)]
    silenced, unknown = _comments(source, text)
    found = [*unknown, *(each for part in _CHECKS for each in part.check(source))]
    kept = {
        each: None
        for each in found
        if each.rule.id in rules and each.rule.id not in silenced.get(each.line, ())
    }
    return sorted(kept, key=lambda each: (each.line, each.column, each.rule.id))


def unreadable(
    file: str, why: str, *, line: int | None = None, column: int | None = None
) -> Finding:
    """The finding for a file that cannot be checked."""
    return Finding(
        UNREADABLE,
        file,
        line or 1,
        max(column or 1, 1),
        f"cannot be checked: {why}",
        UNREADABLE.fix,
    )


def _comments(source: Source, text: str) -> tuple[dict[int, set[str]], list[Finding]]:
    """Line to the ids silenced there, and a finding for every id that is none."""
    silenced: dict[int, set[str]] = {}
    unknown = []
    for token in _tokens(text):
        match = _COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        ids = {part.strip().upper() for part in match[1].split(",")} if match else set()
        for each in sorted(ids - RULES.keys()):
            place = ast.Pass(lineno=token.start[0], col_offset=token.start[1])
            message = f"the comment names {each or 'no rule'}, which podmap does not have"
            unknown.append(source.found(USELESS_COMMENT, place, message))
        silenced.setdefault(token.start[0], set()).update(ids)
    return silenced, unknown


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        # The tree could be parsed; comments after the place where this gives up are not seen.
        return
