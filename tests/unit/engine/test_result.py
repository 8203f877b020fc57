from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.base import Cut, Observation, Phase
from podmap.engine.messages import Messages
from podmap.engine.result import (
    MAX_METRICS,
    Outcome,
    judge,
    last_line,
    objective_of,
)
from podmap.records import Category, Diagnosis, TrialState

NAMES = st.text(st.characters(codec="utf-8"), max_size=5)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False)


def seen(result: bytes | None = None, **more: Any) -> Observation:
    values = {"phase": Phase.ENDED, "exit_code": 0, "result": result, **more}
    return Observation("s-0123abcd-0-a1", "0123abcd", 0, 1, "e1", **values)


def outcome(result: str | bytes | None, *objectives: str, **more: Any) -> Outcome:
    raw = result.encode() if isinstance(result, str) else result
    messages = more.pop("messages", Messages())
    return judge(seen(raw, **more), messages, objectives=objectives or ("y",))


def why(result: str | bytes | None, **more: Any) -> tuple[Category, str]:
    diagnosis = outcome(result, **more).diagnosis
    assert diagnosis is not None
    return diagnosis.category, diagnosis.summary


def test_a_result_is_metrics_objective_and_outputs() -> None:
    given = '{"y": 0.5, "n": 3, "outputs": {"model": "s3://b/m", "odd": 4}}'
    assert Outcome(TrialState.COMPLETE, {"y": 0.5, "n": 3}, 0.5, {"model": "s3://b/m"}) == outcome(
        given
    )


def test_several_objectives_are_a_list() -> None:
    assert [2, 1] == outcome('{"a": 1, "b": 2}', "b", "a").objective


@pytest.mark.parametrize(
    ("result", "category", "text"),
    [
        (None, Category.NO_RESULT, "wrote no result"),
        (" \n", Category.NO_RESULT, "wrote no result"),
        ("{nope", Category.BAD_RESULT, "the result is not JSON"),
        (b"\xff\xfe", Category.BAD_RESULT, "the result is not JSON"),
        ("[" * 100_000, Category.BAD_RESULT, "the result is not JSON"),
        ('{"y": ' + "9" * 5000 + "}", Category.BAD_RESULT, "the result is not JSON"),
        ("[1, 2]", Category.BAD_RESULT, "not an object: [1, 2]"),
        ('"y"', Category.BAD_RESULT, 'not an object: "y"'),
        ("{}", Category.BAD_RESULT, "no metric 'y', the objective; it has nothing"),
        ('{"z": 1}', Category.BAD_RESULT, "no metric 'y', the objective; it has z"),
        ('{"y": NaN}', Category.BAD_RESULT, "the objective 'y' is nan, which is not a finite"),
        ('{"y": null}', Category.BAD_RESULT, "the objective 'y' is null, which is not a finite"),
        ('{"y": Infinity}', Category.BAD_RESULT, "is inf, which is not a finite number"),
        ('{"y": true}', Category.BAD_RESULT, "is true, which is not a finite number"),
        ('{"y": "0.9"}', Category.BAD_RESULT, 'is "0.9", which is not a finite number'),
        ('{"y": [1]}', Category.BAD_RESULT, "is [1], which is not a finite number"),
        ('{"y": 1' + "0" * 400 + "}", Category.BAD_RESULT, "is 1000"),
    ],
    ids=["none", "blank", "not json", "not utf-8", "deep", "long number", "array", "text", "empty",
         "missing", "nan", "null", "infinite", "bool", "number as text", "list", "huge"],
)  # fmt: skip
def test_a_result_without_a_number_for_the_objective_fails(
    result: str, category: Category, text: str
) -> None:
    got = why(result)
    assert category is got[0]
    assert text in got[1]
    assert len(got[1]) < 250


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"y": 1, "z": NaN}', {"y": 1, "z": None}),
        ('{"y": 1, "z": -Infinity}', {"y": 1, "z": None}),
        ('{"y": 1, "z": null}', {"y": 1, "z": None}),
        ('{"y": 1, "z": 1' + "0" * 400 + "}", {"y": 1, "z": None}),
    ],
    ids=["nan", "infinite", "null", "huge"],
)
def test_nan_in_another_metric_is_null(given: str, kept: dict[str, Any]) -> None:
    got = outcome(given)
    assert (TrialState.COMPLETE, kept, "") == (got.state, got.metrics, got.warning)


def test_what_is_no_number_is_left_out_and_told() -> None:
    got = outcome('{"y": 1, "name": "x", "ok": true, "list": [1]}')
    assert (TrialState.COMPLETE, {"y": 1}) == (got.state, got.metrics)
    assert "left out of the metrics: name, ok, list" in got.warning


def test_the_objective_is_kept_however_many_metrics_come_before_it() -> None:
    many = {**{f"m{i}": i for i in range(2 * MAX_METRICS)}, "y": 7}
    got = outcome(json.dumps(many))
    assert (7, MAX_METRICS) == (got.objective, len(got.metrics))
    assert "left out" in got.warning


def test_without_an_objective_no_result_is_needed() -> None:
    for result in (None, b"{}", b'{"rows": 3}'):
        assert TrialState.COMPLETE is judge(seen(result), Messages(), objectives=()).state


def test_a_final_line_is_a_result_too() -> None:
    assert 3 == outcome(None, messages=Messages(final={"y": 3})).objective


@pytest.mark.parametrize("result", ["{nope", '{"z": 1}', "[]"], ids=["broken", "lacks it", "array"])
def test_a_final_line_stands_in_for_a_file_that_cannot_be_used(result: str) -> None:
    got = outcome(result, messages=Messages(final={"y": 3}))
    assert (TrialState.COMPLETE, 3) == (got.state, got.objective)
    assert "the final line was used" in got.warning


def test_the_file_counts_where_it_has_the_objective() -> None:
    got = outcome('{"y": 1}', messages=Messages(final={"y": 3}))
    assert (1, "") == (got.objective, got.warning)


FIRST, LAST, NOWHERE = '{"y": 0.5, "curve": [1, 2', '2], "y": 0.5}', "1, 2, 3"


@pytest.mark.parametrize(
    ("result", "cut", "final", "objective"),
    [
        (FIRST, Cut.END, None, 0.5),
        (LAST, Cut.START, None, 0.5),
        (FIRST, Cut.END, {"z": 4}, 0.5),
        (NOWHERE, Cut.END, {"y": 4}, 4),
        (NOWHERE, Cut.START, {"y": 4}, 4),
        (NOWHERE, Cut.BOTH, {"y": 4}, 4),
        (LAST, Cut.START, {"y": 4}, 4),
        (None, Cut.START, {"y": 4}, 4),
    ],
    ids=["first", "last", "final line without it", "final line, end cut",
         "final line, beginning cut", "final line, both cut", "both", "nothing kept"],
)  # fmt: skip
def test_a_result_that_is_too_large_counts_if_the_objective_can_be_read(
    result: str | None, cut: Cut, final: dict[str, Any] | None, objective: float
) -> None:
    got = outcome(result, result_cut=cut, messages=Messages(final=final))
    assert (TrialState.COMPLETE, objective) == (got.state, got.objective)
    assert "larger than" in got.warning


@pytest.mark.parametrize(
    ("result", "cut", "cure"),
    [
        (NOWHERE, Cut.START, "write the objective last"),
        (FIRST, Cut.START, "write the objective last"),
        ('2], "y": NaN}', Cut.START, ""),
        (NOWHERE, Cut.END, "write the objective first"),
        ('{"y": 0.5', Cut.END, "write the objective first"),
        ("no json at all", Cut.END, "write the objective first"),
        (LAST, Cut.BOTH, "write less"),
    ],
)
def test_a_result_that_is_too_large_fails_if_it_cannot(result: str, cut: Cut, cure: str) -> None:
    diagnosis = outcome(result, result_cut=cut).diagnosis
    assert diagnosis is not None
    assert Category.BAD_RESULT is diagnosis.category
    if cure:
        assert "the objective 'y' cannot be read in" in diagnosis.summary
        assert 'podmap: {"final": {"accuracy": 0.9}}' in diagnosis.resolution
        assert "podmap-trial does it by itself" in diagnosis.resolution
        assert cure in diagnosis.resolution


def test_a_large_result_is_no_failure_where_no_objective_is_needed() -> None:
    got = judge(seen(b'{"a": 1, "b": 2', result_cut=Cut.END), Messages(), objectives=())
    assert (TrialState.COMPLETE, {"a": 1}) == (got.state, got.metrics)


@given(
    st.binary(max_size=60)
    | st.recursive(NUMBERS | st.text(max_size=3), st.lists).map(
        lambda value: json.dumps({"y": value}).encode()
    ),
    st.sampled_from([None, *Cut]),
    st.sampled_from([0, 1, 137, None]),
    st.sampled_from([Phase.ENDED, Phase.GONE]),
    st.lists(st.sampled_from(["y", "z", "outputs"]), unique=True),
    st.none() | st.dictionaries(NAMES | st.just("y"), NUMBERS | st.text(max_size=3)),
    st.booleans(),
)
def test_whatever_is_left_is_judged(
    result: bytes,
    cut: Cut | None,
    exit_code: int | None,
    phase: Phase,
    objectives: list[str],
    final: dict[str, Any] | None,
    pruned: bool,
) -> None:
    observed = seen(result, result_cut=cut, exit_code=exit_code, phase=phase)
    got = judge(observed, Messages(final=final, pruned=pruned), objectives=objectives)
    assert (got.state is TrialState.FAILED) == (got.diagnosis is not None)
    assert all(value is None or math.isfinite(value) for value in got.metrics.values())
    if got.state is TrialState.COMPLETE:
        assert got.objective == objective_of(got.metrics, objectives)
        assert (got.objective is None) == (not objectives)


def test_pruned_wins_and_keeps_the_last_report() -> None:
    messages = Messages(pruned=True, last_report={"step": 3, "y": 0.4})
    got = outcome(None, messages=messages)
    assert (TrialState.PRUNED, {"y": 0.4}, 0.4) == (got.state, got.metrics, got.objective)


def test_pruned_without_any_report_has_no_objective() -> None:
    got = outcome(None, messages=Messages(pruned=True))
    assert (TrialState.PRUNED, {}, None) == (got.state, got.metrics, got.objective)


@pytest.mark.parametrize(
    ("observed", "category", "text"),
    [
        (seen(exit_code=3), Category.USER_EXIT, "ended with exit code 3"),
        (seen(exit_code=137), Category.USER_EXIT, "exit code 137 (signal 9)"),
        (seen(exit_code=None), Category.NODE_LOST, "left no exit code"),
        (seen(phase=Phase.GONE), Category.NODE_LOST, "disappeared"),
        (
            seen(b'{"y": 1}', diagnosis=Diagnosis(Category.USER_TIMEOUT, "too long")),
            Category.USER_TIMEOUT,
            "too long",
        ),
    ],
    ids=["exit", "signal", "no exit code", "gone", "the backend's own"],
)
def test_a_bad_end_fails(observed: Observation, category: Category, text: str) -> None:
    got = judge(observed, Messages(final={"y": 1}), objectives=["y"], tail="the end\n")
    assert TrialState.FAILED is got.state
    assert got.diagnosis is not None
    assert category is got.diagnosis.category
    assert text in got.diagnosis.summary
    assert "the end" == got.diagnosis.detail


@pytest.mark.parametrize(
    ("observed", "summary"),
    [
        (seen(exit_code=1), "the training command ended with exit code 1: ValueError: no"),
        (
            seen(diagnosis=Diagnosis(Category.USER_EXIT, "ended with exit code 3")),
            "ended with exit code 3: ValueError: no",
        ),
        (
            seen(),
            "the command ended with exit code 0 but wrote no result; its output ends with: "
            "ValueError: no",
        ),
        (seen(diagnosis=Diagnosis(Category.OOM, "too much memory")), "too much memory"),
    ],
    ids=["exit", "the backend's own", "no result", "not the command's fault"],
)
def test_the_last_line_of_the_output_says_why_the_command_failed(
    observed: Observation, summary: str
) -> None:
    got = judge(observed, Messages(), objectives=["y"], tail="step 1\nValueError: no\n")
    assert got.diagnosis is not None
    assert summary == got.diagnosis.summary


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ("one\ntwo\n\n  \n", "two"),
        ("one\rtwo\r", "two"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07\x07text\x00\n\x1b[0m\n", "red text"),
        ('Error: y\npodmap: {"step": 1}\n', "Error: y"),
        ("a\tb  c", "a b c"),
        ("x" * 500, "x" * 119 + "…"),
    ],
    ids=["none", "blank", "lines", "returns", "terminal codes", "report", "spaces", "long"],
)
def test_last_line(output: str, line: str) -> None:
    assert line == last_line(output)


def test_a_result_without_the_objective_keeps_what_was_measured() -> None:
    given = outcome('{"accuracy": 0.5, "outputs": {"model": "s3://b/m"}}', "y")
    assert TrialState.FAILED is given.state
    assert ({"accuracy": 0.5}, {"model": "s3://b/m"}) == (given.metrics, given.outputs)
    assert given.diagnosis is not None
    assert "--objective" in given.diagnosis.resolution


def test_a_backend_s_warning_is_told_however_it_ended() -> None:
    done = outcome('{"y": 1}', warning="2 processes went on")
    assert (TrialState.COMPLETE, "2 processes went on") == (done.state, done.warning)
    failed = outcome(None, exit_code=3, warning="2 processes went on")
    assert failed.diagnosis is not None
    assert "2 processes went on" in failed.diagnosis.detail
