"""The view of a run as large as runs may be: it is made, and a trial takes bounded bytes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.unit.report.made_runs import ACCURACY

from podmap.clock import iso
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import RunState
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.report.document import RunFacts, build_view
from podmap.report.facts import trial_facts
from podmap.report.page_data import compact_view, packed_json
from podmap.report.rows import RowBuilder
from podmap.spec.load import load

COUNT = 20_000
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
FAILED = Diagnosis(Category.USER_EXIT, "exit code 1", "", "look at the log")
SPEC = {
    "apiVersion": "podmap/v1",
    "name": "large",
    "search": {
        "kind": "random",
        "trials": COUNT,
        "params": {
            "lr": {"low": 1e-4, "high": 1e-1, "log": True},
            "dropout": {"low": 0.0, "high": 0.9},
            "depth": {"low": 2, "high": 10},
            "kernel": ["rbf", "linear"],
        },
    },
    "objective": {"metric": "accuracy", "direction": "maximize"},
    "trial": {"command": ["train"]},
}


def records() -> Iterator[Record]:
    """One in 40 has failed, for a reason of its own; one in ten has reported 20 steps."""
    draw = random.Random(7)
    for number in range(COUNT):
        began = START + timedelta(seconds=number / 2)
        took_s = round(draw.uniform(20, 90), 3)
        started, finished = iso(began), iso(began + timedelta(seconds=took_s))
        failed = number % 40 == 7
        accuracy = draw.random()
        yield Record(
            number,
            "",
            "",
            TrialState.FAILED if failed else TrialState.COMPLETE,
            params={
                "lr": 10 ** draw.uniform(-4, -1),
                "dropout": draw.uniform(0, 0.9),
                "depth": draw.randint(2, 10),
                "kernel": draw.choice(["rbf", "linear"]),
            },
            metrics={} if failed else {"accuracy": accuracy, "loss": draw.random()},
            objective=None if failed else accuracy,
            attempts=(
                Attempt(
                    1,
                    f"large-{number}",
                    f"node-{number % 100}",
                    started=started,
                    finished=finished,
                    diagnosis=FAILED if failed else None,
                ),
            ),
            reason=f"exit code 1: no room for batch {number}" if failed else "",
            started=started,
            finished=finished,
            duration_s=took_s,
            reports=tuple((step, {"accuracy": accuracy * step / 20}) for step in range(20))
            if number % 10 == 0
            else (),
        )


@pytest.fixture(scope="module")
def view() -> dict[str, Any]:
    builder = RowBuilder((ACCURACY,))
    run = RunFacts(
        uri="/runs/large/0123abcd",
        manifest=Manifest("large", "0123abcd", {"kind": "cli"}, iso(START), SPEC, count=COUNT),
        state=RunState(),
        sweep=load(SPEC).sweep,
        trials=[trial_facts(record, builder.row(record)) for record in records()],
    )
    return build_view(run, made_s=START.timestamp() + 20_000)


def test_all_trials_are_there(view: dict[str, Any]) -> None:
    columns = view["trials"]
    assert (COUNT - 500, 500, "ended") == (
        view["counts"]["COMPLETE"],
        view["counts"]["FAILED"],
        view["run"]["state"],
    )
    assert list(range(COUNT)) == columns["number"]
    assert columns["metrics"]["accuracy"][view["best"]] == max(
        filter(None, columns["metrics"]["accuracy"])
    )
    assert COUNT == len(view["attempts"]["slot"])


def test_a_trial_takes_bounded_bytes(view: dict[str, Any]) -> None:
    sent = len(json.dumps(view, separators=(",", ":"), allow_nan=False))
    assert sent < 20_000 + 300 * COUNT
    kept = len(packed_json(compact_view(view)))
    assert kept < 20_000 + 120 * COUNT


def test_what_could_grow_without_end_is_cut(view: dict[str, Any]) -> None:
    assert 30_000 >= sum(map(len, view["curves"]["steps"]))
    assert COUNT // 10 == len(view["curves"]["trial"])
    assert 50 >= max(len(group["trials"]) for group in view["failures"])
    assert 500 == sum(group["count"] for group in view["failures"])
    assert 50 >= len(view["events"])
