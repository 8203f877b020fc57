"""A spec's plain data: of YAML 1.2, with the place of every key and value, or of a mapping.

Of YAML only the core schema is read: no tags, no merge keys, no second document. Duplicate keys are
errors, and size, depth and the number of values are limited, so that no file can hang a reader.
"""

from __future__ import annotations

import datetime
import enum
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from podmap.spec.characters import with_pairs_joined
from podmap.spec.findings import Finding, Place, show
from podmap.spec.placeholder import find_placeholders

MAX_CHARACTERS = 1_048_576
MAX_VALUES = 250_000
MAX_TEXT = 4 * MAX_CHARACTERS
MAX_DEPTH = 100
TOO_LARGE = 10**300
"""Below it every whole number is also a finite float."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True}
_BOOLS |= {"false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,4000}")
_OTHER_INT = re.compile(r"0o[0-7]{1,4000}|0x[0-9a-fA-F]{1,4000}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

Mark = tuple[int, int]
"""One-based line and column."""


class YamlError(Exception):
    """The text is not YAML that podmap reads; nothing can be said about what is in it."""

    def __init__(self, message: str, mark: Mark) -> None:
        self.message = message
        self.mark = mark
        super().__init__(message)


@dataclass(slots=True)
class Node:
    """A value with its mark; `keys` holds the marks of a mapping's keys.

    `written` is the text of a number, true, false or null as it stands in the file, else empty.
    """

    value: dict[str, Node] | list[Node] | str | int | float | None
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    written: str = ""

    def at(self, place: Place) -> Node | None:
        """The node at a place; None if there is none."""
        node: Node | None = self
        for part in place:
            value: Any = node.value if node is not None else None
            if isinstance(value, list):
                value = dict(enumerate(value))
            node = value.get(part) if isinstance(value, dict) else None
        return node

    def mark_of(self, place: Place, *, key: bool = False) -> Mark:
        """The mark of what stands at a place, or of the nearest thing around it that exists.

        Args:
            place: Keys and indexes from here.
            key: Whether to return the mark of the key instead of its value's.
        """
        node, mark = self, self.mark
        for depth, part in enumerate(place):
            children: Any = node.value
            if isinstance(children, dict) and part in children:
                key_mark = node.keys[str(part)]
            elif isinstance(children, list) and isinstance(part, int) and part < len(children):
                key_mark = children[part].mark
            else:
                return mark
            node = children[part]
            # What is missing in a mapping is reported at the mapping's own key.
            last = depth == len(place) - 1
            mark = node.mark if last and not key else key_mark
        return mark


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something wrong with the YAML that does not keep the rest from being read."""

    message: str
    mark: Mark


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar under YAML 1.2's core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OTHER_INT.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL_FLOAT.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def parse(text: str) -> tuple[Node, list[Complaint]]:
    """The one document in a text, and what is wrong with it.

    Raises:
        YamlError: It is not YAML, has a tag, several documents, or passes a limit.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    if len(text) > MAX_CHARACTERS:
        raise YamlError(too_large(f"it has {len(text):,} characters"), (1, 1))
    try:
        return _Reader(YAML(typ="safe", pure=True).parse(text)).document()
    except YamlError as error:
        raise YamlError(error.message + _unquoted(text, error.mark), error.mark) from error
    except MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = (1, 1) if at is None else (at.line + 1, at.column + 1)
        parts = [part for part in (error.context, error.problem) if part]
        hint = "; indent with spaces" if "'\\t'" in parts[-1] else ""
        hint = hint or _unquoted(text, mark)
        raise YamlError(f"not YAML: {', '.join(parts)}{hint}", mark) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        message = f"not YAML: the character {error.character!r} is not allowed"
        raise YamlError(message, (line, column)) from error


def _unquoted(text: str, mark: Mark) -> str:
    """What to do, where the line of an error has a placeholder that may lack its quotes."""
    lines = text.split("\n")[mark[0] - 1 :]
    found = find_placeholders("".join(lines[:1]).replace("{{", "{").replace("}}", "}"))
    return f"; put quotes around a text that holds {found[0]}" if found else ""


def too_large(what: str) -> str:
    """The message for what is more than a spec may hold."""
    return (
        f"the spec is too large: {what}; at most {MAX_CHARACTERS:,} characters and "
        f"{MAX_VALUES:,} values are read (put long lists of items into a CSV or JSONL file)"
    )


class _Reader:
    def __init__(self, events: Iterable[Any]) -> None:
        self._events: Iterator[Any] = iter(events)
        self._anchors: dict[str, Node] = {}
        self._complaints: list[Complaint] = []
        self._values = 0
        self._text = 0

    def document(self) -> tuple[Node, list[Complaint]]:
        root: Node | None = None
        for event in self._events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                if root is not None:
                    raise YamlError("a second document: a file holds one spec", _mark(event))
                root = self._node(next(self._events), 0)
        if root is None:
            raise YamlError("the file is empty: a spec is needed", (1, 1))
        return root, self._complaints

    def _node(self, event: Any, depth: int) -> Node:
        name = type(event).__name__
        mark = _mark(event)
        self._count(1, mark)
        if depth > MAX_DEPTH:
            raise YamlError(f"more than {MAX_DEPTH} levels of nesting", mark)
        if name == "AliasEvent":
            return self._alias(event, mark)
        if event.tag is not None:
            raise YamlError(_tagged(event), mark)
        if name == "ScalarEvent":
            self._count_text(event.value, mark)
            node = _scalar_node(event, mark)
        elif name == "SequenceStartEvent":
            node = self._sequence(mark, depth)
        else:
            node = self._mapping(mark, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, mark: Mark) -> Node:
        # An anchor counts only once its node has ended: no value can hold itself.
        node = self._anchors.get(event.anchor)
        if node is None:
            raise YamlError(f"the alias *{event.anchor} has no anchor before it", mark)
        for one in _walk(node):
            self._count(1, mark)
            for text in one.value if isinstance(one.value, dict) else (one.value,):
                self._count_text(text, mark)
        return node

    def _count(self, values: int, mark: Mark) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise YamlError(too_large("it has more values, aliases written out"), mark)

    def _count_text(self, text: Any, mark: Mark) -> None:
        self._text += len(text) if isinstance(text, str) else 0
        if self._text > MAX_TEXT:
            what = f"it has more than {MAX_TEXT:,} characters, aliases written out"
            raise YamlError(too_large(what), mark)

    def _sequence(self, mark: Mark, depth: int) -> Node:
        items: list[Node] = []
        for event in self._events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, depth + 1))
        return Node(items, mark)

    def _mapping(self, mark: Mark, depth: int) -> Node:
        items: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for event in self._events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._key(event)
            key_mark = _mark(event)
            node = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if key in items:
                first = f"line {keys[key][0]}"
                message = f"the key {key!r} is given twice, first on {first}"
                self._complaints.append(Complaint(message, key_mark))
                continue
            items[key], keys[key] = node, key_mark
        return Node(items, mark, keys)

    def _key(self, event: Any) -> str | None:
        mark = _mark(event)
        if type(event).__name__ != "ScalarEvent":
            raise YamlError("a key must be text or a number", mark)
        if event.tag is not None:
            raise YamlError(_tagged(event), mark)
        if event.implicit[0] and event.value == "<<":
            message = "merge keys (<<) are not read: write the keys out"
            self._complaints.append(Complaint(message, mark))
            return None
        if event.implicit[0] and event.value == "":
            raise YamlError("a key is missing before the colon", mark)
        return with_pairs_joined(str(event.value))


def _scalar_node(event: Any, mark: Mark) -> Node:
    value = scalar(event.value) if event.implicit[0] else with_pairs_joined(event.value)
    written = "" if isinstance(value, str) else event.value
    return Node(value, mark, written=written)


def _tagged(event: Any) -> str:
    tag = event.tag.replace("tag:yaml.org,2002:", "!!")
    return f"the tag {tag} is not read: write the value without it"


def _mark(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _walk(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        if isinstance(one.value, dict):
            stack.extend(one.value.values())
        elif isinstance(one.value, list):
            stack.extend(one.value)


def to_data(node: Node) -> Any:
    """The plain data of a node; aliased parts are copied."""
    if isinstance(node.value, dict):
        return {key: to_data(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [to_data(child) for child in node.value]
    return node.value


def to_plain(value: Any, place: Place = ()) -> tuple[Any, list[Finding]]:
    """A deep copy of a value as plain JSON data, and what could not be kept.

    Keys become text, tuples become lists. What is not JSON (NaN, infinity, other types, the
    character NUL, which neither arguments nor environment can hold) becomes null with a finding.
    """
    findings: list[Finding] = []
    return _plain(value, place, findings), findings


def _plain(value: Any, place: Place, findings: list[Finding]) -> Any:
    if len(place) > MAX_DEPTH:
        findings.append(Finding(place[:3], "values are nested too deeply"))
        return None
    if isinstance(value, Mapping):
        return {
            key: _plain(child, (*place, key), findings)
            for key, child in _text_keys(value, place, findings)
        }
    if isinstance(value, (list, tuple)):
        return [_plain(child, (*place, i), findings) for i, child in enumerate(value)]
    value = unwrapped(value)
    if isinstance(value, list):
        return _plain(value, place, findings)
    wrong = _why_not_plain(value)
    if wrong:
        if "env" in place and isinstance(value, str):  # it may be a secret
            wrong = wrong.replace(show(value), "the value")
        findings.append(Finding(place, wrong))
        return None
    return value


def unwrapped(value: Any) -> Any:
    """A value of Python's own types, where it is one of an enum's or NumPy's that means it.

    Dates and times are their text in ISO 8601.
    """
    if isinstance(value, enum.Enum):
        return unwrapped(value.value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value)
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() if value.is_finite() else False
        return int(value) if whole and value.as_tuple().exponent == 0 else float(value)
    return value


def _text_keys(
    value: Mapping[Any, Any], place: Place, findings: list[Finding]
) -> list[tuple[str, Any]]:
    pairs = []
    for key, child in value.items():
        whole = isinstance(key, int) and not isinstance(key, bool) and abs(key) < TOO_LARGE
        if isinstance(key, str) or whole:
            pairs.append((str(key), child))
        else:
            findings.append(Finding(place, f"the key {show(key)} is not allowed: keys are text"))
    return pairs


def why_no_text(value: str) -> str:
    """Why neither an argument nor a variable can hold a text; empty if they can."""
    if "\0" in value:
        return f"{show(value)} holds the character NUL"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{show(value)} holds half of a surrogate pair, which is no character"
    return ""


def _why_not_plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if type(value) is int:
        return (
            "" if abs(value) < TOO_LARGE else "the number is too large: less than 1e300 is needed"
        )
    if type(value) is float:
        return "" if math.isfinite(value) else f"{value} is not allowed: numbers are finite"
    if type(value) is str:
        return why_no_text(value)
    return (
        f"a value of type {type(value).__name__} is not allowed: a spec holds mappings, lists, "
        "text, numbers, true, false and null"
    )
