"""A result that was cut gives what is certain: never a wrong value, and all that is whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.base import Cut
from podmap.engine.cut_result import leading_pairs, trailing_pairs, whole_pairs

# Text that looks like JSON's own marks is what could deceive a reader.
TEXTS = st.text(st.sampled_from('",:{}[]\\ \nyé1'), max_size=12) | st.text(
    st.characters(codec="utf-8"), max_size=5
)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False)
VALUES = st.recursive(
    NUMBERS | st.booleans() | st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.just("y") | TEXTS, VALUES)


def encoded(whole: dict[str, Any], *, indent: int | None, ascii_only: bool) -> bytes:
    return json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", {}),
        (b"{", {}),
        (b"[1, 2", {}),
        (b'{"a": 1', {}),
        (b'{"a": 1,', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": 12.', {}),
        (b'{"a": 1e', {}),
        (b'{"a": 1.5e-', {}),
        (b'{"a": 1, "b": -', {"a": 1}),
        (b'{"a": 1, "b": tru', {"a": 1}),
        (b'{"a": [1, 2], "b": 3', {"a": [1, 2]}),
        (b'{"a": 1, 2: 3, ', {"a": 1}),
        (b' {"a":1 ,"b" : 2 , ', {"a": 1, "b": 2}),
        (b'{"a": 1, "\xc3', {"a": 1}),
        (b'{"a": 1, "\xff": 2, ', {"a": 1}),
        (b'{"a": 1, "b": ' + b"[" * 100_000, {"a": 1}),
    ],
)
def test_leading_pairs(raw: bytes, pairs: dict[str, Any]) -> None:
    assert pairs == leading_pairs(raw)


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", {}),
        (b"}", {}),
        (b", 3]", {}),
        (b'1, 2], "y": 3}', {"y": 3}),
        (b'.5, "a": 1,\n  "y": 3\n}\n', {"a": 1, "y": 3}),
        (b', "y": 3}', {"y": 3}),
        (b'"y": 3}', {}),
        (b' "y": 3}', {}),
        (b', "a": 1}}', {}),
        (b', "a": 1}, "y": 2}', {"y": 2}),
        (b', "a": 1}], "y": {"z": 2}}', {"y": {"z": 2}}),
        (b'say, \\"y": 1}', {}),
        (b'x, "y": 1}"}', {}),
        (b'", "y": 1}', {"y": 1}),
        (b'\xa9", "y": 1}', {"y": 1}),
        ('\N{REPLACEMENT CHARACTER}é, "y": 1}'.encode(), {"y": 1}),
        (b'\xff\xfe, "y": 1}', {}),
        (b', "y": NaN', {}),
        (b', "y": 1} trailing', {}),
        (b', "b": ' + b"[" * 100_000 + b"}", {}),
    ],
)
def test_trailing_pairs(raw: bytes, pairs: dict[str, Any]) -> None:
    assert pairs == trailing_pairs(raw)


def test_with_both_ends_gone_nothing_is_certain() -> None:
    assert {} == whole_pairs(b'{"y": 1, "z": 2}', Cut.BOTH)


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_wherever_the_end_is_cut_the_pairs_before_it_are_read(
    whole: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    raw = encoded(whole, indent=indent, ascii_only=ascii_only)
    pairs = list(whole.items())
    ends = [raw_end(dict(pairs[: n + 1]), indent, ascii_only) for n in range(len(pairs) - 1)]
    for place in range(len(raw)):
        expected = sum(end < place for end in ends)  # with the comma behind them
        got = list(whole_pairs(raw[:place], Cut.END).items())
        assert pairs[:expected] == got[:expected]
        assert pairs[: len(got)] == got


def raw_end(leading: dict[str, Any], indent: int | None, ascii_only: bool) -> int:
    """Where an object's last value ends."""
    return len(encoded(leading, indent=indent, ascii_only=ascii_only)) - (
        1 if indent is None else 2
    )


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_wherever_the_beginning_is_cut_the_pairs_behind_it_are_read(
    whole: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    raw = encoded(whole, indent=indent, ascii_only=ascii_only)
    pairs = list(whole.items())
    commas = [raw_end(dict(pairs[: n + 1]), indent, ascii_only) for n in range(len(pairs) - 1)]
    for place in range(1, len(raw) + 1):
        kept = sum(comma >= place for comma in commas)
        got = list(whole_pairs(raw[place:], Cut.START).items())
        assert pairs[len(pairs) - kept :] == got


@given(OBJECTS, st.integers(1, 10_000))
def test_a_character_that_was_cut_through_and_replaced_does_no_harm(
    whole: dict[str, Any], place: int
) -> None:
    raw = encoded(whole, indent=None, ascii_only=False)
    cut = raw[place % (len(raw) + 1) or 1 :].decode("utf-8", "replace").encode()
    pairs = list(whole.items())
    got = list(trailing_pairs(cut).items())
    assert pairs[len(pairs) - len(got) :] == got


@given(st.binary(max_size=60), st.sampled_from(Cut))
def test_whatever_was_written_nothing_is_raised(raw: bytes, cut: Cut) -> None:
    assert isinstance(whole_pairs(raw, cut), dict)
