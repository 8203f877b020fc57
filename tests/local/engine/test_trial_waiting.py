"""Trials whose pods do not start: what `pending` and the run's time mean to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.shared_run import (
    CANCELLED,
    COMPLETE,
    FAILED,
    GOOD,
    HELD,
    Scene,
    play,
    release_all,
    scene,
    settle_all,
    states,
    until,
)

from podmap.backends.kubernetes.diagnosis.waiting import never_started
from podmap.clock import iso, parse_iso, utc_now
from podmap.engine.planned import PlannedRun
from podmap.engine.run import SweepRun
from podmap.engine.tally import TIME_IS_OVER
from podmap.engine.trial import run_trial
from podmap.records import Category, Record
from podmap.testing.fake_cluster import FakeCluster, Script

__all__ = ["scene"]

STUCK = Script(waiting="ContainerCreating")
"""Its node never comes to an end with making the container."""


def pod_of(scene: Scene, number: int) -> str | None:
    names = scene.cluster.pod_names()
    return next((name for name in names if f"-{number}-a" in name), None)


def is_on_a_node(scene: Scene, number: int) -> bool:
    name = pod_of(scene, number)
    pod = scene.cluster.pod(name) if name else None
    return pod is not None and "containerStatuses" in pod["status"]


def ending_in(planned: PlannedRun, seconds: float) -> PlannedRun:
    """The run, planned so long ago that its time is over in so many seconds."""
    wall_s = planned.sweep.budget.wall if planned.sweep.budget else None
    at = iso(utc_now() - timedelta(seconds=(wall_s or 0) - seconds))
    return replace(planned, manifest=replace(planned.manifest, planned=at))


def test_an_attempt_that_does_not_start_in_time_fails_its_trial(scene: Scene) -> None:
    scene.script = lambda number: STUCK if number == 0 else GOOD
    planned = scene.plan(2, pending=0.2)

    async def scenario() -> None:
        async with scene.process(planned) as only:
            stuck, good = await settle_all(only, 0, 1)
        assert [FAILED, COMPLETE] == states([stuck, good])
        (attempt,) = stuck.attempts
        assert attempt.diagnosis is not None
        assert Category.UNSCHEDULABLE is attempt.diagnosis.category
        said = "unschedulable: it had not started after 0.2 s (pending): node fake-node-1 gets its"
        assert stuck.reason.startswith(said)
        assert "retries.unschedulable" in attempt.diagnosis.resolution
        assert (None, None) == (stuck.started, stuck.queued_s)
        assert [] == scene.cluster.pod_names()

    play(scenario)


def test_it_is_tried_again_out_of_a_budget_of_its_own(scene: Scene) -> None:
    scene.script = lambda number: STUCK
    retries = {"unschedulable": 2, "infra": 0, "user": 0}
    planned = scene.plan(1, pending=0.05, retries=retries)

    async def scenario() -> None:
        async with scene.process(planned) as only:
            (record,) = await settle_all(only, 0)
        found = [attempt.diagnosis and attempt.diagnosis.category for attempt in record.attempts]
        assert [Category.UNSCHEDULABLE] * 3 == found

    play(scenario)


def test_waiting_for_a_slot_does_not_count(scene: Scene) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(2, pending=0.2, parallelism=1)

    async def scenario() -> None:
        async with scene.process(planned) as only:
            both = asyncio.ensure_future(settle_all(only, 0, 1))
            await until(lambda: is_on_a_node(scene, 0) and pod_of(scene, 1))
            await asyncio.sleep(0.3)
            while not both.done():
                release_all(scene)
                await asyncio.sleep(0.01)
            assert [COMPLETE, COMPLETE] == states(await both)

    play(scenario)


def test_no_node_for_it_is_what_the_record_says(scene: Scene) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: not helpful."
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    status = {"phase": "Pending", "conditions": [{**told, "message": message}]}
    found = never_started({"metadata": {"name": "p"}, "spec": {}, "status": status}, 7200.0)
    assert (
        "it had not started after 7200 s (pending): no node takes it: 0/3 nodes are available: 3 "
        "Insufficient nvidia.com/gpu."
    ) == found.summary
    assert "nvidia.com/gpu as trial.resources asks for" in found.resolution


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_what_has_not_started_when_the_time_is_over_is_taken_back(scene: Scene, mode: str) -> None:
    scene.script = lambda number: HELD if number == 0 else STUCK
    planned = scene.plan(9, parallelism=3, budget={"wall": "1h", "on_exceed": mode})

    async def scenario() -> None:
        async with scene.process(ending_in(planned, 1.5)) as first:
            running = [asyncio.ensure_future(run_trial(first, number, "e1")) for number in range(9)]
            await until(lambda: all(is_on_a_node(scene, number) for number in (0, 1, 2)))
            rest = await asyncio.gather(*running[1:])
            assert [(CANCELLED, TIME_IS_OVER)] * 8 == [(r.state, r.reason) for r in rest]
            if mode == "finish":
                release_all(scene)
            assert (COMPLETE if mode == "finish" else CANCELLED) is (await running[0]).state
        assert [] == scene.cluster.pod_names()

    play(scenario)


def test_a_run_whose_pods_never_start_ends_with_its_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.cluster = FakeCluster(capacity=0)
    planned = scene.plan(6, budget={"wall": "1h"})

    async def scenario() -> None:
        async with scene.process(planned) as any_session:
            backend = any_session.backend
            await SweepRun(ending_in(planned, 0.5), backend, epoch="e1").run()
        records = list(planned.ledger.records())
        assert [CANCELLED] * 6 == states(records)
        assert [] == scene.cluster.pod_names()

    with scene.cluster:
        play(scenario)


def test_queued_is_from_the_asking_to_the_containers_start(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.cluster = FakeCluster(script=Script(pending_s=2.0, result='{"y": 1}'), speed=1.0)
    planned = scene.plan(1)
    records: list[Record] = []

    async def scenario() -> None:
        async with scene.process(planned) as only:
            asked = iso(utc_now())
            records.extend(await settle_all(only, 0))
            (record,) = records
            assert record.started == record.attempts[0].started
            waited_s = (parse_iso(record.started or "") - parse_iso(asked)).total_seconds()
            assert record.queued_s == pytest.approx(waited_s, abs=0.5)
            assert record.queued_s > 1.0

    with scene.cluster:
        play(scenario)


def test_a_time_that_is_over_takes_back_what_another_process_has_left(scene: Scene) -> None:
    """A process that goes on with a run after its time finds pods that wait, and ends them."""
    scene.script = lambda number: STUCK
    planned = scene.plan(1, budget={"wall": "1h"})
    left: dict[str, Any] = {}

    async def scenario() -> None:
        async with scene.process(planned) as first:
            left["trial"] = asyncio.ensure_future(run_trial(first, 0, "e1"))
            await until(lambda: is_on_a_node(scene, 0))
            left["trial"].cancel()
        async with scene.process(ending_in(planned, 0.0)) as second:
            (record,) = await settle_all(second, 0)
        assert (CANCELLED, TIME_IS_OVER) == (record.state, record.reason)
        assert [] == scene.cluster.pod_names()

    play(scenario)
