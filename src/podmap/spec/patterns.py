"""Patterns that read metrics from plain output: what they may be, and what they find in a line."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LINE_CHARS = 4096
"""Of a longer line no more is looked at."""
PATTERN_CHARS = 1000
STEP, VALUE = "step", "value"
_MISSING = "metrics needs the extra `metrics` of podmap: pip install 'podmap[metrics]'"
_DIGITS = ("0", "1", "2", "5", "9", "10", "42", "123", "1000", "12345", "1234567")
_LITERAL = re.compile(r"[A-Za-z0-9_]{2,}")


class PatternError(ValueError):
    """What is wrong with a pattern, and what to do about it."""

    def __init__(self, text: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Finds the value of a metric in a line, and perhaps its step, in time linear in the line.

    Attributes:
        metric: The metric's name; `step` where it finds the step alone.
        literal: A text that is in every line in which it finds something; may be empty.
    """

    metric: str
    literal: str
    _regex: Any
    _value: int
    _step: int | None

    @classmethod
    def compile(cls, metric: str, text: str) -> Pattern:
        """The pattern of a metric.

        Args:
            metric: The metric's name.
            text: A regular expression of RE2 with a group for the number: the only one, or that
                of the name `value`; a group named `step` is the step's.

        Raises:
            PatternError: It is none, or has no such group.
        """
        regex = _compiled(text)
        names = dict(regex.groupindex)
        value = _value_group(regex.groups, names)
        step = names.get(STEP) if metric != STEP else None
        if step is not None and not _may_match(_group(text, step), whole=True):
            raise PatternError(f"the group 'step', {_group(text, step)!r}, matches no whole number")
        if not _may_match(_group(text, value), whole=metric == STEP):
            number = "whole number" if metric == STEP else "number"
            raise PatternError(f"its group, {_group(text, value)!r}, matches no {number}")
        return cls(metric, _literal(text), regex, value, step)

    def find(self, line: str) -> tuple[float | None, int | None] | None:
        """The value and the step in a line, None where there is none; None without a match."""
        if self.literal not in line:
            return None
        found = self._regex.search(line)
        if found is None:
            return None
        step = _whole(found.group(self._step)) if self._step is not None else None
        return _number(found.group(self._value)), step


make_pattern = functools.lru_cache(maxsize=256)(Pattern.compile)
"""As `Pattern.compile`, once for all attempts of a run."""


def _compiled(text: str) -> Any:
    if len(text) > PATTERN_CHARS:
        raise PatternError(f"it has {len(text)} characters, and may have {PATTERN_CHARS}")
    try:
        import re2
    except ImportError:
        raise PatternError(_MISSING) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        why = error.args[0]
        shown = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        hint = "the engine is RE2: it has no lookaround and no backreferences"
        raise PatternError(f"{shown}", hint) from None
    except UnicodeEncodeError:
        raise PatternError("it holds what is no text") from None


def _value_group(groups: int, names: dict[str, int]) -> int:
    """The number of the group that holds the value."""
    if VALUE in names:
        return names[VALUE]
    others = [group for group in range(1, groups + 1) if group != names.get(STEP)]
    if len(others) == 1:
        return others[0]
    if not others:
        raise PatternError(
            "it has no group for the number", "put it into brackets, as in acc=([0-9.]+)"
        )
    raise PatternError(
        f"it has {len(others)} groups, and one is the number",
        "call that one (?P<value>...), or the others (?:...)",
    )


def _group(text: str, wanted: int) -> str:
    """What is inside a capturing group, by its number."""
    found = next((group for group in capturing_groups(text) if group.number == wanted), None)
    return text if found is None else text[found.begin : found.end]


@dataclass(frozen=True, slots=True)
class CapturingGroup:
    """A capturing group of an expression.

    Attributes:
        number: From 1, in the order of the opening brackets.
        opening: The place of its opening bracket.
        begin: Where what is inside begins.
        end: The place of its closing bracket.
    """

    number: int
    opening: int
    begin: int
    end: int


def capturing_groups(text: str) -> list[CapturingGroup]:
    """The capturing groups of a regular expression by their numbers, those that are closed."""
    opened: list[tuple[int, int, int]] = []
    found: list[CapturingGroup] = []
    count = index = 0
    while index < len(text):
        char = text[index]
        if text.startswith("\\Q", index):
            end = text.find("\\E", index)
            index = len(text) if end < 0 else end + 2
            continue
        if char == "\\":
            index += 2
            continue
        if char == "[":
            index = _class_end(text, index)
        elif char == "(":
            header = re.match(r"\(\?P?<\w+>|\((?!\?)", text[index:])
            count += header is not None
            opened.append((count if header else 0, index, index + (header.end() if header else 1)))
        elif char == ")" and opened:
            number, opening, begin = opened.pop()
            found += [CapturingGroup(number, opening, begin, index)] if number else []
        index += 1
    return sorted(found, key=lambda group: group.number)


def _class_end(text: str, index: int) -> int:
    """The place of the bracket that closes a class of characters."""
    index += 2 if text.startswith("[^", index) else 1
    first = index
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text.startswith("[:", index) and ":]" in text[index:]:
            index = text.index(":]", index) + 1
        elif text[index] == "]" and index > first:
            return index
        index += 1
    return index


def _numbers(*, whole: bool) -> Iterator[str]:
    signs = ("", "-", "+")
    if whole:
        yield from (sign + digits for sign, digits in itertools.product(signs, _DIGITS))
        return
    fractions = ("", ".", *(f".{digits}" for digits in (*_DIGITS, "91", "912", "9123", "91234")))
    exponents = ("", "e-05", "e5", "E+10")
    parts = itertools.product(signs, (*_DIGITS, ""), fractions, exponents)
    for sign, digits, fraction, exponent in parts:
        if any(char.isdigit() for char in digits + fraction):
            yield f"{sign}{digits}{fraction}{exponent}"


def _may_match(group: str, *, whole: bool) -> bool:
    """Whether what a group holds can be a number: some numbers of all shapes are tried."""
    try:
        regex = _compiled(f"(?:{group})")
    except PatternError:  # it is not what was taken to be the group
        return True
    return any(regex.fullmatch(number) for number in _numbers(whole=whole))


def _literal(text: str) -> str:
    """The longest text that must be in a line that matches; empty where that is not plain."""
    if "|" in text or "(?" in text.replace("(?P<", "").replace("(?:", "") or "\\Q" in text:
        return ""
    outside, depth, index = [], 0, 0
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
            outside.append("\\")
        elif char == "[":
            index = _class_end(text, index)
            outside.append("\\")
        elif char in "()":
            depth += 1 if char == "(" else -1
            outside.append("\\")
        elif depth == 0:
            outside.append(char)
        index += 1
    plain = re.sub(r"\w[*?{]", "\\\\", "".join(outside)).replace("{", "\\{")
    return max(_LITERAL.findall(re.sub(r"\{[^}]*\}", "\\\\", plain)), key=len, default="")


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").rstrip(".,;:"))
    except ValueError:
        return None


def _whole(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None
