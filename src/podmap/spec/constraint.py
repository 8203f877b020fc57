"""Constraints on params together, as `params.batch * params.width <= 4096`: read, and asked.

The grammar is read by the parser here, and nothing is evaluated but what it knows:

    constraint = comparison { "and" comparison }
    comparison = sum ( "<=" | "<" | ">=" | ">" | "==" | "!=" ) sum { … }
    sum        = product { ( "+" | "-" ) product }
    product    = factor { ( "*" | "/" ) factor }
    factor     = [ "-" ] ( number | "params." name | "(" sum ")" )
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.spec.flat_params import flattened

MOST_CHARS = 500
_DEEPEST = 20
_CLOSE = 1e-12
"""Numbers that differ by less, relative to their size, are equal: 3 * 0.1 is 0.3."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])|(?P<word>[A-Za-z_][\w.]*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>]))",
    re.ASCII,
)
Span = tuple[float, float]
_ANY: Span = (-math.inf, math.inf)


class ConstraintError(ValueError):
    """Why a text is no constraint."""


class _NotANumberError(Exception):
    """A param that is named is not there, or no number."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A number, a param or a calculation."""

    sign: str
    number: float = 0
    name: str = ""
    parts: tuple[_Term, ...] = ()

    def value(self, params: Mapping[str, Any]) -> float:
        if self.sign == "number":
            return self.number
        if self.sign == "param":
            found = params.get(self.name)
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                raise _NotANumberError(self.name)
            return found
        return _ARITHMETIC[self.sign](*(part.value(params) for part in self.parts))

    def span(self, spans: Mapping[str, Span]) -> Span:
        """Between which ends the value is, by the arithmetic of intervals."""
        if self.sign == "number":
            return self.number, self.number
        if self.sign == "param":
            return spans.get(self.name, _ANY)
        (low, high), *others = (part.span(spans) for part in self.parts)
        other = others[0]
        if self.sign == "/" and other[0] <= 0 <= other[1]:
            return _ANY
        try:
            ends = [_ARITHMETIC[self.sign](a, b) for a in (low, high) for b in other]
        except ArithmeticError:
            return _ANY
        return _ANY if any(map(math.isnan, ends)) else (min(ends), max(ends))


_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@dataclass(frozen=True, slots=True)
class _Comparison:
    sign: str
    left: _Term
    right: _Term

    def holds(self, params: Mapping[str, Any]) -> bool:
        try:
            left, right = self.left.value(params), self.right.value(params)
            return _compare(self.sign, left, right)
        except _NotANumberError:
            return True
        except ArithmeticError:  # divided by zero, or too large: nothing that could be compared
            return False

    def never_holds(self, spans: Mapping[str, Span]) -> bool:
        (low, high), (low2, high2) = self.left.span(spans), self.right.span(spans)
        if self.sign in ("<", "<="):
            return not _compare(self.sign, low, high2)
        if self.sign in (">", ">="):
            return not _compare(self.sign, high, low2)
        if self.sign == "==":
            return not (_compare("<=", low, high2) and _compare(">=", high, low2))
        return low == high == low2 == high2


def _compare(sign: str, left: float, right: float) -> bool:
    same = left == right or math.isclose(left, right, rel_tol=_CLOSE)
    if sign in ("==", "!="):
        return same is (sign == "==")
    if same:
        return "=" in sign
    return left < right if sign[0] == "<" else left > right


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on the params of a trial.

    Attributes:
        text: As it was written.
        names: The params that it names, with dotted names for nested ones.
    """

    text: str
    names: tuple[str, ...]
    _comparisons: tuple[_Comparison, ...]

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Reads a constraint.

        Raises:
            ConstraintError: The text is none; it says where.
        """
        if len(text) > MOST_CHARS:
            raise ConstraintError(f"more than {MOST_CHARS} characters")
        parser = _Parser(text)
        comparisons = parser.comparisons()
        if not parser.names:
            raise ConstraintError("it names no param; one is written params.NAME")
        return cls(text, tuple(dict.fromkeys(parser.names)), tuple(comparisons))

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether params meet it; a comparison does not apply if a param in it is no number.

        Args:
            params: With dotted names for nested ones.
        """
        return all(one.holds(params) for one in self._comparisons)

    def never_holds(self, spans: Mapping[str, Span]) -> bool:
        """Whether no params can meet it, as far as the ends of their ranges tell.

        Args:
            spans: Param to its lowest and highest value; those that may be no number are missing.
        """
        return any(
            one.never_holds(spans)
            for one in self._comparisons
            if all(name in spans for name in _names(one.left, one.right))
        )


def _names(*terms: _Term) -> list[str]:
    own = [term.name for term in terms if term.name]
    return own + [name for term in terms for name in _names(*term.parts)]


class Constraints:
    """All constraints of a search; they may be none."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Reads them; of a checked spec.

        Raises:
            ConstraintError: A text is none.
        """
        self._all = tuple(map(Constraint.parse, texts))

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def names(self) -> frozenset[str]:
        """The params that they name."""
        return frozenset(name for one in self._all for name in one.names)

    def broken_by(self, params: Mapping[str, Any]) -> Constraint | None:
        """The first that params, nested or with dotted names, do not meet; None if all are met."""
        if not self._all:
            return None
        flat = flattened(params)
        return next((one for one in self._all if not one.holds(flat)), None)


class _Parser:
    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._text = text
        self._at = 0
        self._depth = 0
        self._next()

    def comparisons(self) -> list[_Comparison]:
        found = self._chain()
        while self._kind == "word" and self._token == "and":
            self._next()
            found += self._chain()
        if self._kind:
            raise self._wrong("a comparison, or `and`")
        return found

    def _next(self) -> None:
        rest = self._text[self._at :]
        match = _TOKEN.match(rest)
        if match is None:
            if rest.strip():
                self._token = rest.split()[0]
                raise self._wrong("numbers, params.NAME, + - * / ( ), <= < >= > == != and `and`")
            self._kind, self._token = "", ""
            return
        self._at += match.end()
        self._kind = str(match.lastgroup)
        self._token = match[self._kind]

    def _wrong(self, wanted: str) -> ConstraintError:
        found = f"{self._token!r}" if self._token else "the end"
        return ConstraintError(f"{found} is not allowed there: {wanted} can stand there")

    def _chain(self) -> list[_Comparison]:
        left = self._sum()
        found: list[_Comparison] = []
        while self._token in ("<=", "<", ">=", ">", "==", "!="):
            sign = self._token
            self._next()
            right = self._sum()
            found.append(_Comparison(sign, left, right))
            left = right
        if not found:
            raise self._wrong("<=, <, >=, >, == or !=")
        return found

    def _sum(self) -> _Term:
        return self._row(("+", "-"), self._product)

    def _product(self) -> _Term:
        return self._row(("*", "/"), self._factor)

    def _row(self, signs: tuple[str, ...], part: Callable[[], _Term]) -> _Term:
        left = part()
        while self._token in signs:
            sign = self._token
            self._next()
            left = _Term(sign, parts=(left, part()))
        return left

    def _factor(self) -> _Term:
        if self._token == "-":
            self._next()
            return _Term("-", parts=(_Term("number"), self._nested(self._factor)))
        if self._token == "(":
            self._next()
            found = self._nested(self._sum)
            if self._token != ")":
                raise self._wrong("a calculation, or )")
            self._next()
            return found
        found = self._leaf()
        self._next()
        return found

    def _leaf(self) -> _Term:
        if self._kind == "number":
            number = float(self._token)
            if math.isinf(number):
                raise ConstraintError(f"{self._token} is too large")
            return _Term("number", number=int(number) if self._token.isdigit() else number)
        if self._kind == "word" and self._token != "and":
            root, _, name = self._token.partition(".")
            if root != "params" or not name:
                raise ConstraintError(f"{self._token!r} is no param: one is written params.NAME")
            self.names.append(name)
            return _Term("param", name=name)
        raise self._wrong("a number, params.NAME or (")

    def _nested(self, part: Callable[[], _Term]) -> _Term:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ConstraintError(f"it is nested more than {_DEEPEST} deep")
        found = part()
        self._depth -= 1
        return found
