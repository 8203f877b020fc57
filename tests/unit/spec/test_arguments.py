from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from podmap.errors import SpecError
from podmap.spec.arguments import make_arguments, unfit_values
from podmap.spec.entries import ParamArgs
from podmap.spec.load import load
from podmap.spec.yaml import parse, to_data

PAGE = Path(__file__).parents[3] / "docs" / "arguments.md"
ODD = [
    "", " ", "a b", "-x", "--lr=1", "it's", 'say "x"', "new\nline", "ü→\U0001f600", "{params.x}",
    "$(HOME) $HOME", "a,b", "[1]", "{a: 1}", "True", "true", "null", "None", "1.10", "007", "1e-4",
    "nan", "inf", "\\", "\\'", "a\\", "${x}", "\\${x}", "'", "=", "a=b", "#", "~", "2026-01-01",
    "\t", "%", "é", "x:y", "(1)", "a/b.c-d", "\u2028", "\x7f",
]  # fmt: skip


def yaml(text: str) -> Any:
    node, complaints = parse(text)
    assert [] == complaints
    return to_data(node)


def arguments(params: Mapping[str, Any], form: str = "flags", **options: Any) -> list[str]:
    made = ParamArgs.model_validate({"params": form, **options})
    assert [] == list(unfit_values(made, params))
    return list(make_arguments(made, params))


def rows() -> list[tuple[str, str, str]]:
    text = PAGE.read_text("utf-8").partition("## Forms")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\{params.*?)` \| `(\{.*?)` \| `(.*)` \|$", text, re.MULTILINE)


@pytest.mark.parametrize(("entry", "params", "expected"), rows())
def test_the_page_tells_each_form_to_the_character(entry: str, params: str, expected: str) -> None:
    given_params = yaml(params)
    options = yaml(entry)
    assert shlex.split(expected) == arguments(given_params, options.pop("params"), **options)
    assert expected == shlex.join(shlex.split(expected))


def test_the_page_has_all_forms() -> None:
    text = " ".join(entry for entry, _, _ in rows())
    for field in ParamArgs.model_fields:
        assert f"{field}: " in text
    for word in ("pair", "bare", "omit", "repeat", "nargs", "comma", "space", "overrides", "json"):
        assert f": {word}" in text


@pytest.mark.parametrize(
    ("separator", "text"),
    [
        *(("equals", text) for text in ODD),
        # Others argparse takes for options, as the page says.
        *(("space", text) for text in ODD if not text.startswith("-")),
    ],
)
def test_argparse_reads_back_any_text(separator: str, text: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x")
    assert text == parser.parse_args(arguments({"x": text}, separator=separator)).x


@pytest.mark.parametrize("number", [0, -1, 1e-05, -0.0, 1e16, 10**299, 0.1, -0.5, 1e299])
def test_argparse_reads_back_any_number(number: float) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=type(number))
    found = parser.parse_args(arguments({"x": number})).x
    assert repr(number) == repr(found)


def test_argparse_reads_booleans_and_lists() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
    parser.add_argument("--n", nargs="*", type=int)
    parser.add_argument("--m", action="append", type=float)
    parser.add_argument("--jit", action="store_true")
    pairs = arguments({"amp": False}, booleans="pair")
    lists = arguments({"n": [1, -2]}, lists="nargs") + arguments(
        {"m": [0.5, 1e-05]}, lists="repeat"
    )
    bare = arguments({"jit": True, "amp": False}, booleans="bare")
    found = parser.parse_args([*pairs, *lists, *bare])
    assert {"amp": False, "n": [1, -2], "m": [0.5, 1e-05], "jit": True} == vars(found)
    assert [] == parser.parse_args(arguments({"n": []}, lists="nargs")).n
    assert parser.parse_args(arguments({"amp": True}, booleans="pair")).amp is True


def test_click_reads_booleans_lists_and_nargs() -> None:
    seen: list[Any] = []

    @click.command()
    @click.option("--amp/--no-amp", default=None)
    @click.option("--n", nargs=2, type=int)
    @click.option("--m", multiple=True)
    @click.option("--name")
    def main(**given: Any) -> None:
        seen.append(given)

    params = {"amp": False, "n": [1, -2], "name": "-a b"}
    more = arguments({"m": ["x", "-y", ""]}, lists="repeat", separator="space")
    main(
        [*arguments(params, booleans="pair", lists="nargs", separator="space"), *more],
        standalone_mode=False,
    )
    assert [{"amp": False, "n": (1, -2), "m": ("x", "-y", ""), "name": "-a b"}] == seen


def test_json_is_what_the_environment_has_too() -> None:
    params = {"a": 1e-05, "b": [None, True, "é"], "c.d": "x"}
    (text,) = arguments(params, "json")
    assert json.dumps(params) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("adam", "adam"),
        ("data/a-b.csv", "data/a-b.csv"),
        ("1.10", "'1.10'"),
        ("True", "'True'"),
        ("", "''"),
        ("it's", r"'it\'s'"),
        ("a\\", r"'a\\'"),
        ("a\\b", r"'a\b'"),
        ("a\\'b", r"'a\\\'b'"),
        ("${x}", r"'\${x}'"),
        ("\\${x}", r"'\\\${x}'"),
        ("a\nb", "'a\nb'"),
        (None, "null"),
        (True, "true"),
        (-0.0, "-0.0"),
        (1e-05, "1e-05"),
        ([], "[]"),
        ([1, "a b", [None, False]], "[1,'a b',[null,false]]"),
        ([{"a": 1, "b": ["x"]}, {}], "[{a:1,b:[x]},{}]"),
    ],
)
def test_hydras_overrides(value: Any, expected: str) -> None:
    assert [f"x={expected}"] == arguments({"x": value}, "overrides")


def hydra_reads(argument: str) -> Any:
    """What a Hydra app finds in its config: by Hydra's parser, and OmegaConf's interpolation."""
    override = OverridesParser.create().parse_override(argument)
    config = OmegaConf.create({"x": override.value()})
    return OmegaConf.to_container(config, resolve=True)["x"]


@pytest.mark.parametrize("value", [*ODD, [*ODD], [None, True, 1, 0.5, [[], {}], {"a-b": "x"}]])
def test_hydra_reads_back_odd_values(value: Any) -> None:
    (argument,) = arguments({"x": value}, "overrides")
    assert value == hydra_reads(argument)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_hydra_reads_back_any_text(text: str) -> None:
    (argument,) = arguments({"x": text}, "overrides")
    assert text == hydra_reads(argument)


@pytest.mark.parametrize(
    ("form", "options", "params", "why"),
    [
        ("flags", {"lists": "comma"}, {"n": ["a,b"]}, "'a,b' holds a comma"),
        ("flags", {"lists": "comma"}, {"n": [[1, 2]]}, "a list holds a comma"),
        ("flags", {"lists": "comma"}, {"n": [""]}, "a list of one empty text"),
        ("overrides", {}, {"a..b": 1}, "'a..b' is no key of a Hydra override"),
        ("overrides", {}, {"a.": 1}, "'a.' is no key of a Hydra override"),
        ("overrides", {}, {"n": [{"a b": 1}]}, "'a b' is no key that a Hydra override can have"),
        ("overrides", {}, {"n": [[{"null": 1}]]}, "'null' is no key that"),
    ],
)
def test_what_cannot_be_said_in_a_form_is_found(
    form: str, options: dict[str, Any], params: dict[str, Any], why: str
) -> None:
    made = ParamArgs.model_validate({"params": form, **options})
    ((name, found),) = unfit_values(made, params)
    assert (next(iter(params)), True) == (name, why in found)
    left_out = ParamArgs.model_validate({"params": form, **options, "without": [name]})
    assert [] == list(unfit_values(left_out, params))


@pytest.mark.parametrize(
    ("entry", "place", "message"),
    [
        ({"params": "flag"}, "trial.args[0].params", "did you mean 'flags'?"),
        ({"params": "flags", "null": "omit"}, "trial.args[0].null", "did you mean 'nulls'?"),
        ({"params": "flags", "booleans": "yes"}, "trial.args[0].booleans", "value, pair or bare"),
        ({"params": "flags", "only": []}, "trial.args[0].only", "must not be empty"),
        ({"params": "flags", "only": ["le"]}, "trial.args[0].only[0]", "there are: lr"),
        ({"params": "flags", "without": ["z"]}, "trial.args[0].without[0]", "there are: lr"),
        ({"params": "json", "lists": "comma"}, "trial.args[0].lists", "lists is for params: flags"),
        ({"params": "overrides", "separator": "space"}, "trial.args[0].separator", "one form"),
        ({}, "trial.args[0].params", "missing"),
    ],
)
def test_a_wrong_entry_says_what_is_wrong(entry: Any, place: str, message: str) -> None:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "grid", "params": {"lr": [1]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["t"], "args": [entry]},
    }
    with pytest.raises(SpecError) as error:
        load(spec)
    assert str(error.value).startswith(f"{place}: ")
    assert message in str(error.value)
