"""`budget.cost`: money is counted as GPU-hours are, and what is spent first ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from podmap.engine.gpu_tally import HOUR_S
from podmap.testing import SweepTest

PRICES = {"cpu_hour": 0.5, "gpu_hour": 2, "currency": "EUR"}


def sweep(trials: int, **budget: Any) -> dict[str, Any]:
    """Trials that cost 3 EUR an hour, two at once."""
    return {
        "apiVersion": "podmap/v1",
        "name": "priced",
        "search": {"kind": "grid", "params": {"x": {"low": 1, "high": trials}}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "x", "command": ["train"], "resources": {"cpu": 2, "gpu": 1}},
        "parallelism": 2,
        "budget": {"prices": PRICES, **budget},
    }


def train(params: Mapping[str, Any]) -> dict[str, float]:
    return {"y": float(params["x"])}


@pytest.mark.parametrize(("on_exceed", "complete"), [("finish", 4), ("cancel", 2)])
def test_a_run_ends_once_it_has_cost_enough(tmp_path: Path, on_exceed: str, complete: int) -> None:
    spec = sweep(8, cost=9, on_exceed=on_exceed)
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    states = [record.state.value for record in done.records]
    assert [*["COMPLETE"] * complete, *["CANCELLED"] * (8 - complete)] == states
    reason = "the run's money is spent (budget.cost: 9 EUR)"
    assert {reason} == {record.reason for record in done.records[complete:]}


def test_money_that_is_not_spent_ends_nothing(tmp_path: Path) -> None:
    done = SweepTest(sweep(3, cost=9.1)).run(tmp_path, train=train, takes_s=HOUR_S)
    assert {"COMPLETE"} == {record.state.value for record in done.records}


def test_prices_alone_limit_nothing(tmp_path: Path) -> None:
    done = SweepTest(sweep(4)).run(tmp_path, train=train, takes_s=HOUR_S)
    assert {"COMPLETE"} == {record.state.value for record in done.records}


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        ({"cost": 100, "gpu_hours": 3}, "GPU-hours are spent"),
        ({"cost": 9, "gpu_hours": 100}, "money is spent"),
    ],
    ids=["hours", "money"],
)
def test_what_is_spent_first_ends_the_run(
    tmp_path: Path, budget: dict[str, float], told: str
) -> None:
    done = SweepTest(sweep(8, **budget)).run(tmp_path, train=train, takes_s=HOUR_S)
    assert told in done.records[-1].reason
    assert "COMPLETE" == done.records[3].state.value


def test_each_trial_costs_what_it_asks_for(tmp_path: Path) -> None:
    spec = sweep(8, cost=9)
    spec["trial"]["cases"] = [{"when": {"x": [1, 2, 3, 4]}, "resources": {"gpu": 0}}]
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    # Two rounds at 1 EUR a trial, two at 3 EUR: 4, then 10.
    states = [record.state.value for record in done.records]
    assert ["COMPLETE"] * 6 == states[:6]
    assert ["CANCELLED"] * 2 == states[6:]
