from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.spec.load import load
from podmap.spec.near_miss import near_misses
from podmap.spec.override import parse_set


@pytest.mark.parametrize(
    "text",
    [
        "{{ params.lr }}",
        "{ params.lr }",
        "{lr}",
        "{{lr}}",
        "{param.lr}",
        "{Params.lr}",
        "{parameters.lr}",
        "${params.lr}",
        "${lr}",
        "{params.lr:.3f}",
        "{params.lr!r}",
        "{params['lr']}",
    ],
)
def test_what_is_nearly_a_placeholder_is_found(text: str) -> None:
    assert [(text, "{params.lr}")] == list(near_misses(f"--x={text}", {"lr"}))


@pytest.mark.parametrize(
    "text",
    ["{params.lr}", "{{params.lr}}", "{}", "{a: 1}", '{"lr": 1}', "{other}", "${HOME}", "{x.lr}"],
)
def test_what_is_something_else_is_left_alone(text: str) -> None:
    assert [] == list(near_misses(f"a{text}b", {"lr"}))


def test_near_misses_are_warnings_and_with_strict_errors() -> None:
    spec: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "grid", "params": {"lr": [1]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["t"], "args": ["{lr}"], "env": {"N": "{trial.number:03d}"}},
    }
    assert ["trial.args[0]", "trial.env.N"] == [one.path for one in load(spec).warnings]
    with pytest.raises(SpecError, match=r"did you mean \{params.lr\}\?"):
        load(spec, strict=True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cache_version=2026.10", "2026.10"),
        ("cache_version=true", "true"),
        ("trial.env.THREADS=04", "04"),
        ("trial.args[0]=1e-3", "1e-3"),
        ("trial.image=12.10", "12.10"),
        ("trial.image=", None),
        ('trial.image="a: b"', "a: b"),
        ("parallelism=4", 4),
        ("search.params.lr=0.10", 0.1),
        ("trial.timeout=90", 90),
        ("failures.allow=5", 5),
        ("search.params.v.low=1", 1),
    ],
)
def test_a_value_is_text_where_the_key_takes_text(text: str, value: object) -> None:
    assert value == parse_set(text)[1]


def test_a_placeholder_without_quotes_is_told_to_be_quoted_and_numbers_as_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "apiVersion: podmap/v1\nname: s\ncache_version: 12.10\n"
        "search: {kind: grid, params: {lr: [1]}}\n"
        "objective: {metric: y, direction: maximize}\n"
        "trial: {command: [t], args: [--lr, {params.lr}]}\n"
    )
    with pytest.raises(SpecError) as error:
        load(path)
    text = str(error.value)
    assert '12.10 is not allowed: text is needed (put quotes around it: "12.10")' in text
    assert 'without quotes is a mapping in YAML, not text (put quotes around it: "{pa' in text


BASE = """\
apiVersion: podmap/v1
name: s
search: {kind: grid, params: {lr: [1]}}
objective: {metric: y, direction: maximize}
trial:
  command: [t]
"""


@pytest.mark.parametrize(
    ("lines", "place", "text"),
    [
        ("args: [--lr, { params.lr }]", "trial.args[1]", "params.lr"),
        ("args: [--lr, {params.lr:.3f}]", "trial.args[1]", "params.lr"),
        ("args: [{lr}]", "trial.args[0]", "params.lr"),
        ("args: [{param.lr}, x]", "trial.args[0]", "params.lr"),
        ("args: {params.lr}", "trial.args", "params.lr"),
        ("args: [{params.lr, params.x}]", "trial.args[0]", "params.lr"),
        ("env: {X: {trial.number}}", "trial.env.X", "trial.number"),
        ("image: {params.lr}", "trial.image", "params.lr"),
        ("pod: {metadata: {labels: {m: {params.lr}}}}", "metadata.labels.m", "params.lr"),
        ("args: [--lr={params.lr}]", "not YAML", "{params.lr}"),
        ("args:\n    - {params.lr}/x", "not YAML", "{params.lr}"),
        ("args: [{{params.lr}}]", "a key must be text", "{params.lr}"),
        ("checkpoint: {run.uri}/x", "not YAML", "{run.uri}"),
    ],
)
def test_whatever_yaml_makes_of_a_placeholder_without_quotes_the_quotes_are_told(
    tmp_path: Path, lines: str, place: str, text: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"{BASE}  {lines}\n")
    with pytest.raises(SpecError) as error:
        load(path)
    (told,) = [line for line in str(error.value).splitlines() if "put quotes around" in line]
    assert place in told
    assert text in told.partition("put quotes around")[2]


def test_a_random_search_of_too_few_combinations_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    text = BASE.replace("kind: grid", "kind: random, trials: 3")
    path.write_text(text)
    (warning,) = load(path).warnings
    assert (3, "search.trials") == (warning.line, warning.path)
    assert "3 trials, and the params have 1 combination:" in warning.message
    with pytest.raises(SpecError, match="1 combination"):
        load(path, strict=True)
    path.write_text(text.replace("trials: 3", "trials: 1"))
    assert () == load(path).warnings
