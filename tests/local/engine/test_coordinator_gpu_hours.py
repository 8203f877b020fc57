"""GPU-hours that are spent end the run in all its processes, and for good."""

from __future__ import annotations

import asyncio

from tests.local.engine.shared_run import (
    CANCELLED,
    HELD,
    Scene,
    play,
    scene,
    settle_all,
    states,
    stopped,
    until,
)

from podmap.clock import iso, utc_now
from podmap.engine.trial import run_trial
from podmap.records import Record, TrialState

__all__ = ["scene"]

# Any attempt that is seen to have run for a moment has spent it.
BUDGET = {
    "trial": {"resources": {"gpu": 1}},
    "budget": {"gpu_hours": 1e-9, "on_exceed": "cancel"},
}


def test_what_any_process_runs_is_counted_and_ended_in_all_of_them(scene: Scene) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(4, **BUDGET)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            held = [
                asyncio.ensure_future(run_trial(session, number, "e1"))
                for number, session in enumerate((first, second))
            ]
            assert [CANCELLED] * 2 == states(await asyncio.gather(*held))
            await until(lambda: stopped(first) and stopped(second))
            assert [CANCELLED] == states(await settle_all(second, 2))

    play(scenario)


def test_what_ended_before_counts_for_who_comes_later(scene: Scene) -> None:
    planned = scene.plan(2, **BUDGET)
    key = planned.trial(0).key
    ended = Record(0, key, "e0", TrialState.FAILED, gpu_seconds=1.0, finished=iso(utc_now()))
    planned.ledger.write_record(ended)

    async def scenario() -> None:
        async with scene.process(planned) as later:
            assert "budget.gpu_hours" in stopped(later)
            (record,) = await settle_all(later, 1)
            assert (CANCELLED, ()) == (record.state, record.attempts)

    play(scenario)
