from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.spec.yaml import YamlError, parse, scalar, to_data


def read(text: str) -> Any:
    node, complaints = parse(text)
    assert [] == complaints
    return to_data(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E+3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.25", -0.25),
        ("12", 12),
        ("+7", 7),
        ("010", 10),
        ("0o10", 8),
        ("0xfF", 255),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("12:30:45", "12:30:45"),
        ("2026-11-01", "2026-11-01"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("e5", "e5"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    read_value = scalar(text)
    assert (type(value), value) == (type(read_value), read_value)


def test_quoted_scalars_are_text() -> None:
    assert ["1e-4", "true", "null", ""] == read("['1e-4', \"true\", 'null', '']")


def test_keys_are_text_whatever_they_look_like() -> None:
    assert {"2": "fail", "true": 1, "null": 2} == read("2: fail\ntrue: 1\nnull: 2")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_being_written_and_read(number: float) -> None:
    assert number == scalar(repr(number))


def test_every_key_and_value_has_its_line_and_column() -> None:
    node, _ = parse("a:\n  b: [1,\n      {c: 2}]\n")
    assert (2, 3) == node.mark_of(("a", "b"), key=True)
    assert (2, 6) == node.mark_of(("a", "b"))
    assert (2, 7) == node.mark_of(("a", "b", 0))
    assert (3, 8) == node.mark_of(("a", "b", 1, "c"), key=True)
    assert (3, 11) == node.mark_of(("a", "b", 1, "c"))


def test_what_is_missing_is_placed_at_the_key_of_what_it_is_missing_from() -> None:
    node, _ = parse("x: 1\na:\n  b: 1\n")
    assert (2, 1) == node.mark_of(("a", "missing"))
    assert (1, 1) == node.mark_of(("missing",))


def test_aliases_are_copied() -> None:
    data = read("a: &x [1, 2]\nb: *x")
    assert {"a": [1, 2], "b": [1, 2]} == data
    assert data["a"] is not data["b"]


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    with pytest.raises(YamlError, match="too large: it has more values"):
        parse("\n".join(lines))


def test_a_value_cannot_hold_itself() -> None:
    with pytest.raises(YamlError, match=r"the alias \*a has no anchor before it"):
        parse("&a [*a]")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 5000, "- " * 5000], ids=["[", "{", "-"])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(YamlError, match="more than 100 levels of nesting"):
        parse(text)


def test_a_large_text_is_refused() -> None:
    with pytest.raises(YamlError, match="too large"):
        parse("a: " + "x" * 1_048_576)


@pytest.mark.parametrize(
    ("text", "message", "mark"),
    [
        ("a: 1\n---\nb: 1", "a second document", (2, 1)),
        ("a: !!binary aGk=", "the tag !!binary is not read", (1, 4)),
        ("a: !local {b: 1}", "the tag !local is not read", (1, 4)),
        ("!!str a: 1", "the tag !!str is not read", (1, 1)),
        ("? [a]\n: 1", "a key must be text", (1, 3)),
        ("a: 1\n: 2", "a key is missing before the colon", (2, 1)),
        ("a: 'b", "not YAML", (1, 6)),
        ("a: b: c", "not YAML: mapping values are not allowed here", (1, 5)),
        ("a: \x07b", "the character .* is not allowed", (1, 4)),
        ("", "the file is empty", (1, 1)),
    ],
)
def test_unreadable_text_says_why_and_where(text: str, message: str, mark: tuple[int, int]) -> None:
    with pytest.raises(YamlError, match=message) as error:
        parse(text)
    assert mark == error.value.mark


def test_duplicate_and_merge_keys_are_all_told() -> None:
    _, complaints = parse("a: 1\nb: {c: 1, c: 2}\na: 2\n<<: {d: 1}\n")
    assert [
        ("the key 'c' is given twice, first on line 2", (2, 11)),
        ("the key 'a' is given twice, first on line 1", (3, 1)),
        ("merge keys (<<) are not read: write the keys out", (4, 1)),
    ] == [(complaint.message, complaint.mark) for complaint in complaints]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert {"<<": 1} == read("'<<': 1")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(YamlError):
        parse(text)
