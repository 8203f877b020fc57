"""What a rule is, and what it finds."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Outcome(enum.Enum):
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
    outcome: Outcome
    happens: str
    fix: str
    bad: str
    good: str
    on: bool = True

    @property
    def severity(self) -> str:
        """`error` for what does not do what it says, else `warning`."""
        return "error" if self.outcome in (Outcome.BROKEN, Outcome.IGNORED) else "warning"


@dataclass(frozen=True, slots=True)
class Finding:
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


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Rule id to the number of its findings, in the order of ids; rules without are left out."""
    return dict(sorted(Counter(finding.rule.id for finding in findings).items()))
