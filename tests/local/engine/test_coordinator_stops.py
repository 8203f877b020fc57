"""A trial that is asked for anew after a stop lifts it, in whatever process it is."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.local.engine.shared_run import (
    BAD,
    CANCELLED,
    COMPLETE,
    FAILED,
    GOOD,
    HELD,
    NO_IMAGE,
    PAUSES,
    TIMING,
    Scene,
    play,
    release_all,
    role,
    scene,
    settle_all,
    states,
    stopped,
    until,
)

from podmap.clock import iso, utc_now
from podmap.engine.gatekeeper import Role
from podmap.engine.trial import run_trial
from podmap.ledger.run_state import Decisions
from podmap.names import epoch_time
from podmap.records import Record

__all__ = ["scene"]


def asked(in_s: float) -> str:
    """An epoch as Airflow makes them, so many seconds from now."""
    moment_ms = round((utc_now() + timedelta(seconds=in_s)).timestamp() * 1000)
    return str(uuid.UUID(int=moment_ms << 80 | 7 << 76 | 2 << 62 | uuid.uuid4().int % 2**62))


def test_the_time_of_an_epoch_is_that_of_its_asking() -> None:
    made = epoch_time(asked(0))
    assert made is not None
    assert abs(made - utc_now()) < timedelta(minutes=1)
    assert [None] * 3 == [
        epoch_time(text) for text in ("e1", "0123456789abcdef", str(uuid.uuid4()))
    ]


@pytest.mark.parametrize("later", ["first", "second"], ids=["in role", "not in role"])
@pytest.mark.parametrize("why", ["no image", "failures"])
def test_what_is_asked_for_after_a_stop_lifts_it_for_all(
    scene: Scene, later: str, why: str
) -> None:
    bad = NO_IMAGE if why == "no image" else BAD
    scene.script = lambda number: HELD if number == 0 else bad
    more = {} if why == "no image" else {"failures": {"allow": 0}}
    planned = scene.plan(8, **more)
    before = asked(-60)

    async def scenario() -> None:
        async with scene.two(planned) as sessions:
            first, second = sessions
            held = asyncio.ensure_future(run_trial(second, 0, before))
            assert [FAILED] == states(await settle_all(first, 1, epoch=before))
            await until(lambda: stopped(first) and stopped(second))
            assert [CANCELLED] == states(await settle_all(second, 2, epoch=before))
            scene.script = lambda number: GOOD
            asks = sessions[("first", "second").index(later)]
            done = await settle_all(asks, 1, 2, 3, epoch=asked(60))
            assert [COMPLETE] * 3 == states(done)
            await until(lambda: not stopped(first) and not stopped(second))
            assert "" == planned.ledger.read_state().decided.stop
            assert [COMPLETE] * 2 == states(
                [*await settle_all(first, 4, epoch=before), *await settle_all(second, 5)]
            )
            release_all(scene)
            await held

    play(scenario)


def test_a_stop_that_was_inherited_is_lifted(scene: Scene) -> None:
    planned = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            await first.coordinator.stop("the image is wrong")
            await until(lambda: stopped(second))
            await first.close()
            await until(lambda: second.slots.own_stop)
            assert [COMPLETE] == states(await settle_all(second, 1, epoch=asked(60)))

    play(scenario)


def test_failures_that_were_forgiven_count_for_nobody_who_comes_later(scene: Scene) -> None:
    planned = scene.plan(6, failures={"allow": 1})
    for number in (4, 5):
        planned.ledger.write_record(Record(number, "k", "e1", FAILED, finished=iso(utc_now())))

    async def scenario() -> None:
        async with scene.process(planned) as first:
            assert "2 trials failed, 1 were allowed (failures.allow)" == stopped(first)
            assert [COMPLETE] == states(await settle_all(first, 0, epoch=asked(60)))
        async with scene.process(planned) as second:
            assert set() == second.slots.tally.failed
            assert [COMPLETE] == states(await settle_all(second, 2))

    play(scenario)


def test_a_users_stop_is_not_lifted(scene: Scene) -> None:
    planned = scene.plan(2)
    planned.ledger.update_state(stopped="stopped by a user")

    async def scenario() -> None:
        async with scene.process(planned) as only:
            records = await settle_all(only, 0, epoch=asked(60))
            assert [(CANCELLED, "stopped by a user")] == [(r.state, r.reason) for r in records]

    play(scenario)


def test_the_end_of_the_runs_time_is_not_lifted(scene: Scene) -> None:
    planned = scene.plan(2, budget={"wall": "1h"})
    at = iso(utc_now() - timedelta(hours=2))
    long_ago = replace(planned, manifest=replace(planned.manifest, planned=at))

    async def scenario() -> None:
        async with scene.process(long_ago) as only:
            (record,) = await settle_all(only, 0, epoch=asked(60))
            assert CANCELLED is record.state
            assert "budget.wall" in record.reason

    play(scenario)


def test_a_process_that_works_on_an_older_planning_decides_nothing_for_the_new_one(
    scene: Scene,
) -> None:
    older = scene.plan(2)
    while (newer := scene.plan(2)).manifest.planned == older.manifest.planned:
        pass  # both in one millisecond
    anew = Decisions(newer.manifest.planned, "it has reasons")

    async def scenario() -> None:
        async with scene.process(older) as left:
            await until(lambda: role(left) is Role.COORDINATOR)
            older.ledger.update_state(decided=anew)
            assert "the image is wrong" == await left.coordinator.stop("the image is wrong")
            assert stopped(left)
        assert anew == older.ledger.read_state().decided

    play(scenario)


def test_first_failures_of_one_kind_are_counted_by_all_and_lifted_by_who_asks_again(
    scene: Scene,
) -> None:
    scene.script = lambda number: BAD
    planned = scene.plan(9, failures={"same": 3})

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            assert [FAILED] * 2 == states(await settle_all(first, 0, 1))
            assert [FAILED] == states(await settle_all(second, 2))
            await until(lambda: stopped(first) and stopped(second))
            assert "the first 3 trials failed in the same way" in stopped(second)
            assert [CANCELLED] * 2 == states(
                [*await settle_all(first, 3), *await settle_all(second, 4)]
            )
            scene.script = lambda number: GOOD
            assert [COMPLETE] * 2 == states(await settle_all(second, 0, 3, epoch=asked(60)))
            await until(lambda: not stopped(first) and not stopped(second))

    play(scenario)


def test_a_users_stop_with_cancel_ends_what_runs_in_all_processes(scene: Scene) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(4, parallelism=2)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            work = [
                asyncio.ensure_future(settle_all(first, 0, 1)),
                asyncio.ensure_future(settle_all(second, 2, 3)),
            ]
            await until(lambda: len(scene.limits) == 2)
            planned.ledger.update_state(stopped="enough")
            await until(lambda: stopped(first) and stopped(second))
            await until(lambda: first.slots.alive + second.slots.alive == 2)  # those at a gate go
            planned.ledger.update_state(cancel=True)
            for each in work:
                assert [(CANCELLED, "enough")] * 2 == [(r.state, r.reason) for r in await each]

    play(scenario)


def test_a_namespace_that_is_deleted_cancels_its_trials_until_they_are_cleared(
    scene: Scene,
) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(6)

    async def scenario() -> None:
        async with scene.process(planned) as session:
            running = [asyncio.ensure_future(run_trial(session, number, "e1")) for number in (0, 1)]
            await until(lambda: len(scene.cluster.pod_names()) == 2)
            scene.cluster.delete_namespace()
            ended = [*await asyncio.gather(*running), *await settle_all(session, 2)]
            reason = "the namespace default was deleted while the run went on"
            assert {(CANCELLED, reason)} == {(each.state, each.reason) for each in ended}
            scene.cluster.create_namespace()
            scene.script = lambda number: GOOD
            assert [COMPLETE] * 3 == states(await settle_all(session, 0, 1, 2, epoch=asked(60)))

    play(scenario)


VERBS = ("list", "watch", "get", "create", "patch", "delete")


def test_a_user_ends_a_run_whose_account_has_lost_all_its_rights(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(6)
    timing = replace(TIMING, longest_pause_s=3600.0)
    pauses = replace(PAUSES, outage_patience_s=0.01, recheck_every_s=0.01)

    def runs(name: str) -> bool:
        pod = scene.cluster.pod(name)
        return pod is not None and pod["status"].get("phase") == "Running"

    async def scenario() -> None:
        async with scene.process(planned, timing, pauses) as session:
            running = [asyncio.ensure_future(run_trial(session, number, "e1")) for number in (0, 1)]
            await until(lambda: sum(map(runs, scene.cluster.pod_names())) == 2)
            pods = scene.cluster.pod_names()
            for verb in VERBS:
                scene.cluster.forbid(verb)
            scene.cluster.end_watches()
            await until(lambda: caplog.text.count("asking again in 3600.0 s (podmap stop") == 2)
            planned.ledger.update_state(stopped="enough", cancel=True)
            ended = await asyncio.gather(*running)
            assert [CANCELLED] * 2 == states(ended)
            for record in ended:
                assert record.reason.startswith("enough; what runs of it could not be ended")
                assert "not allowed to list pods" in record.reason
                assert planned.ledger.read_record(record.number) == record
            assert pods == scene.cluster.pod_names()
        scene.cluster.heal()
        planned.ledger.update_state(stopped=None, cancel=False)
        scene.script = lambda number: GOOD
        async with scene.process(planned) as session:
            again = await settle_all(session, 0, 1, epoch=asked(60))
            assert [COMPLETE] * 2 == states(again)
            assert not set(pods) & set(scene.cluster.pod_names())

    with caplog.at_level(logging.WARNING):
        play(scenario)
