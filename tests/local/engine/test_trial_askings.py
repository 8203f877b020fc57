"""Two askings for one trial at the same time: the newer one has it, whoever is late."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.local.engine.shared_run import CANCELLED, COMPLETE, HELD, Scene, play, scene, until

from podmap.engine.session import RunSession
from podmap.engine.trial import run_trial
from podmap.engine.trial_end import kill_trial
from podmap.engine.trial_ledger import TrialLedger
from podmap.ledger.ledger import Ledger
from podmap.names import EPOCH_LABEL
from podmap.records import Record, TrialState

__all__ = ["scene"]


def asking(second: int, prefix: str = "") -> str:
    """An epoch as Airflow's ids are: it carries the time."""
    return f"{prefix}{uuid.UUID(int=second * 1000 << 80 | 7 << 76 | 2 << 62 | second)}"


ASKINGS = {
    "with times": (asking(1_800_000_000), asking(1_800_000_060)),
    "of the operator": (asking(1_800_000_000, "op-"), asking(1_800_000_060, "op-")),
    "without times": ("zz", "aa"),
}
askings = pytest.mark.parametrize(("old", "new"), ASKINGS.values(), ids=ASKINGS)
timed = pytest.mark.parametrize(("old", "new"), list(ASKINGS.values())[:2], ids=list(ASKINGS)[:2])


async def start(scene: Scene, session: RunSession, epoch: str) -> asyncio.Future[Record]:
    """Has an asking run the trial, up to where its pod runs."""
    running = asyncio.ensure_future(run_trial(session, 0, epoch))
    await until(lambda: bool(pods_of(scene, epoch)))
    return running


def pods_of(scene: Scene, epoch: str) -> list[str]:
    found = [scene.cluster.pod(name) for name in scene.cluster.pod_names()]
    return [
        pod["metadata"]["name"]
        for pod in found
        if pod is not None
        and pod["metadata"]["labels"][EPOCH_LABEL] == epoch
        and pod["status"].get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
    ]


async def let_end(scene: Scene, session: RunSession, running: Any, epoch: str) -> None:
    """The asking's one attempt is still there; let it end, and see that it is what is kept."""
    [name] = pods_of(scene, epoch)
    scene.cluster.release(name)
    assert COMPLETE is (await running).state
    record = session.planned.ledger.read_record(0)
    assert record is not None
    assert (epoch, COMPLETE) == (record.epoch, record.state)
    assert [1] == [attempt.number for attempt in record.attempts]


@askings
def test_a_late_kill_touches_nothing_of_a_newer_asking(scene: Scene, old: str, new: str) -> None:
    scene.script = lambda number: HELD

    async def scenario() -> None:
        async with scene.two(scene.plan(1)) as (first, second):
            running = await start(scene, first, new)
            await kill_trial(second, 0, old, reason="late")
            await let_end(scene, first, running, new)

    play(scenario)


@timed
def test_an_older_asking_that_comes_late_gives_way(scene: Scene, old: str, new: str) -> None:
    scene.script = lambda number: HELD

    async def scenario() -> None:
        async with scene.two(scene.plan(1)) as (first, second):
            running = await start(scene, first, new)
            late = await run_trial(second, 0, old)
            assert CANCELLED is late.state
            assert "asked for anew" in late.reason
            await let_end(scene, first, running, new)

    play(scenario)


class Held:
    """A call of the ledger that waits, in its thread, until the test lets it go on."""

    def __init__(self, wanted: Callable[..., bool]) -> None:
        self.wanted = wanted
        self.reached, self.go_on = threading.Event(), threading.Event()

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def held(*args: Any, **more: Any) -> Any:
            if self.wanted(*args) and not self.reached.is_set():
                self.reached.set()
                assert self.go_on.wait(30)
            return call(*args, **more)

        return held


@askings
@pytest.mark.parametrize("where", ["before it reads", "before it writes"])
def test_a_kill_that_a_newer_asking_overtakes_writes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, old: str, new: str, where: str
) -> None:
    scene.script = lambda number: HELD
    if where == "before it reads":
        held = Held(lambda trial, found: trial._epoch == old)
        monkeypatch.setattr(TrialLedger, "read_standing", held.around(TrialLedger.read_standing))
    else:
        held = Held(lambda ledger, record: record.state is CANCELLED)
        monkeypatch.setattr(Ledger, "write_record", held.around(Ledger.write_record))

    async def scenario() -> None:
        async with scene.two(scene.plan(1)) as (first, second):
            kill = asyncio.ensure_future(kill_trial(second, 0, old, reason="late"))
            await until(held.reached.is_set)
            running = asyncio.ensure_future(run_trial(first, 0, new))
            try:
                await until(lambda: bool(pods_of(scene, new)))
            finally:
                held.go_on.set()
            await kill
            await let_end(scene, first, running, new)

    play(scenario)


@askings
def test_a_killed_asking_that_wrote_nothing_leaves_the_trial_to_the_next(
    scene: Scene, old: str, new: str
) -> None:
    scene.script = lambda number: HELD

    async def scenario() -> None:
        async with scene.process(scene.plan(1)) as session:
            await kill_trial(session, 0, old, reason="it waited")
            record = session.planned.ledger.read_record(0)
            assert record is not None
            assert CANCELLED is record.state
            running = await start(scene, session, new)
            await let_end(scene, session, running, new)

    play(scenario)


@askings
def test_a_kill_before_the_first_write_leaves_the_older_askings_pod(
    scene: Scene, old: str, new: str
) -> None:
    """It is whoever runs the trial next, or the cleanup, that removes it."""
    scene.script = lambda number: HELD

    async def scenario() -> None:
        async with scene.two(scene.plan(1)) as (first, second):
            running = await start(scene, first, old)
            await kill_trial(second, 0, new, reason="at once")
            [name] = pods_of(scene, old)
            record = first.planned.ledger.read_record(0)
            assert record is not None
            timed = old != "zz"
            expected = (new, CANCELLED) if timed else (old, TrialState.RUNNING)
            assert expected == (record.epoch, record.state)
            scene.cluster.release(name)
            await running

    play(scenario)
