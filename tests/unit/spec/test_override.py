from __future__ import annotations

from typing import Any

import pytest

from podmap.errors import UsageError
from podmap.spec.findings import path_text
from podmap.spec.override import apply_overrides, parse_path, parse_set, read_value


def changed(raw: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    result, _, findings = apply_overrides(raw, overrides)
    assert [] == findings
    return result


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("search.trials=80", "search.trials", 80),
        ("trial.image=repo/train:1.4", "trial.image", "repo/train:1.4"),
        ("a=1e-4", "a", 1e-4),
        ("a=no", "a", "no"),
        ("a=true", "a", True),
        ("a=", "a", None),
        ('a="80"', "a", "80"),
        ("a=b=c", "a", "b=c"),
        ("a=[1, x]", "a", [1, "x"]),
        ("a={low: 1, high: 2}", "a", {"low": 1, "high": 2}),
        ("a.b[0]=-1", "a.b[0]", -1),
        ("a=s3://bucket/{run.id}", "a", "s3://bucket/{run.id}"),
    ],
)
def test_a_set_is_a_path_and_a_yaml_value(text: str, path: str, value: Any) -> None:
    assert (path, value) == parse_set(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search.trials", "it has no '='; write path=value"),
        ("=3", "'' is not a path"),
        ("a..b=3", "'a..b' is not a path"),
        ("a[x]=3", "is not a path"),
        ("a=[1", "the value cannot be read"),
        ("a=b: c: d", "the value cannot be read"),
        ("a={b: 1, b: 2}", "the key 'b' is given twice"),
        ("a=!!python/name:os.system", "the value cannot be read"),
    ],
)
def test_a_wrong_set_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=r"^--set") as error:
        parse_set(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a", ("a",)),
        ("a.b-c.d_e", ("a", "b-c", "d_e")),
        ("a[0].b", ("a", 0, "b")),
        ("a[0][1]", ("a", 0, 1)),
        ("a.0.b", ("a", "0", "b")),
        ("trial.volumes./data.claim", ("trial", "volumes", "/data", "claim")),
    ],
)
def test_paths_are_keys_and_indexes(path: str, place: tuple[str | int, ...]) -> None:
    assert place == parse_path(path)


def test_values_are_set_without_changing_the_original() -> None:
    raw: dict[str, Any] = {"a": {"b": [{"c": 1}, {"c": 2}]}, "x": {"y": 1}}
    values = {"a.b[1].c": 3, "a.b.0.c": 4, "x": 5, "new.deep.key": [1]}
    expected = {"a": {"b": [{"c": 4}, {"c": 3}]}, "x": 5, "new": {"deep": {"key": [1]}}}
    assert expected == changed(raw, values)
    assert {"a": {"b": [{"c": 1}, {"c": 2}]}, "x": {"y": 1}} == raw


def test_later_values_win_and_mappings_are_replaced_as_a_whole() -> None:
    assert {"a": {"c": 2}} == changed({"a": {"b": 1}}, {"a.b": 3, "a": {"c": 2}})


def test_null_is_filled_with_a_mapping() -> None:
    assert {"a": {"b": 1}} == changed({"a": None}, {"a.b": 1})


def test_a_param_that_looks_like_an_index_is_a_key() -> None:
    assert {"a": {"0": 1}} == changed({"a": {}}, {"a.0": 1})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("name.x", "name.x: cannot be set: name is 'digits', which has no 'x'"),
        ("items[2].x", "items is a list of 2, so an index from 0 to 1 is needed instead of '2'"),
        ("items.x", "so an index from 0 to 1 is needed instead of 'x'"),
        ("trial[0]", "trial is a mapping, which has no 0"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(path: str, message: str) -> None:
    raw = {"name": "digits", "items": [{}, {}], "trial": {"a": 1}}
    _, _, findings = apply_overrides(raw, {path: 1})
    assert len(findings) == 1
    assert message in f"{path_text(findings[0].place)}: {findings[0].message}"


def test_read_value_reads_what_a_template_rendered() -> None:
    assert [80, 0.5, "x", None] == [read_value(text, ()) for text in ("80", "0.5", "x", " ")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("trial.args=[1.10]", ["1.10"]),
        ("trial.args=[--lr, 1e-3, 04, true, '{params.x}']", ["--lr", "1e-3", "04", "true"]),
        ("trial.args=[{params: flags}, 007]", [{"params": "flags"}, "007"]),
        ("trial.args=[null, ~]", ["null", "~"]),
        ("trial.command=[python, 3.10]", ["python", "3.10"]),
        ("trial.env={A: 1.10, B: {secret: 1.10, key: 0x1F}}", None),
        ("trial.cases=[{when: {x: 1.10}, args: [1.10], image: 1.10}]", None),
        ("trial={args: [1.10], timeout: 90}", {"args": ["1.10"], "timeout": 90}),
        ("trial.pod.metadata.labels.v=1.10", "1.10"),
        ("trial.pod={metadata: {labels: {v: 1.10, 1: 1.20, gone: null}}}", None),
        ("search.uris=[2026.10]", ["2026.10"]),
        ("search.items=[{v: 1.10}]", [{"v": 1.1}]),
        ("search.params={v: [1.10, x]}", {"v": [1.1, "x"]}),
        ("objective=[{metric: 1.10, direction: maximize}]", None),
    ],
)
def test_elements_keep_their_text_where_the_key_takes_text(text: str, value: Any) -> None:
    expected = {
        "trial.args=[--lr, 1e-3, 04, true, '{params.x}']": [*(value or []), "{params.x}"],
        "trial.env={A: 1.10, B: {secret: 1.10, key: 0x1F}}": {
            "A": "1.10",
            "B": {"secret": "1.10", "key": "0x1F"},
        },
        "trial.cases=[{when: {x: 1.10}, args: [1.10], image: 1.10}]": [
            {"when": {"x": 1.1}, "args": ["1.10"], "image": "1.10"}
        ],
        "trial.pod={metadata: {labels: {v: 1.10, 1: 1.20, gone: null}}}": {
            "metadata": {"labels": {"v": "1.10", "1": "1.20", "gone": None}}
        },
        "objective=[{metric: 1.10, direction: maximize}]": [
            {"metric": "1.10", "direction": "maximize"}
        ],
    }
    assert expected.get(text, value) == parse_set(text)[1]


def test_a_template_that_rendered_a_list_keeps_its_elements_text() -> None:
    assert ["--v", "1.10"] == read_value("[--v, 1.10]", ("trial", "args"))
