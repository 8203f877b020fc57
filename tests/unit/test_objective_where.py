"""`objective.where`: trials that miss a limit are not ranked, reach nothing, and teach as much."""

from __future__ import annotations

from typing import Any

import pytest

from podmap.cli._progress import Progress
from podmap.engine.past_points import past_trials
from podmap.errors import SpecError
from podmap.objective import TargetTally, missed_limits
from podmap.records import Record, TrialState
from podmap.report.leaderboard import Leaderboard
from podmap.search.adaptive.space import Space
from podmap.spec.load import load
from podmap.spec.model import Objective
from podmap.spec.search import Range

WHERE = {"latency": {"at_most": 20}, "recall": {"at_least": 0.5}}
GIVEN = {"metric": "acc", "direction": "maximize", "where": WHERE, "target": 0.8}
GOAL = Objective.model_validate(GIVEN)
SPACE = Space({"x": Range(low=0.0, high=9.0)})


def record(number: int, acc: float, **metrics: float | None) -> Record:
    own = {"latency": 10.0, "recall": 0.9, **metrics}
    return Record(
        number - number % 2 if metrics.get("pair") else number,
        "k",
        "e1",
        TrialState.COMPLETE,
        params={"x": float(number)},
        metrics={"acc": acc, **own},
        objective=acc,
    )


@pytest.mark.parametrize(
    ("metrics", "by", "text"),
    [
        ({"latency": 20.0, "recall": 0.5}, 0, ""),
        ({"latency": 30.0, "recall": 0.5}, 0.5, "latency 30 is more than 20 (objective.where)"),
        ({"latency": 20.0, "recall": 0.25}, 0.5, "recall 0.25 is less than 0.5 (objective.where)"),
        ({"recall": 0.5}, 1.0, "there is no latency (objective.where)"),
        ({"latency": None, "recall": 0.0}, 2.0, "there is no latency (objective.where)"),
    ],
)
def test_what_is_missed(metrics: dict[str, float | None], by: float, text: str) -> None:
    missed = missed_limits(metrics, [GOAL])
    assert (by, text) == ((missed.by, missed.text) if missed else (0, ""))


def test_a_trial_that_misses_a_limit_is_not_ranked() -> None:
    records = [
        record(0, 0.5),
        record(1, 0.9, latency=30.0),
        record(2, 0.7),
        record(3, 0.95, recall=None),
    ]
    board = Leaderboard.build(records, [GOAL])
    assert [2, 0, 1, 3] == [row.number for row in board.rows]
    assert board.best is not None
    assert (2, [1, 3]) == (board.best.number, [row.number for row in board.missed])
    assert "latency 30 is more than 20 (objective.where)" == board.rows[2].to_json()["missed"]
    assert "missed" not in board.rows[0].to_json()
    free = Leaderboard.build(records, [Objective(metric="acc", direction="maximize")])
    assert [3, 1, 2, 0] == [row.number for row in free.rows]


def test_of_several_objectives_it_is_in_no_front() -> None:
    goals = [GOAL, Objective(metric="recall", direction="maximize")]
    records = [record(0, 0.5), record(1, 0.9, latency=30.0, recall=1.0)]
    pairs = [
        Record(**{**_fields(one), "objective": [one.metrics["acc"], one.metrics["recall"]]})
        for one in records
    ]
    assert [0] == [row.number for row in Leaderboard.build(pairs, goals).pareto]


def _fields(one: Record) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_with_repeats_the_means_must_meet_them() -> None:
    same = {"params": {"x": 1.0}}
    every = [
        record(0, 0.9, latency=10.0),
        record(1, 0.9, latency=28.0),
        record(2, 0.8, latency=10.0),
        record(3, 0.8, latency=40.0),
    ]
    every = [Record(**{**_fields(one), **same, "repeat": one.number % 2}) for one in every]
    board = Leaderboard.build(every, [GOAL], repeats=2)
    assert [True, False] == [row.ranked for row in board.rows]
    assert "latency 25 is more than 20 (objective.where)" == board.rows[1].missed


def test_it_reaches_no_target_and_is_not_the_best_so_far() -> None:
    tally, progress = TargetTally([GOAL]), Progress(count=3, objectives=[GOAL])
    for one in (record(0, 0.9, latency=30.0), record(1, 0.5)):
        tally.count_record(one)
        progress.add(one)
    assert tally.reached is None
    assert "best acc 0.5 (trial 1)" == progress.describe()
    tally.count_record(record(2, 0.85))
    assert tally.reached is not None
    assert (2,) == tally.reached.numbers


def test_a_search_is_told_by_how_much() -> None:
    def by(*own: Record) -> list[float]:
        return [one.violation for one in past_trials(0, own, SPACE, [GOAL])]

    pruned = Record(
        **{**_fields(record(0, 0.5)), "state": TrialState.PRUNED, "metrics": {"acc": 0.5}}
    )
    assert [0.0] == by(record(0, 0.5)) == by(pruned)
    assert [0.5] == by(record(0, 0.5, latency=30.0))
    again = [
        Record(**{**_fields(record(n, 0.5, latency=y)), "params": {"x": 0.0}})
        for n, y in ((0, 10.0), (1, 28.0))
    ]
    assert [0.0] == by(*again)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"latency": {}}, r"objective\.where\.latency: at_most or at_least is needed"),
        (
            {"latency": {"at_most": 1, "at_least": 2}},
            r"latency\.at_least: 2 must be at most at_most, 1",
        ),
        ({"latency": {"at_mots": 1}}, "did you mean 'at_most'"),
        ({"latency": 20}, r"objective\.where\.latency: 20 is not allowed: a mapping"),
        ({"outputs": {"at_most": 1}}, "'outputs' is not a metric"),
    ],
)
def test_bad_limits(where: Any, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        load(spec({**GIVEN, "where": where}))


def test_limits_of_one_metric_stand_once() -> None:
    with pytest.raises(SpecError, match=r"objective\[1\]\.where\.latency: .*has limits already"):
        load(
            spec(
                [
                    GIVEN,
                    {"metric": "b", "direction": "minimize", "where": {"latency": {"at_most": 3}}},
                ]
            )
        )


def spec(objective: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": 1}]},
        "objective": objective,
        "trial": {"command": ["true"]},
    }
