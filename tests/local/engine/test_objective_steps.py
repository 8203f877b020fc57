"""`objective.from`: which of the values that a trial reports counts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.local.engine.conftest import World

from podmap.engine.messages import Messages
from podmap.engine.objective_steps import with_reported
from podmap.engine.result import Outcome
from podmap.errors import SpecError
from podmap.records import TrialState
from podmap.spec.load import load
from podmap.spec.model import Objective

REPORTS = 'for v in 3 9 nan 5; do i=$((i+1)); echo "podmap: {\\"step\\": $i, \\"y\\": $v}"; done\n'
REPORTS = REPORTS.replace("nan", "NaN")


def goal(how: str | None, direction: str = "maximize", metric: str = "y") -> Objective:
    return Objective.model_validate(
        {"metric": metric, "direction": direction, **({"from": how} if how else {})}
    )


def objective(how: str | None, direction: str = "maximize") -> dict[str, Any]:
    return {"metric": "y", "direction": direction, **({"from": how} if how else {})}


@pytest.mark.parametrize("logs", ["stream", "tail"])
@pytest.mark.parametrize(
    ("how", "direction", "result", "expected"),
    [
        ("best", "maximize", None, 9),
        ("best", "minimize", None, 3),
        ("last", "maximize", None, 5),
        ("best", "maximize", 4, 9),
        ("best", "maximize", 11, 11),
        ("last", "maximize", 4, 4),
        (None, "maximize", 4, 4),
    ],
)
def test_the_value_that_counts(
    world: World, how: str | None, direction: str, result: int | None, expected: float, logs: str
) -> None:
    end = "" if result is None else f'echo \'{{"y": {result}, "z": 1}}\' >"$PODMAP_RESULT"'
    (record,) = world.run(REPORTS + end, 1, objective=objective(how, direction), logs=logs).values()
    assert (TrialState.COMPLETE, expected) == (record.state, record.objective)
    assert ({} if result is None else {"z": 1}) | {"y": expected} == record.metrics


@pytest.mark.parametrize(("how", "expected"), [("best", 9), ("last", 5)])
def test_a_trial_that_says_it_is_pruned_has_it_too(world: World, how: str, expected: int) -> None:
    script = REPORTS + 'echo \'podmap: {"step": 7, "z": 1}\'; echo \'podmap: {"pruned": true}\''
    (record,) = world.run(script, 1, objective=objective(how)).values()
    assert (TrialState.PRUNED, expected) == (record.state, record.objective)


def test_the_best_of_an_attempt_before_counts(world: World) -> None:
    script = """echo "podmap: {\\"step\\": $PODMAP_ATTEMPT, \\"y\\": $((10 / PODMAP_ATTEMPT))}"
        [ $PODMAP_ATTEMPT = 2 ]"""
    how = objective("best")
    (record,) = world.run(script, 1, objective=how, retries={"user": 1}).values()
    assert (2, TrialState.COMPLETE, 10) == (len(record.attempts), record.state, record.objective)


def test_what_was_never_reported_is_no_result(world: World) -> None:
    script = 'echo \'podmap: {"step": 1, "z": 2}\''
    (record,) = world.run(script, 1, objective=objective("best")).values()
    assert TrialState.FAILED is record.state
    assert "no_result" in record.reason


def test_a_last_value_that_is_no_number_fails_the_trial(world: World) -> None:
    script = REPORTS + 'echo \'podmap: {"step": 9, "y": NaN}\''
    (record,) = world.run(script, 1, objective=objective("last")).values()
    assert TrialState.FAILED is record.state
    assert "not a finite number" in record.reason


def test_of_several_objectives_each_counts_as_it_says() -> None:
    goals = [goal("best"), goal(None, metric="z"), goal("last", "minimize", "w")]
    outcome = Outcome(TrialState.COMPLETE, {"y": 1.0, "z": 2.0, "w": None}, None)
    reports = [(1, {"y": 5.0, "z": 9.0, "w": 4.0}), (2, {"y": 3.0, "w": 6.0})]
    assert [5.0, 2.0, 6.0] == with_reported(outcome, reports, goals).objective
    assert {} == Messages().printed
    failed = Outcome(TrialState.FAILED)
    assert failed is with_reported(failed, reports, goals)


def test_what_from_may_say() -> None:
    def spec(**more: Any) -> dict[str, Any]:
        return {
            "apiVersion": "podmap/v1",
            "name": "s",
            "search": {"kind": "list", "items": [{"x": 1}]},
            "objective": {**objective(None), **more},
            "trial": {"command": ["true"]},
        }

    with pytest.raises(SpecError, match=r"objective\.from: 'first' is not allowed: last or best"):
        load(spec(**{"from": "first"}))
    with pytest.raises(
        SpecError, match=r"unknown key 'form'; allowed here: .*target, from.*'from'"
    ):
        load(spec(form="best"))
    with pytest.raises(SpecError, match="unknown key 'from_'"):
        load(spec(from_="best"))
