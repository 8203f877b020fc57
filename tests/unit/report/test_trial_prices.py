"""What a run has cost, in its view: by the price table, the cases and items of each trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.made_runs import make_run, record

from podmap.additions import Addition
from podmap.engine.gpu_tally import HOUR_S
from podmap.ledger.ledger import Ledger
from podmap.report.trial_prices import item_patch
from podmap.report.view import run_view
from podmap.testing import SweepTest, fail

PRICES = {"cpu_hour": 0.5, "gpu_hour": 2, "currency": "EUR"}
NOTHING = {"spent": None, "wasted": None, "limit": None, "currency": ""}


def priced(search: Mapping[str, Any], **budget: Any) -> dict[str, Any]:
    """A sweep whose trials cost 3 EUR an hour, and 1 EUR where `x` is 1."""
    return {
        "apiVersion": "podmap/v1",
        "name": "priced",
        "search": search,
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {
            "image": "x",
            "command": ["train"],
            "resources": {"cpu": 2, "gpu": 1},
            "cases": [{"when": {"x": 1}, "resources": {"gpu": 0}}],
        },
        "budget": {"prices": PRICES, **budget},
    }


def cost_of(run_uri: str) -> dict[str, Any]:
    cost: dict[str, Any] = run_view(Ledger.open(run_uri))["budget"]["cost"]
    return cost


def train(params: Mapping[str, Any]) -> dict[str, float]:
    return {"y": float(params["x"])}


def test_what_attempts_have_cost_and_what_of_it_was_in_vain(tmp_path: Path) -> None:
    grid = {"kind": "grid", "params": {"x": {"low": 1, "high": 3}}}
    done = SweepTest(priced(grid, cost=50)).run(
        tmp_path, train=train, takes_s=HOUR_S, failures=[fail.preempted(trial=2)]
    )
    assert ["preempted", "complete"] == done.story(2)
    view = run_view(Ledger.open(done.run_uri))
    begun, ended = view["attempts"]["started"], view["attempts"]["finished"]
    wasted_s = ended[2] - begun[2]
    assert [0, 1, 2, 2] == view["attempts"]["trial"]
    assert {
        "spent": pytest.approx(1 + 3 + 3 + 3 * wasted_s / HOUR_S, abs=1e-5),
        "wasted": pytest.approx(3 * wasted_s / HOUR_S, abs=1e-5),
        "limit": 50,
        "currency": "EUR",
    } == view["budget"]["cost"]
    assert wasted_s > 0


def test_prices_without_a_limit_are_told(tmp_path: Path) -> None:
    grid = {"kind": "grid", "params": {"x": {"low": 1, "high": 2}}}
    done = SweepTest(priced(grid)).run(tmp_path, train=train, takes_s=HOUR_S)
    assert {"spent": 4, "wasted": 0, "limit": None, "currency": "EUR"} == cost_of(done.run_uri)


def test_the_resources_of_a_list_item_are_what_it_costs(tmp_path: Path) -> None:
    items = [{"x": 1}, {"x": 2, "trial": {"resources": {"cpu": 4, "gpu": 2}}}, {"x": 3}]
    spec = priced({"kind": "list", "items": items, "repeats": 2})
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    assert 2 * (1 + 6 + 3) == cost_of(done.run_uri)["spent"]


def test_without_a_price_table_nothing_is_told(tmp_path: Path) -> None:
    spec = priced({"kind": "grid", "params": {"x": {"low": 1, "high": 2}}})
    del spec["budget"]
    done = SweepTest(spec).run(tmp_path, train=train, takes_s=HOUR_S)
    assert NOTHING == cost_of(done.run_uri)


@pytest.mark.parametrize(
    "items",
    [[{"x": 1}], [{"x": 1}, 7], [{"x": 1}, {"x": 2, "trial": {"resources": 7}}], {"x": 1}],
    ids=["too few", "no object", "no patch", "no list"],
)
def test_items_that_cannot_be_understood_leave_the_cost_unknown(tmp_path: Path, items: Any) -> None:
    done = SweepTest(priced({"kind": "list", "items": [{"x": 1}, {"x": 2}]}, cost=50)).run(
        tmp_path, train=train, takes_s=HOUR_S
    )
    ledger = Ledger.open(done.run_uri)
    manifest = ledger.read_manifest()
    ledger.replace_manifest(replace(manifest, plan={**(manifest.plan or {}), "items": items}))
    told = {"spent": None, "wasted": None, "limit": 50, "currency": "EUR"}
    assert told == cost_of(done.run_uri)


def test_added_items_have_their_own_patches(tmp_path: Path) -> None:
    _, manifest = make_run(tmp_path, [record(n, 0.5) for n in range(4)], count=4)
    patch = {"resources": {"gpu": 2}}
    manifest = replace(
        manifest,
        plan={"items": [{"x": 1, "trial": {"shm": "1Gi"}}, {"x": 2}]},
        added=[
            Addition(4, 4, items=[{"x": 3}, {"x": 4, "trial": patch}]),
            Addition(8, 2, search={"trials": 5}),
        ],
    )
    found = [dict(item_patch(manifest, number, repeats=2)) for number in range(10)]
    assert [{"shm": "1Gi"}] * 2 + [{}] * 4 + [patch] * 2 + [{}] * 2 == found
