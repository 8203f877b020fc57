"""What a record keeps of what its attempts have reported."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from podmap.engine.messages import Messages, Reports
from podmap.engine.reports import MOST_METRICS, MOST_STEPS, kept_reports
from podmap.errors import RecordError
from podmap.records import Record, TrialState


def test_reports_are_kept_by_step_and_the_last_of_a_step_counts() -> None:
    said = [(2, {"y": 0.2}), (1, {"y": 0.1}), (2, {"y": 0.3})]
    assert ((1, {"y": 0.1}), (2, {"y": 0.3})) == kept_reports((), said)


def test_the_reports_of_an_attempt_go_on_from_those_of_the_one_before() -> None:
    former = ((1, {"y": 0.1}), (2, {"y": 0.2}))
    kept = kept_reports(former, [(2, {"y": 0.25}), (3, {"y": 0.3})])
    assert ((1, {"y": 0.1}), (2, {"y": 0.25}), (3, {"y": 0.3})) == kept


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, 10**400])
def test_what_is_no_finite_number_is_null(value: float | None) -> None:
    assert ((0, {"y": None}),) == kept_reports((), [(0, {"y": value})])


def test_what_is_no_number_is_left_out() -> None:
    said = [(0, {"y": "good"}), (1, {"y": [1]}), (2, {"y": True}), (3, {}), (2**70, {"y": 1})]
    assert () == kept_reports((), said)


def test_of_many_steps_first_last_and_extremes_stay() -> None:
    said = [(step, {"y": -float(step == 777) + 5 * (step == 1234)}) for step in range(5000)]
    kept = kept_reports((), said, objectives=["y"])
    steps = [step for step, _ in kept]
    assert steps == sorted(steps)
    assert {0, 777, 1234, 4999} <= set(steps)
    assert MOST_STEPS - 2 <= len(steps) <= MOST_STEPS
    assert max(later - one for one, later in itertools.pairwise(steps)) <= 26


def test_of_many_metrics_the_objective_stays() -> None:
    values = {f"m{index}": 1.0 for index in range(100)}
    ((_, kept),) = kept_reports((), [(0, {**values, "y": 2.0})], objectives=["y"])
    assert (MOST_METRICS, "y") == (len(kept), next(iter(kept)))


def test_a_million_reports_take_bounded_memory_and_the_best_is_kept() -> None:
    reports = Reports(most=100, watched=("y",))
    for step in range(100_001):
        reports.add(step, {"y": 9.0 if step == 54_321 else step / 1e6})
    assert len(reports) <= 103
    assert 9.0 == max(values["y"] for _, values in reports)
    assert (9.0, 0.0) == (dict(reports)[54_321]["y"], dict(reports)[0]["y"])


def test_a_record_keeps_its_reports_in_its_file() -> None:
    record = Record(
        3, "k", "e", TrialState.PRUNED, reports=((1, {"y": 0.5}), (2, {"y": None, "z": 1}))
    )
    data = json.loads(json.dumps(record.to_json()))
    assert [[1, {"y": 0.5}], [2, {"y": None, "z": 1}]] == data["reports"]
    assert record == Record.from_json(data)


@pytest.mark.parametrize(
    "odd", [3, [1], [[1]], [["1", {}]], [[True, {}]], [[1, {"y": "x"}]], [[1, []]], [[2**64, {}]]]
)
def test_a_record_with_odd_reports_is_refused(odd: object) -> None:
    data = {**Record(3, "k", "e", TrialState.PRUNED).to_json(), "reports": odd}
    with pytest.raises(RecordError, match="reports is"):
        Record.from_json(data)


def test_messages_read_reports_as_they_come() -> None:
    heard: list[int] = []
    messages = Messages(on_report=lambda step, values: heard.append(step))
    for line in ('podmap: {"step": 2, "y": NaN}', 'podmap: {"step": 1, "y": Infinity}'):
        assert messages.read_line(line)
    assert ([2, 1], 2) == (heard, messages.last_report["step"])
    assert ((1, {"y": None}), (2, {"y": None})) == kept_reports((), messages.reports)
