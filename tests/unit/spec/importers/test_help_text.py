"""Helps of scripts that nobody foresaw."""

from __future__ import annotations

import pytest

from podmap.spec.importers.help_text import ScriptOption, read_help
from podmap.spec.importers.script import guess_spec

HEAD = "usage: train.py [--lr LR]\n\noptions:\n"


def read(*lines: str) -> tuple[ScriptOption, ...]:
    return read_help(HEAD + "".join(f"  {line}\n" for line in lines)).options


def test_an_option_that_is_told_twice_is_one_option_as_told_at_first() -> None:
    lines = ("--lr FLOAT  of train (default: 0.1)", "--lr FLOAT  of eval (default: 0.5)")
    assert [("lr", 0.1)] == [(each.name, each.default) for each in read(*lines)]
    told = read_help(HEAD + "".join(f"  {line}\n" for line in lines))
    assert ["lr"] == list(guess_spec("train.py", ["python", "train.py"], told).params)


def test_a_choice_that_is_told_twice_is_one_choice() -> None:
    assert ("a", "b") == read("--kind {a,b,a}")[0].choices


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FLOAT RANGE  [0.5<=x<=2.]", (0.5, 2.0)),
        ("FLOAT RANGE  [1e-05<=x<1]", (1e-05, 1.0)),
        ("INTEGER RANGE  [-3<=x<=3]", (-3.0, 3.0)),
        ("FLOAT RANGE  [.<=x<=3]", (None, None)),
        ("FLOAT  [1.2.3<=x<=4]", (None, None)),
        ("FLOAT  [1<=x<=1e999]", (None, None)),
    ],
)
def test_bounds_are_numbers_or_none(text: str, expected: tuple[float | None, ...]) -> None:
    (option,) = read(f"--lr {text}")
    assert expected == (option.low, option.high)


@pytest.mark.parametrize("text", ["1" * 900_000, "[" * 900_000, "{a," * 300_000, "-" * 900_000])
def test_a_megabyte_of_one_thing_is_read_in_time(text: str) -> None:
    assert ["lr"] == [each.name for each in read(f"--lr FLOAT  {text}")]


def test_ten_thousand_options_are_read_in_time() -> None:
    names = [f"--option-{number}" for number in range(10_000)]
    usage = "usage: train.py " + " ".join(f"[{name} X]" for name in names[1:]) + f" {names[0]} X"
    options = read_help(f"{usage}\n\noptions:\n" + "".join(f"  {name} X\n" for name in names))
    assert [True, *[False] * 9999] == [each.required for each in options.options]


def test_colours_and_links_are_no_part_of_a_help() -> None:
    link = "\x1b]8;;http://example.com\x07--lr\x1b]8;;\x1b\\"
    assert [("lr", 0.1)] == [
        (each.name, each.default) for each in read(f"{link} FLOAT  \x1b[1m(default: 0.1)\x1b[0m")
    ]
