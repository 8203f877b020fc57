"""What a lint rule is, what it sees of a DAG file, and what it finds there."""

from __future__ import annotations

import ast
import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from podmap.lint.expressions import Expressions
from podmap.lint.scopes import NameScopes


class RuleOutcome(enum.Enum):
    """What Airflow 3.3 does with the code that a rule finds."""

    BROKEN = "broken"
    IGNORED = "ignored in silence"
    DEPRECATED = "deprecated"
    RISK = "works, but"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that DAG files do and that Airflow 3.3 does not do for them.

    Attributes:
        id: Stable; what `--select`, `--ignore` and comments name.
        name: A few words for people, joined by hyphens.
        outcome: What becomes of the code.
        happens: What Airflow 3.3 does, as a sentence.
        fix: The right form in general; a finding may say it more exactly.
        bad: A small DAG file in which the rule finds something; other rules find nothing in it.
        good: The same in the right form; no rule finds anything in it.
        on: Whether the rule is checked unless it is asked for by its id.
    """

    id: str
    name: str
    outcome: RuleOutcome
    happens: str
    fix: str
    bad: str
    good: str
    on: bool = True

    @property
    def severity(self) -> str:
        """`error` for what does not do what it says, else `warning`."""
        return "error" if self.outcome in (RuleOutcome.BROKEN, RuleOutcome.IGNORED) else "warning"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """A place in a file where a rule holds.

    Attributes:
        rule: The rule.
        file: The file's name as it was given.
        line: One-based.
        column: One-based.
        message: What is there and what happens with it.
        fix: The right form.
    """

    rule: Rule
    file: str
    line: int
    column: int
    message: str
    fix: str

    def describe(self) -> str:
        """`FILE:LINE:COL: ID severity: message` and the right form, on two lines."""
        place = f"{self.file}:{self.line}:{self.column}"
        head = f"{place}: {self.rule.id} {self.rule.severity}: {self.message}"
        return f"{head}\n    {self.fix}"

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON value."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "rule": self.rule.id,
            "name": self.rule.name,
            "severity": self.rule.severity,
            "outcome": self.rule.outcome.value,
            "message": self.message,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class DagSource:
    """A DAG file as the rules see it.

    Attributes:
        file: Its name as it was given.
        tree: Its syntax tree.
        scopes: Where its names are bound.
        expressions: What its expressions are to Airflow.
    """

    file: str
    tree: ast.Module
    scopes: NameScopes
    expressions: Expressions

    @classmethod
    def parse(cls, file: str, text: str) -> DagSource:
        """The source of a text.

        Raises:
            SyntaxError: It is not Python.
            ValueError: It holds null bytes.
        """
        tree = ast.parse(text, file)
        scopes = NameScopes(tree)
        return cls(file, tree, scopes, Expressions(scopes))

    def nodes(self) -> Iterator[ast.AST]:
        """All nodes of the file."""
        return ast.walk(self.tree)

    def calls(self) -> Iterator[ast.Call]:
        """All calls of the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def finding(self, rule: Rule, node: ast.AST, message: str = "", fix: str = "") -> LintFinding:
        """A finding at a node; without words, those of the rule."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return LintFinding(
            rule, self.file, line, column + 1, message or rule.happens, fix or rule.fix
        )


def count_by_rule(findings: Iterable[LintFinding]) -> dict[str, int]:
    """Rule id to the number of its findings, in the order of ids; rules without are left out."""
    return dict(sorted(Counter(finding.rule.id for finding in findings).items()))


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """The keyword argument of a call; None if it is not given by name."""
    return next((word for word in call.keywords if word.arg == name), None)


def has_double_star(call: ast.Call) -> bool:
    """Whether a call takes keyword arguments that the file does not name (`**kwargs`)."""
    return any(word.arg is None for word in call.keywords)
