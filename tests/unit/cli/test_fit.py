"""Tables that fit a width."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.cli._fit import cut_middle, fit_table, shown_width

HEAD = ["trial", "accuracy", "same", "model", "lr"]
ROWS = [
    ["0", "0.91", "5", "a tree with a long name, the first", "0.01"],
    ["12", "0.9", "5", "a tree with a long name, the other", "0.1"],
]


def test_a_table_with_room_has_all_columns_whole() -> None:
    table = fit_table(HEAD, ROWS, width=None)
    assert [
        "TRIAL  ACCURACY  SAME  MODEL                                 LR",
        "    0      0.91     5  a tree with a long name, the first  0.01",
        "   12       0.9     5  a tree with a long name, the other   0.1",
    ] == table.lines
    assert [] == table.hidden


def test_long_texts_lose_their_middle_before_columns_are_hidden() -> None:
    table = fit_table(HEAD, ROWS, width=46)
    assert [
        "TRIAL  ACCURACY  SAME  MODEL                LR",
        "    0      0.91     5  a tree w…he first  0.01",
        "   12       0.9     5  a tree w…he other   0.1",
    ] == table.lines
    assert [] == table.hidden


def test_the_column_that_is_the_same_in_all_rows_is_hidden_first() -> None:
    table = fit_table(HEAD, ROWS, width=38)
    assert [2] == table.hidden
    assert "TRIAL  ACCURACY  MODEL              LR" == table.lines[0]


def test_then_the_columns_at_the_right_are_hidden_and_the_key_columns_last() -> None:
    table = fit_table(HEAD, ROWS, width=17, key_columns=2)
    assert (["TRIAL  ACCURACY", "    0      0.91", "   12       0.9"], [2, 3, 4]) == (
        table.lines,
        table.hidden,
    )


@pytest.mark.parametrize("width", [1, 2, 5])
def test_one_column_is_always_shown(width: int) -> None:
    assert [1, 2, 3, 4] == fit_table(HEAD, ROWS, width=width).hidden


def test_east_asian_characters_take_two_places() -> None:
    table = fit_table(["a", "b"], [["漢字", "x"], ["abc", "y"]], width=None)
    assert ["A     B", "漢字  x", "abc   y"] == table.lines


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("short", 5, "short"),
        ("learning_rate_of_the_head", 11, "learn…_head"),
        ("learning_rate", 2, "le"),
        ("漢字漢字漢字", 7, "漢字…字"),
        ("e\u0301" * 9, 5, "e\u0301e\u0301…e\u0301e\u0301"),
    ],
)
def test_a_name_is_cut_in_its_middle(text: str, width: int, expected: str) -> None:
    assert expected == cut_middle(text, width)


@given(st.text(), st.integers(3, 60))
def test_what_was_cut_fits(text: str, width: int) -> None:
    assert shown_width(cut_middle(text, width)) <= width


@given(
    st.lists(st.lists(st.text(max_size=30), min_size=4, max_size=4), max_size=5),
    st.integers(40, 80),
)
def test_no_line_is_longer_than_the_width(rows: list[list[str]], width: int) -> None:
    table = fit_table(["trial", "b" * 20, "c", "d"], rows, width=width)
    assert all(shown_width(line) <= width for line in table.lines)
