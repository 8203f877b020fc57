"""A DAG file as the rules see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from podmap.lint.finding import Finding, Rule
from podmap.lint.kinds import Kinds
from podmap.lint.scopes import Scopes


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file.

    Attributes:
        file: Its name as it was given.
        tree: Its syntax tree.
        scopes: Where its names are bound.
        kinds: What its expressions are to Airflow.
    """

    file: str
    tree: ast.Module
    scopes: Scopes
    kinds: Kinds

    @classmethod
    def of(cls, file: str, text: str) -> Source:
        """The source of a text.

        Raises:
            SyntaxError: It is not Python.
            ValueError: It holds null bytes.
        """
        tree = ast.parse(text, file)
        scopes = Scopes(tree)
        return cls(file, tree, scopes, Kinds(scopes))

    def nodes(self) -> Iterator[ast.AST]:
        """All nodes of the file."""
        return ast.walk(self.tree)

    def calls(self) -> Iterator[ast.Call]:
        """All calls of the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def found(self, rule: Rule, node: ast.AST, message: str = "", fix: str = "") -> Finding:
        """A finding at a node; without words, those of the rule."""
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return Finding(rule, self.file, line, column + 1, message or rule.happens, fix or rule.fix)


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """The keyword argument of a call; None if it is not given by name."""
    return next((word for word in call.keywords if word.arg == name), None)


def has_double_star(call: ast.Call) -> bool:
    """Whether a call takes keyword arguments that the file does not name (`**kwargs`)."""
    return any(word.arg is None for word in call.keywords)
