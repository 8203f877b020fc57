"""The filter of tables, as `lr > 0.01 and model = svm`: read once, then asked of each row."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from podmap.errors import UsageError

DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    r"""|(?P<sign>==|!=|<=|>=|[=<>~()])|(?P<word>[^\s"'=!<>~()]+))""",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_SIGNS = {"=", "==", "!=", "<", "<=", ">", ">=", "~"}
_JOINS = ("and", "or", "not")
_ALIASES = {"trial": "number", "took": "duration_s"}

Row: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Row], bool]


class WhereError(UsageError):
    """A filter that cannot be understood.

    Attributes:
        at: How many characters stand before the place.
    """

    def __init__(self, text: str, at: int, message: str) -> None:
        """Of the filter's text, the place in it, and what is wrong there."""
        super().__init__(f"filter {text!r}, character {at + 1}: {message}")
        self.at = at


@dataclass(frozen=True, slots=True)
class Where:
    """A filter that was understood.

    Attributes:
        text: As it was written.
        test: Whether a row passes.
        names: The columns that it looks at, as they were written, with their places in the text.
    """

    text: str
    test: Test
    names: tuple[tuple[str, int], ...] = ()

    def matches(self, row: Row) -> bool:
        """Whether a row passes: column to value, where a column that is not there is null."""
        return self.test(row)

    def check_names(self, columns: Collection[str]) -> None:
        """Refuses columns that no row has.

        Args:
            columns: All that there are; params and metrics as `params.lr` and `metrics.loss`.

        Raises:
            WhereError: One of them is not there; with the names that are like it.
        """
        for name, at in self.names:
            if find_column(name, columns) is None:
                raise WhereError(self.text, at, why_no_column(name, columns))


def find_column(name: str, columns: Collection[str]) -> str | None:
    """The column that a name means: itself, then a param or a metric; None if there is none."""
    return next((each for each in _spellings(name) if each in columns), None)


def why_no_column(name: str, columns: Collection[str]) -> str:
    """That there is no such column, and the one that is meant perhaps, or some that there are."""
    short = [each.partition(".")[2] for each in columns if "." in each]
    near = difflib.get_close_matches(name, [*columns, *short, *_ALIASES], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {_some(columns)}"
    return f"there is no column {name!r}; {hint}"


def parse_where(text: str) -> Where:
    """Reads a filter.

    Comparisons `name = value` (also `==`, `!=`, `<`, `<=`, `>`, `>=`, and `~` for "contains") are
    joined by `and`, `or`, `not` and parentheses. Numbers are compared as numbers, all else as text
    whose case does not count; a value that is missing equals `null` alone.

    Args:
        text: The filter; one without a word passes all rows.

    Raises:
        WhereError: It cannot be understood.
    """
    return _FilterReader(text).read()


@dataclass(frozen=True, slots=True)
class _Word:
    """One part of a filter: `kind` is quoted, sign, word or end."""

    kind: str
    text: str
    at: int

    def joins(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.text in signs

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


@dataclass(slots=True)
class _FilterReader:
    """Reads a filter from left to right: `or` binds less than `and`, and that less than `not`."""

    text: str
    words: list[_Word] = field(default_factory=list)
    place: int = 0
    names: list[tuple[str, int]] = field(default_factory=list)

    def read(self) -> Where:
        self.words = self._split()
        if self._next.kind == "end":
            return Where(self.text, lambda row: True)
        test = self._any_of(0)
        if self._next.kind != "end":
            hint = "; text with blanks stands in quotes" if self._next.kind != "sign" else ""
            raise self._error(f"expected 'and', 'or' or the end, not {self._next.shown}{hint}")
        return Where(self.text, test, tuple(self.names))

    def _split(self) -> list[_Word]:
        words, at = [], 0
        end = len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None:
                at += len(self.text[at:]) - len(self.text[at:].lstrip())
                open_quote = self.text[at] in "\"'"
                why = "this quote is not closed" if open_quote else "'!' stands before '=' only"
                raise WhereError(self.text, at, why)
            kind = str(found.lastgroup)
            words.append(_Word(kind, _plain(found[kind], kind), found.start(kind)))
            at = found.end()
        return [*words, _Word("end", "", end)]

    @property
    def _next(self) -> _Word:
        return self.words[self.place]

    def _take(self) -> _Word:
        self.place += 1
        return self.words[self.place - 1]

    def _error(self, message: str) -> WhereError:
        return WhereError(self.text, self._next.at, message)

    def _any_of(self, depth: int) -> Test:
        tests = [self._all_of(depth)]
        while self._next.joins("or"):
            self._take()
            tests.append(self._all_of(depth))
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all_of(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._next.joins("and"):
            self._take()
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} levels of parentheses and 'not'")
        if self._next.joins("not"):
            self._take()
            negated = self._one(depth + 1)
            return lambda row: not negated(row)
        if self._next.is_sign("("):
            self._take()
            test = self._any_of(depth + 1)
            if not self._next.is_sign(")"):
                raise self._error(f"expected ')', not {self._next.shown}")
            self._take()
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        if self._next.kind not in ("word", "quoted") or self._next.joins(*_JOINS):
            raise self._error(f"expected the name of a column, not {self._next.shown}")
        name = self._take()
        if not self._next.is_sign(*_SIGNS):
            signs = "= != < <= > >= ~"
            raise self._error(
                f"expected one of {signs} after {name.text!r}, not {self._next.shown}"
            )
        sign = self._take().text
        if self._next.kind not in ("word", "quoted") or self._next.joins(*_JOINS):
            raise self._error(f"expected a value, not {self._next.shown}")
        self.names.append((name.text, name.at))
        return _comparing(_spellings(name.text), sign, self._take())


def _plain(raw: str, kind: str) -> str:
    return re.sub(r"\\(.)", r"\1", raw[1:-1], flags=re.DOTALL) if kind == "quoted" else raw


def _some(columns: Collection[str]) -> str:
    names = list(columns)
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "")


def _spellings(name: str) -> tuple[str, ...]:
    """The columns that a name may mean, the first that is there counts."""
    return (name, _ALIASES.get(name, name), f"params.{name}", f"metrics.{name}")


def _comparing(spellings: tuple[str, ...], sign: str, word: _Word) -> Test:
    bare = word.kind == "word"
    number = float(word.text) if bare and _NUMBER.fullmatch(word.text) else None
    is_null = bare and word.text.lower() == "null"
    wanted = word.text.casefold()

    def equals(cell: Any) -> bool:
        if cell is None or is_null:
            return cell is None and is_null
        if number is not None and _is_number(cell):
            return bool(cell == number)
        return _as_text(cell) == wanted

    def contains(cell: Any) -> bool:
        return cell is not None and wanted in _as_text(cell)

    def ordered(cell: Any) -> bool:
        if number is not None:
            return _is_number(cell) and _in_order(cell, sign, number)
        return isinstance(cell, str) and _in_order(cell.casefold(), sign, wanted)

    tests = {"=": equals, "==": equals, "!=": lambda cell: not equals(cell), "~": contains}
    test = tests.get(sign, ordered)

    def of_row(row: Row) -> bool:
        return test(next((row[each] for each in spellings if each in row), None))

    return of_row


def _in_order(one: Any, sign: str, other: Any) -> bool:
    if sign.startswith("<"):
        return bool(one < other or (sign == "<=" and one == other))
    return bool(one > other or (sign == ">=" and one == other))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.casefold()
