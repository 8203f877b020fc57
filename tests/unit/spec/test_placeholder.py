from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.spec.placeholder import Placeholder, fill_placeholders, find_placeholders, to_text

VALUES = {"params": {"lr": 0.01, "a.b-c": 1}, "trial": {"number": 3}, "sweep": {"name": "digits"}}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{params.lr}", "0.01"),
        ("--lr={params.lr}/{trial.number}", "--lr=0.01/3"),
        ("{params.a.b-c}", "1"),
        ("{{params.lr}}", "{params.lr}"),
        ("{{params.nope}}", "{params.nope}"),
        ("{{{params.lr}}}", "{{params.lr}}"),
        ("{other.lr}", "{other.lr}"),
        ("{params}", "{params}"),
        ("{params.}", "{params.}"),
        ("{ params.lr }", "{ params.lr }"),
        ("{params.lr", "{params.lr"),
        ("{{}} {} {0} ${HOME}", "{{}} {} {0} ${HOME}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{trial.suggest('x')}", "{trial.suggest('x')}"),
    ],
)
def test_only_known_roots_are_replaced(text: str, filled: str) -> None:
    assert filled == fill_placeholders(text, VALUES)


def test_a_value_that_looks_like_a_placeholder_stays_as_it_is() -> None:
    values = {"params": {"a": "{params.b}", "b": "{{params.a}}"}}
    assert "{params.b} {{params.a}}" == fill_placeholders("{params.a} {params.b}", values)


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(LookupError, match=r"\{params.x\} has no value"):
        fill_placeholders("{params.lr} {params.x}", VALUES)
    with pytest.raises(LookupError, match=r"\{shard.uri\} has no value"):
        fill_placeholders("{shard.uri}", VALUES)


def test_find_gives_placeholders_in_order_and_leaves_escaped_ones_out() -> None:
    found = find_placeholders("x{params.lr}{{params.lr}}{run.id}")
    assert [Placeholder("params", "lr"), Placeholder("run", "id")] == found
    assert ["{params.lr}", "{run.id}"] == [str(one) for one in found]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b\n'\"{}", "a b\n'\"{}"),
        (0.01, "0.01"),
        (1e-05, "1e-05"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1.0, "1.0"),
        (3, "3"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ([1, "ä", None], '[1, "ä", null]'),
        ({"a": [True]}, '{"a": [true]}'),
    ],
)
def test_values_are_written_as_training_code_reads_them(value: Any, text: str) -> None:
    assert text == to_text(value)


@given(st.text(max_size=40))
def test_text_reaches_the_trial_unchanged(value: str) -> None:
    assert f"<{value}>" == fill_placeholders("<{params.x}>", {"params": {"x": value}})


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans())
def test_numbers_read_back_to_the_same_value(value: float) -> None:
    assert value == json.loads(to_text(value))
