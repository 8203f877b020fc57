"""Memory that a run's trials were found to need, among several processes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.local.engine.shared_run import (
    COMPLETE,
    FAILED,
    GOOD,
    HELD,
    LADDER,
    MI,
    RUN_ID,
    Scene,
    play,
    release_all,
    scene,
    settle_all,
    states,
    until,
)

from podmap.engine.trial import run_trial
from podmap.records import Category
from podmap.testing.fake_cluster import Script

__all__ = ["scene"]


def test_a_trial_that_ran_out_of_memory_is_rescued_and_the_next_begin_there(scene: Scene) -> None:
    scene.script = lambda number: Script(result='{"y": 1}', memory_bytes=150 * MI)
    planned = scene.plan(4, **LADDER)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            rescued = await run_trial(second, 0, "e1")
            assert COMPLETE is rescued.state
            sizes = [attempt.memory_bytes for attempt in rescued.attempts]
            assert [100 * MI, 200 * MI] == sizes
            await until(lambda: first.slots.tally.memory)
            assert [COMPLETE] == states(await settle_all(first, 1))
            await until(lambda: planned.ledger.read_state().decided.memory == {100 * MI: 200 * MI})
        async with scene.process(planned) as later:
            assert [COMPLETE] == states(await settle_all(later, 2))
        expected = [(0, "100Mi"), (0, "200Mi"), (1, "200Mi"), (2, "200Mi")]
        assert expected == scene.limits

    play(scenario)


def test_the_ladder_ends_at_its_limit_and_says_so(scene: Scene) -> None:
    scene.script = lambda number: Script(memory_bytes=999 * MI)
    planned = scene.plan(1, **LADDER)

    async def scenario() -> None:
        async with scene.process(planned) as only:
            record = await run_trial(only, 0, "e1")
        assert FAILED is record.state
        assert [Category.OOM] * 3 == [a.diagnosis.category for a in record.attempts if a.diagnosis]
        assert [(0, "100Mi"), (0, "200Mi"), (0, "300Mi")] == scene.limits
        assert "retries.oom.limit is 300Mi, so there is no more memory for it" in record.reason

    play(scenario)


def test_pods_that_stand_ready_are_made_anew_with_what_was_learnt(scene: Scene) -> None:
    scene.script = lambda number: HELD if number == 9 else replace(GOOD, memory_bytes=150 * MI)
    planned = scene.plan(12, parallelism=1, **LADDER)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            running = asyncio.ensure_future(run_trial(first, 9, "e1"))
            await until(lambda: scene.limits)
            ready = [
                asyncio.ensure_future(run_trial(one, number, "e1"))
                for one, number in ((first, 0), (second, 1))
            ]
            for number in (0, 1):
                await until(lambda number=number: scene.cluster.pod(f"s-{RUN_ID}-{number}-a1"))
            first.slots.tally.learn_memory({100 * MI: 200 * MI})
            for number in (0, 1):
                await until(lambda number=number: scene.cluster.pod(f"s-{RUN_ID}-{number}-a2"))
            release_all(scene)
            assert COMPLETE is (await running).state
            records = await asyncio.gather(*ready)
        assert [COMPLETE, COMPLETE] == states(records)
        for record in records:
            assert [100 * MI, 200 * MI] == [one.memory_bytes for one in record.attempts]
            assert record.attempts[0].started is None
        assert [(0, "200Mi"), (1, "200Mi"), (9, "100Mi")] == sorted(scene.limits)

    play(scenario)
