"""A target that is reached ends the run in all its processes, and for good."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import pytest
from tests.local.engine.shared_run import (
    CANCELLED,
    COMPLETE,
    GOOD,
    HELD,
    Scene,
    play,
    scene,
    settle_all,
    states,
    stopped,
    until,
)

from podmap.clock import utc_now
from podmap.engine.trial import run_trial

__all__ = ["scene"]

TARGET = {"objective": {"metric": "y", "direction": "maximize", "target": 1}}
REACHED = "has reached the target: y 1 is at least 1 (objective.target)"


def asked_later() -> str:
    """An epoch as Airflow makes them, in a minute."""
    moment_ms = round((utc_now() + timedelta(seconds=60)).timestamp() * 1000)
    return str(uuid.UUID(int=moment_ms << 80 | 7 << 76 | 2 << 62 | uuid.uuid4().int % 2**62))


@pytest.mark.parametrize("where", ["coordinator", "follower"])
def test_what_runs_is_ended_and_what_waits_is_cancelled_in_all_processes(
    scene: Scene, where: str
) -> None:
    scene.script = lambda number: GOOD if number == 3 else HELD
    planned = scene.plan(6, **TARGET)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            reaches, other = (first, second) if where == "coordinator" else (second, first)
            held = [
                asyncio.ensure_future(run_trial(session, number, "e1"))
                for number, session in enumerate((reaches, other))
            ]
            await until(lambda: len(scene.cluster.pod_names()) == 2)
            (good,) = await settle_all(reaches, 3)
            assert good.state is COMPLETE
            ended = await asyncio.gather(*held)
            assert [CANCELLED] * 2 == states(ended)
            assert all(record.reason.endswith(REACHED) for record in ended)
            await until(lambda: stopped(other))
            late = await settle_all(other, 4, 5)
            assert [CANCELLED] * 2 == states(late)
            assert {f"trial 3 {REACHED}"} == {record.reason for record in late}

    play(scenario)


def test_a_result_counts_before_its_pod_is_removed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = scene.plan(2, **TARGET)

    async def scenario() -> None:
        async with scene.process(planned) as session:
            delete = session.backend.delete

            async def delete_late(name: str) -> None:
                await until(lambda: stopped(session))
                await delete(name)

            monkeypatch.setattr(session.backend, "delete", delete_late)
            assert [COMPLETE] == states(await settle_all(session, 0))

    play(scenario)


def test_it_holds_for_who_comes_later_and_for_what_is_asked_for_anew(scene: Scene) -> None:
    planned = scene.plan(4, **TARGET)

    async def scenario() -> None:
        async with scene.process(planned) as first:
            await settle_all(first, 2)
        async with scene.process(planned) as second:
            assert f"trial 2 {REACHED}" == stopped(second)
            assert [CANCELLED] == states(await settle_all(second, 1, epoch=asked_later()))

    play(scenario)


def test_results_of_another_plan_reach_nothing(scene: Scene) -> None:
    planned = scene.plan(2, **TARGET)

    async def scenario() -> None:
        async with scene.process(planned) as first:
            await settle_all(first, 0)
        newer = scene.plan(2, **TARGET, cache_version="2")
        async with scene.process(newer) as second:
            assert "" == stopped(second)

    play(scenario)


def test_with_reuse_none_only_results_of_this_planning_count(scene: Scene) -> None:
    planned = scene.plan(2, reuse="none", **TARGET)

    async def scenario() -> None:
        async with scene.process(planned) as first:
            await settle_all(first, 0)
            assert stopped(first)
        newer = scene.plan(2, reuse="none", **TARGET)
        async with scene.process(newer) as second:
            assert "" == stopped(second)
            assert [COMPLETE] == states(await settle_all(second, 0, epoch=asked_later()))
            assert stopped(second)

    play(scenario)


def test_repeats_of_several_processes_reach_it_together(scene: Scene) -> None:
    search = {"kind": "grid", "repeats": 3, "params": {"x": [1, 2]}}
    scene.script = lambda number: HELD if number == 5 else GOOD
    planned = scene.plan(2, search=search, **TARGET)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            held = asyncio.ensure_future(run_trial(second, 5, "e1"))
            await settle_all(second, 0)
            await settle_all(first, 1)
            assert "" == stopped(first) == stopped(second)
            await settle_all(second, 2)
            ended = await held
            assert ended.state is CANCELLED
            assert ended.reason.startswith("trials 0 to 2 have reached the target")

    play(scenario)
