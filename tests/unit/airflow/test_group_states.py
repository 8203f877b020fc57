"""What the states of a sweep's tasks say: skipped, unfinished, or a DAG run that was marked."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.airflow.group_states import GroupStates


def group(**states: str | None) -> GroupStates:
    return GroupStates(
        {name if name == "before" else f"s.{name}": state for name, state in states.items()},
        "s.",
        "s.plan",
    )


@pytest.mark.parametrize(
    ("states", "own_failures", "marked"),
    [
        ({"plan": "success", "trials_0": "failed", "collect": "skipped"}, 0, True),
        ({"plan": "success", "trials_0": "failed", "collect": "skipped"}, 1, False),
        ({"plan": "success", "trials_0": "success", "collect": "skipped"}, 0, False),
        ({"plan": "failed", "trials": "skipped", "collect": "skipped"}, 0, True),
        ({"before": "failed", "plan": "skipped", "collect": "skipped"}, 0, True),
        ({"before": "success", "plan": "skipped", "collect": "skipped"}, 0, False),
        ({"before": "skipped", "plan": "skipped", "collect": "skipped"}, 0, False),
        ({"plan": "failed", "collect": "upstream_failed", "done": "upstream_failed"}, 0, False),
        ({"plan": "success", "collect": "failed", "done": "skipped"}, 0, True),
        ({"plan": "success", "collect": "failed", "done": "upstream_failed"}, 0, False),
        ({"plan": "success", "collect": "success", "done": "success"}, 0, False),
        ({"plan": "success", "trials_0": "failed", "collect": "success"}, 1, False),
    ],
)
def test_a_dag_run_that_was_marked_failed_is_told_from_others(
    states: dict[str, Any], own_failures: int, marked: bool
) -> None:
    found = group(**states).marked_failed(before=["before"], failed_instances=lambda: own_failures)
    assert marked == found


def test_trials_that_have_not_ended_are_counted() -> None:
    states = {"plan": "success", "ended": "success", "collect": "running", "done": None}
    trials = {"trials_0": "deferred", "trials_1": None, "trials_2": "skipped", "ready": "success"}
    assert 2 == group(**states, **trials).unfinished_trials
    assert 0 == GroupStates({"plan": None, "trials_0": None}, "", "plan").unfinished_trials
