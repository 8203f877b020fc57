"""Several processes at one run of pods: what one of them decides holds for all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.local.engine.shared_run import (
    BAD,
    CANCELLED,
    COMPLETE,
    FAILED,
    GOOD,
    HELD,
    LADDER,
    MI,
    NO_IMAGE,
    PATIENCE_S,
    RUN_ID,
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

from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.coordinator import Coordinator
from podmap.engine.gatekeeper import Role
from podmap.engine.launch import Launcher
from podmap.engine.run import SweepRun
from podmap.engine.trial import run_trial
from podmap.ledger.run_state import Decisions
from podmap.records import Category

__all__ = ["scene"]


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_a_failure_budget_counts_the_failures_of_all(scene: Scene, mode: str) -> None:
    scene.script = lambda number: BAD if number < 3 else HELD
    planned = scene.plan(12, failures={"allow": 2, "on_exceed": mode})

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            held = [
                asyncio.ensure_future(run_trial(one, number, "e1"))
                for one, number in ((first, 8), (second, 9))
            ]
            await until(lambda: len(scene.limits) >= 2)
            assert [FAILED] == states(await settle_all(first, 0))
            assert [FAILED, FAILED] == states(await settle_all(second, 1, 2))
            for session in (first, second):
                await until(lambda session=session: stopped(session))
                assert stopped(session).startswith("3 trials failed, 2 were allowed")
            assert [CANCELLED] == states(await settle_all(first, 3))
            assert [CANCELLED] == states(await settle_all(second, 4))
            if mode == "finish":
                release_all(scene)
            expected = CANCELLED if mode == "cancel" else COMPLETE
            assert [expected] * 2 == states(await asyncio.gather(*held))

    play(scenario)


def test_the_count_survives_a_change_of_the_holder(scene: Scene) -> None:
    scene.script = lambda number: BAD
    planned = scene.plan(12, failures={"allow": 3})

    async def scenario() -> None:
        async with scene.process(planned) as third:
            await until(lambda: role(third) is Role.COORDINATOR)
            async with scene.process(planned) as second:
                async with scene.process(planned) as first:
                    assert [FAILED] == states(await settle_all(first, 0))
                    assert [FAILED] == states(await settle_all(second, 1))
                    assert [FAILED] == states(await settle_all(third, 2))
                    await until(lambda: len(third.slots.tally.failed) == 3)
                await third.close()
                await until(lambda: role(second) is Role.COORDINATOR)
                assert [FAILED] == states(await settle_all(second, 3))
                await until(lambda: stopped(second))

    play(scenario)


def test_an_image_that_cannot_be_pulled_fails_the_sweep_once(scene: Scene) -> None:
    scene.script = lambda number: NO_IMAGE
    planned = scene.plan(40, parallelism=8)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            both = await asyncio.gather(
                settle_all(first, *range(0, 40, 2)), settle_all(second, *range(1, 40, 2))
            )
        records = [record for each in both for record in each]
        failed = [record for record in records if record.state is FAILED]
        assert 1 == len(failed)
        assert failed[0].reason.startswith("image_pull:")
        cancelled = {record.reason for record in records if record.state is CANCELLED}
        assert len(cancelled) <= 2  # trials that ended at once, and those that were ended
        assert all(f"trial {failed[0].number} cannot run" in reason for reason in cancelled)
        assert [] == scene.cluster.pod_names()

    play(scenario)


def test_pods_that_wait_at_the_gate_are_ended_by_a_stop(scene: Scene) -> None:
    scene.script = lambda number: HELD if number == 1 else NO_IMAGE
    planned = scene.plan(12, parallelism=1)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            held = asyncio.ensure_future(run_trial(second, 1, "e1"))
            await until(lambda: (1, "") in scene.limits)
            for session in (first, second):
                await until(lambda one=session: not one.coordinator.gates.gated_attempts())
            waiting = asyncio.ensure_future(run_trial(first, 5, "e1"))
            await until(lambda: first.coordinator.gates.gated_attempts())  # type: ignore[union-attr]
            assert "here it ends" == await second.coordinator.stop("here it ends")
            assert CANCELLED is (await waiting).state
            release_all(scene)
            assert COMPLETE is (await held).state
        assert {(1, "")} == set(scene.limits), "trial 5 was never let go"

    play(scenario)


def test_a_stop_is_inherited_by_the_next_holder_of_the_lease(scene: Scene) -> None:
    planned = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            await first.coordinator.stop("the image is wrong")
            await until(lambda: stopped(second))
            await first.close()
            await until(lambda: role(second) is Role.COORDINATOR)
            await until(lambda: second.slots.own_stop)
            assert "the image is wrong" == planned.ledger.read_state().decided.stop
            assert [CANCELLED] == states(await settle_all(second, 1))

    play(scenario)


def test_what_is_decided_is_published_even_as_a_process_leaves(scene: Scene) -> None:
    planned = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            second.slots.stop("time is over", cancel=True)
            await second.close()
            decided = replace(planned.ledger.read_state().decided, at="")
            assert Decisions(planned.manifest.planned, "time is over", True) == decided
            await until(lambda: stopped(first) == "time is over")

    play(scenario)


def test_a_stop_of_an_earlier_activity_is_cleared(scene: Scene) -> None:
    planned = scene.plan(2)
    memory = {100 * MI: 200 * MI}
    planned.ledger.update_state(
        decided=Decisions(planned.manifest.planned, "the image is wrong", True, memory)
    )

    async def scenario() -> None:
        async with scene.process(planned) as only:
            assert [COMPLETE] == states(await settle_all(only, 0))
            await until(lambda: planned.ledger.read_state().decided.stop == "")
        assert (
            Decisions(planned.manifest.planned, memory=memory)
            == planned.ledger.read_state().decided
        )

    play(scenario)


def test_a_failed_trial_that_is_asked_for_anew_reopens_the_run(scene: Scene) -> None:
    scene.script = lambda number: BAD
    planned = scene.plan(4, failures={"allow": 0})

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            assert [FAILED] == states(await settle_all(first, 0))
            await until(lambda: stopped(second))
            scene.script = lambda number: GOOD
            assert [COMPLETE] == states(await settle_all(first, 0, epoch="e2"))
            await until(lambda: not stopped(second))
            assert [COMPLETE] == states(await settle_all(second, 1))

    play(scenario)


def test_a_paused_run_lets_nothing_go_and_goes_on(scene: Scene) -> None:
    planned = scene.plan(6, parallelism=2)
    planned.ledger.update_state(paused=True)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            work = [
                asyncio.ensure_future(settle_all(first, 0, 1, 2)),
                asyncio.ensure_future(settle_all(second, 3, 4, 5)),
            ]
            await until(lambda: len(second.slots._waiting) == 3)
            assert [] == scene.limits
            planned.ledger.update_state(paused=False)
            for each in work:
                assert [COMPLETE] * 3 == states(await each)

    play(scenario)


def test_a_changed_parallelism_holds_for_all(scene: Scene) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(8, parallelism=2)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            work = [
                asyncio.ensure_future(settle_all(first, 0, 1, 2, 3)),
                asyncio.ensure_future(settle_all(second, 4, 5, 6, 7)),
            ]
            await until(lambda: len(scene.limits) == 2)
            planned.ledger.update_state(parallelism=5)
            await until(lambda: len(scene.limits) == 5)
            planned.ledger.update_state(parallelism=None)
            scene.script = lambda number: GOOD
            await until(lambda: release_all(scene) or all(each.done() for each in work))
            for each in work:
                assert [COMPLETE] * 4 == states(await each)
        assert 5 == scene.cluster.most_alive(RUN_ID)

    play(scenario)


def test_one_process_alone_reads_no_trial_of_the_ledger_for_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(
        "podmap.engine.others.OtherTrials.read_new", lambda self, **more: looks.append(1) or []
    )
    planned = scene.plan(20, failures={"allow": 5}, **LADDER)

    async def scenario() -> None:
        backend = KubernetesBackend.connect(scene.cluster.connection())
        await SweepRun(planned, backend, epoch="e1").run()
        await backend.close()

    play(scenario)
    assert [] == looks
    assert 20 == len(list(planned.ledger.records()))


def test_the_first_of_many_reasons_stands_also_before_anything_was_read(scene: Scene) -> None:
    """The holder of the lease is known before its orders are."""
    planned = scene.plan(4)

    async def scenario() -> None:
        async with scene.process(planned) as first:
            await until(lambda: role(first) is Role.COORDINATOR and first.coordinator._leads)
            seldom = replace(TIMING, read_state_s=PATIENCE_S)
            async with scene.process(planned, seldom) as second:
                await until(lambda: role(second) is Role.FOLLOWER)
                stops = [
                    session.coordinator.stop(f"{number}")
                    for number, session in enumerate((first, second, first, second))
                ]
                assert 1 == len(set(await asyncio.gather(*stops)))

    play(scenario)


def test_a_pod_that_is_made_as_the_run_is_stopped_is_ended(scene: Scene) -> None:
    planned = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            await second.coordinator.stop("enough")
            await until(lambda: stopped(first))
            launcher = Launcher.of(planned, second.backend.result_path)
            launch = launcher.make_launch(planned.plan.trial(0), epoch="e1")
            made = await second.backend.create(launch, gated=True)  # type: ignore[call-arg]
            second.slots.adopt([made.name])
            ended = await second.slots.wait_end(made.name)
            assert ended.diagnosis is not None
            assert (Category.CANCELLED, "enough") == (
                ended.diagnosis.category,
                ended.diagnosis.summary,
            )
        assert [] == scene.limits

    play(scenario)


def test_a_pod_that_stands_ready_is_not_let_go_while_the_run_is_paused(scene: Scene) -> None:
    scene.script = lambda number: HELD if number == 0 else GOOD
    planned = scene.plan(2, parallelism=1)

    async def scenario() -> None:
        async with scene.process(planned) as only:
            running = asyncio.ensure_future(run_trial(only, 0, "e1"))
            await until(lambda: scene.limits)
            ready = asyncio.ensure_future(run_trial(only, 1, "e1"))
            await until(lambda: scene.cluster.pod(f"s-{RUN_ID}-1-a1"))
            planned.ledger.update_state(paused=True)
            await until(lambda: only.slots.halted)
            release_all(scene)
            assert COMPLETE is (await running).state
            assert [(0, "")] == scene.limits
            planned.ledger.update_state(paused=False)
            assert COMPLETE is (await ready).state

    play(scenario)


def test_a_pause_is_obeyed_while_the_records_of_others_are_being_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def read_long(self: Coordinator) -> None:
        await never.wait()

    async def scenario() -> None:
        planned = scene.plan(1)
        async with scene.process(planned) as session:
            await until(lambda: role(session) is Role.COORDINATOR)
            planned.ledger.update_state(paused=True)
            monkeypatch.setattr(Coordinator, "_count_other_trials", read_long)
            await until(lambda: session.slots.halted)

    play(scenario)
