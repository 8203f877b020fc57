"""Several processes at one run of pods: what one of them decides holds for all.

A process is a session with a backend of its own; the fake cluster gives it all that a real one
would, the run's lease too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.lease import Lease
from podmap.engine import runner, runwide
from podmap.engine.gates import Charge
from podmap.engine.launching import first_launch
from podmap.engine.prepare import prepare_run
from podmap.engine.runner import settle
from podmap.engine.session import RunSession, open_session
from podmap.engine.sweep import SweepRun
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.state import Decided
from podmap.records import Category, Record, TrialState
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script
from podmap.testing.fake_cluster_store import RefusedError

RUN_ID = "0123abcd"
PATIENCE_S = 30.0
MI = 2**20
COMPLETE, FAILED, CANCELLED = TrialState.COMPLETE, TrialState.FAILED, TrialState.CANCELLED
GOOD = Script(result='{"y": 1}')
BAD = Script(exit_code=1)
HELD = Script(result='{"y": 1}', holds=True)
NO_IMAGE = Script(waiting="InvalidImageName", message="it is no name")


class Scene:
    """A run on a fake cluster, whose pods do what a script tells of their trial's number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script: Callable[[int], Script] = lambda number: GOOD
        self.cluster = FakeCluster(script=self._tell)
        self.limits: list[tuple[int, str]] = []

    def _tell(self, pod: dict[str, Any]) -> Script:
        number = int(pod["metadata"]["labels"]["podmap.io/trial"])
        resources = pod["spec"]["containers"][0].get("resources", {})
        assert resources.get("limits", {}).get("memory") == resources.get("requests", {}).get(
            "memory"
        )
        self.limits.append((number, resources.get("limits", {}).get("memory", "")))
        return self.script(number)

    def plan(self, count: int, **more: Any) -> tuple[Ledger, Manifest]:
        trial = {"image": "i", "command": ["x"], **more.pop("trial", {})}
        spec = {
            "apiVersion": "podmap/v1",
            "name": "s",
            "search": {"kind": "list", "items": [{"x": x} for x in range(count)]},
            "objective": {"metric": "y", "direction": "maximize"},
            "parallelism": 4,
            **more,
            "trial": trial,
        }
        return prepare_run(
            load(spec),
            store=str(self.folder),
            run_id=RUN_ID,
            owner={"kind": "cli", "epoch": "e1"},
            folder=str(self.folder),
            target=Target("kubernetes"),
        )

    @asynccontextmanager
    async def process(self, ledger: Ledger, manifest: Manifest) -> AsyncIterator[RunSession]:
        backend = KubernetesBackend.connect(self.cluster.connection())
        with ThreadPoolExecutor(4) as io:
            session = await open_session(ledger, manifest, backend, io)
            try:
                yield session
            finally:
                await session.close()
                await backend.close()

    @asynccontextmanager
    async def two(
        self, ledger: Ledger, manifest: Manifest
    ) -> AsyncIterator[tuple[RunSession, RunSession]]:
        """Two processes, of which the first holds the lease."""
        async with self.process(ledger, manifest) as first:
            await until(lambda: charge(first) is Charge.OURS)
            async with self.process(ledger, manifest) as second:
                await until(lambda: charge(second) is Charge.THEIRS)
                yield first, second


def charge(session: RunSession) -> Charge:
    assert session.gate is not None
    return session.gate.charge


def stopped(session: RunSession) -> str:
    return session.coordinator.stopped_reason


async def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, "it never came"
        await asyncio.sleep(0.002)


async def settle_all(session: RunSession, *numbers: int, epoch: str = "e1") -> list[Record]:
    return await asyncio.gather(*(settle(session, number, epoch) for number in numbers))


def release_all(scene: Scene) -> None:
    """Lets all pods go on that are there and hold."""
    for name in scene.cluster.pod_names():
        with contextlib.suppress(RefusedError):
            scene.cluster.release(name)


def states(records: list[Record]) -> list[TrialState]:
    return [record.state for record in records]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(runwide, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(runwide, "SHARE", 1)
    monkeypatch.setitem(Lease.__init__.__kwdefaults__, "renew_every_s", 0.1)
    scene = Scene(tmp_path)
    with scene.cluster:
        yield scene


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE_S))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_a_failure_budget_counts_the_failures_of_all(scene: Scene, mode: str) -> None:
    scene.script = lambda number: BAD if number < 3 else HELD
    ledger, manifest = scene.plan(12, failures={"allow": 2, "on_exceed": mode})

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            held = [
                asyncio.ensure_future(settle(one, number, "e1"))
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
    ledger, manifest = scene.plan(12, failures={"allow": 3})

    async def scenario() -> None:
        async with scene.process(ledger, manifest) as third:
            await until(lambda: charge(third) is Charge.OURS)
            async with scene.process(ledger, manifest) as second:
                async with scene.process(ledger, manifest) as first:
                    assert [FAILED] == states(await settle_all(first, 0))
                    assert [FAILED] == states(await settle_all(second, 1))
                    assert [FAILED] == states(await settle_all(third, 2))
                    await until(lambda: len(third.coordinator.tally.failed) == 3)
                await third.close()
                await until(lambda: charge(second) is Charge.OURS)
                assert [FAILED] == states(await settle_all(second, 3))
                await until(lambda: stopped(second))

    play(scenario)


def test_an_image_that_cannot_be_pulled_fails_the_sweep_once(scene: Scene) -> None:
    scene.script = lambda number: NO_IMAGE
    ledger, manifest = scene.plan(40, parallelism=8)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
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
    ledger, manifest = scene.plan(12, parallelism=1)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            held = asyncio.ensure_future(settle(second, 1, "e1"))
            await until(lambda: (1, "") in scene.limits)
            for session in (first, second):
                await until(lambda session=session: not list(session.gate.unstarted()))
            waiting = asyncio.ensure_future(settle(first, 5, "e1"))
            await until(lambda: list(first.gate.unstarted()))  # type: ignore[union-attr]
            assert "here it ends" == await second.runwide.stop("here it ends")
            assert CANCELLED is (await waiting).state
            release_all(scene)
            assert COMPLETE is (await held).state
        assert {(1, "")} == set(scene.limits), "trial 5 was never let go"

    play(scenario)


def test_a_stop_is_inherited_by_the_next_holder_of_the_lease(scene: Scene) -> None:
    ledger, manifest = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            await first.runwide.stop("the image is wrong")
            await until(lambda: stopped(second))
            await first.close()
            await until(lambda: charge(second) is Charge.OURS)
            await until(lambda: second.coordinator.own_stop)
            assert "the image is wrong" == ledger.read_state().decided.stop
            assert [CANCELLED] == states(await settle_all(second, 1))

    play(scenario)


def test_what_is_decided_is_published_even_as_a_process_leaves(scene: Scene) -> None:
    ledger, manifest = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            second.coordinator.stop("time is over", cancel=True)
            await second.close()
            assert Decided(manifest.planned, "time is over", True) == ledger.read_state().decided
            await until(lambda: stopped(first) == "time is over")

    play(scenario)


def test_a_stop_of_an_earlier_activity_is_cleared(scene: Scene) -> None:
    ledger, manifest = scene.plan(2)
    memory = {100 * MI: 200 * MI}
    ledger.update_state(decided=Decided(manifest.planned, "the image is wrong", True, memory))

    async def scenario() -> None:
        async with scene.process(ledger, manifest) as only:
            assert [COMPLETE] == states(await settle_all(only, 0))
            await until(lambda: ledger.read_state().decided.stop == "")
        assert Decided(manifest.planned, memory=memory) == ledger.read_state().decided

    play(scenario)


def test_a_failed_trial_that_is_asked_for_anew_reopens_the_run(scene: Scene) -> None:
    scene.script = lambda number: BAD
    ledger, manifest = scene.plan(4, failures={"allow": 0})

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            assert [FAILED] == states(await settle_all(first, 0))
            await until(lambda: stopped(second))
            scene.script = lambda number: GOOD
            assert [COMPLETE] == states(await settle_all(first, 0, epoch="e2"))
            await until(lambda: not stopped(second))
            assert [COMPLETE] == states(await settle_all(second, 1))

    play(scenario)


LADDER = {
    "trial": {"resources": {"memory": "100Mi"}},
    "retries": {"oom": {"times": 2, "factor": 2, "limit": "300Mi"}},
}


def test_a_trial_that_ran_out_of_memory_is_rescued_and_the_next_begin_there(scene: Scene) -> None:
    scene.script = lambda number: Script(result='{"y": 1}', memory_bytes=150 * MI)
    ledger, manifest = scene.plan(4, **LADDER)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            rescued = await settle(second, 0, "e1")
            assert COMPLETE is rescued.state
            sizes = [attempt.memory_bytes for attempt in rescued.attempts]
            assert [100 * MI, 200 * MI] == sizes
            await until(lambda: first.coordinator.tally.memory)
            assert [COMPLETE] == states(await settle_all(first, 1))
            await until(lambda: ledger.read_state().decided.memory == {100 * MI: 200 * MI})
        async with scene.process(ledger, manifest) as later:
            assert [COMPLETE] == states(await settle_all(later, 2))
        expected = [(0, "100Mi"), (0, "200Mi"), (1, "200Mi"), (2, "200Mi")]
        assert expected == scene.limits

    play(scenario)


def test_the_ladder_ends_at_its_limit_and_says_so(scene: Scene) -> None:
    scene.script = lambda number: Script(memory_bytes=999 * MI)
    ledger, manifest = scene.plan(1, **LADDER)

    async def scenario() -> None:
        async with scene.process(ledger, manifest) as only:
            record = await settle(only, 0, "e1")
        assert FAILED is record.state
        assert [Category.OOM] * 3 == [a.diagnosis.category for a in record.attempts if a.diagnosis]
        assert [(0, "100Mi"), (0, "200Mi"), (0, "300Mi")] == scene.limits
        assert "retries.oom.limit is 300Mi, so there is no more memory for it" in record.reason

    play(scenario)


def test_a_paused_run_lets_nothing_go_and_goes_on(scene: Scene) -> None:
    ledger, manifest = scene.plan(6, parallelism=2)
    ledger.update_state(paused=True)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            work = [
                asyncio.ensure_future(settle_all(first, 0, 1, 2)),
                asyncio.ensure_future(settle_all(second, 3, 4, 5)),
            ]
            await until(lambda: ledger.read_record(5))
            await until(lambda: len(second.coordinator._waiting) == 3)
            assert [] == scene.limits
            ledger.update_state(paused=False)
            for each in work:
                assert [COMPLETE] * 3 == states(await each)

    play(scenario)


def test_a_changed_parallelism_holds_for_all(scene: Scene) -> None:
    scene.script = lambda number: HELD
    ledger, manifest = scene.plan(8, parallelism=2)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            work = [
                asyncio.ensure_future(settle_all(first, 0, 1, 2, 3)),
                asyncio.ensure_future(settle_all(second, 4, 5, 6, 7)),
            ]
            await until(lambda: len(scene.limits) == 2)
            ledger.update_state(parallelism=5)
            await until(lambda: len(scene.limits) == 5)
            ledger.update_state(parallelism=None)
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
        "podmap.engine.survey.Survey.look", lambda self, **more: looks.append(1) or []
    )
    ledger, manifest = scene.plan(20, failures={"allow": 5}, **LADDER)

    async def scenario() -> None:
        backend = KubernetesBackend.connect(scene.cluster.connection())
        await SweepRun(ledger, manifest, backend, epoch="e1").run()
        await backend.close()

    play(scenario)
    assert [] == looks
    assert 20 == len(list(ledger.records()))


def test_the_first_of_many_reasons_stands_also_before_anything_was_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder of the lease is known before its orders are."""
    ledger, manifest = scene.plan(4)

    async def scenario() -> None:
        async with scene.process(ledger, manifest) as first:
            await until(lambda: charge(first) is Charge.OURS and first.runwide._leads)
            monkeypatch.setattr(runwide, "LOOK_EVERY_S", PATIENCE_S)
            async with scene.process(ledger, manifest) as second:
                await until(lambda: charge(second) is Charge.THEIRS)
                stops = [
                    session.runwide.stop(f"{number}")
                    for number, session in enumerate((first, second, first, second))
                ]
                assert 1 == len(set(await asyncio.gather(*stops)))

    play(scenario)


def test_a_pod_that_is_made_as_the_run_is_stopped_is_ended(scene: Scene) -> None:
    ledger, manifest = scene.plan(4)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            await second.runwide.stop("enough")
            await until(lambda: stopped(first))
            launch = first_launch(manifest, run_uri=ledger.run_uri, backend=second.backend)
            made = await second.backend.create(launch, gated=True)  # type: ignore[call-arg]
            second.coordinator.adopt([made.name])
            ended = await second.coordinator.ended(made.name)
            assert ended.diagnosis is not None
            assert (Category.CANCELLED, "enough") == (
                ended.diagnosis.category,
                ended.diagnosis.summary,
            )
        assert [] == scene.limits

    play(scenario)


def test_a_pod_that_stands_ready_is_not_let_go_while_the_run_is_paused(scene: Scene) -> None:
    scene.script = lambda number: HELD if number == 0 else GOOD
    ledger, manifest = scene.plan(2, parallelism=1)

    async def scenario() -> None:
        async with scene.process(ledger, manifest) as only:
            running = asyncio.ensure_future(settle(only, 0, "e1"))
            await until(lambda: scene.limits)
            ready = asyncio.ensure_future(settle(only, 1, "e1"))
            await until(lambda: scene.cluster.pod(f"s-{RUN_ID}-1-a1"))
            ledger.update_state(paused=True)
            await until(lambda: only.coordinator.halted)
            release_all(scene)
            assert COMPLETE is (await running).state
            assert [(0, "")] == scene.limits
            ledger.update_state(paused=False)
            assert COMPLETE is (await ready).state

    play(scenario)


def test_pods_that_stand_ready_are_made_anew_with_what_was_learnt(scene: Scene) -> None:
    scene.script = lambda number: HELD if number == 9 else replace(GOOD, memory_bytes=150 * MI)
    ledger, manifest = scene.plan(12, parallelism=1, **LADDER)

    async def scenario() -> None:
        async with scene.two(ledger, manifest) as (first, second):
            running = asyncio.ensure_future(settle(first, 9, "e1"))
            await until(lambda: scene.limits)
            ready = [
                asyncio.ensure_future(settle(one, number, "e1"))
                for one, number in ((first, 0), (second, 1))
            ]
            for number in (0, 1):
                await until(lambda number=number: scene.cluster.pod(f"s-{RUN_ID}-{number}-a1"))
            first.coordinator.tally.learn({100 * MI: 200 * MI})
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
