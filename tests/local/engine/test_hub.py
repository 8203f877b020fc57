from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.conftest import GATED, OK, TIMING, World, until

from podmap.backends.process import ProcessBackend
from podmap.engine import hub as module
from podmap.engine.hub import Hub
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession
from podmap.engine.slots import Slots
from podmap.engine.trial import run_trial
from podmap.engine.trial_end import kill_trial
from podmap.errors import ManifestChangedError, OwnerError, StoreError, UsageError
from podmap.ledger import encode
from podmap.ledger.claim import RunClaim
from podmap.ledger.ledger import Ledger
from podmap.names import content_digest
from podmap.records import TrialState


class Closed(ProcessBackend):
    closed = 0

    async def close(self) -> None:
        self.closed += 1
        await super().close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[RunSession]:
    """The sessions that were opened."""
    sessions: list[RunSession] = []
    really = module.open_session

    async def open_session(*args: Any, **more: Any) -> RunSession:
        sessions.append(await really(*args, **more))
        return sessions[-1]

    monkeypatch.setattr(module, "open_session", open_session)
    return sessions


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The slots that were closed."""
    closed: list[object] = []
    close = Slots.close

    def note(self: Slots) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(Slots, "close", note)
    return closed


def digest_of(ledger: Ledger) -> str:
    return content_digest(encode.dump_manifest(ledger.read_manifest()))


def current(world: World) -> Hub:
    return Hub.current("process", lambda: Closed(world.state_dir), timing=TIMING)


def run(scenario: Callable[[], Any]) -> Any:
    async def whole() -> Any:
        return await asyncio.wait_for(scenario(), 60)

    return asyncio.run(whole())


def test_a_session_is_opened_once_and_closed_after_the_last(
    world: World, opened: list[RunSession], closed: list[object]
) -> None:
    planned = world.plan(OK, 20, parallelism=3)

    async def scenario() -> None:
        hub = current(world)
        assert hub is current(world)

        async def trial(number: int) -> None:
            session = await hub.enter(RunClaim(planned.ledger.run_uri))
            try:
                record = await run_trial(session, number, f"epoch-{number}")
                assert TrialState.COMPLETE is record.state
            finally:
                assert [] == closed
                hub.leave(RunClaim(planned.ledger.run_uri))

        await asyncio.gather(*(trial(number) for number in range(planned.manifest.count)))
        await asyncio.sleep(0)
        assert [opened[0].slots] == closed
        await hub.enter(RunClaim(planned.ledger.run_uri))
        hub.leave(RunClaim(planned.ledger.run_uri))

    run(scenario)
    assert 2 == len(opened)
    assert {x: 1 for x in range(20)} == world.starts()
    assert world.most_at_once() <= 3


def test_more_calls_at_once_are_made_to_a_store_over_the_network(world: World) -> None:
    uri = f"file://{world.plan(OK, 1).ledger.run_uri}"
    all_at_once = threading.Barrier(module.FAR_THREADS, timeout=30)

    async def scenario() -> None:
        hub = current(world)
        session = await hub.enter(RunClaim(uri))
        await asyncio.gather(
            *(session.call(all_at_once.wait) for _ in range(module.FAR_THREADS)),
        )
        hub.leave(RunClaim(uri))

    run(scenario)


def test_each_version_of_a_run_has_a_session_of_its_own(
    world: World, opened: list[RunSession]
) -> None:
    planned = world.plan(OK, 1)

    async def scenario() -> None:
        hub = current(world)
        first = await hub.enter(RunClaim(planned.ledger.run_uri))
        world.plan(OK, 5)
        again = RunClaim(planned.ledger.run_uri, digest_of(planned.ledger))
        second = await hub.enter(again)
        assert (1, 5) == (first.planned.plan.count, second.planned.plan.count)
        hub.leave(RunClaim(planned.ledger.run_uri))
        hub.leave(again)

    run(scenario)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"spec": {"trial": {"command": ["evil"]}}}, ManifestChangedError, "not the one that was"),
        ({"owner": {"kind": "airflow", "dag_id": "mine"}}, ManifestChangedError, "not the one"),
    ],
)
def test_a_changed_manifest_starts_nothing(
    world: World, opened: list[RunSession], change: Any, error: type[Exception], text: str
) -> None:
    planned = world.plan(OK, 1)
    claim = RunClaim(planned.ledger.run_uri, digest_of(planned.ledger))
    path = Path(planned.ledger.run_uri) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    async def scenario() -> None:
        with pytest.raises(error, match=text):
            await current(world).enter(claim)

    run(scenario)
    assert [] == opened
    assert {} == world.starts()


@pytest.mark.parametrize(
    "claimed",
    [
        {"owner": (("kind", "airflow"), ("dag_id", "another"))},
        {"target": (("backend", "kubernetes"),)},
        {"target": (("connection", "admin"),)},
    ],
)
def test_a_run_that_is_not_the_claimed_starts_nothing(
    world: World, opened: list[RunSession], claimed: Any
) -> None:
    planned = world.plan(OK, 1)

    async def scenario() -> None:
        with pytest.raises(OwnerError, match="Nothing was started"):
            await current(world).enter(RunClaim(planned.ledger.run_uri, **claimed))

    run(scenario)
    assert [] == opened


def test_two_sessions_of_a_run_keep_within_parallelism_together(world: World) -> None:
    planned = world.plan(OK, 12, parallelism=2)

    async def scenario() -> None:
        hub = current(world)
        uri = planned.ledger.run_uri
        claims = [RunClaim(uri), RunClaim(uri, digest_of(planned.ledger))]

        async def trial(number: int) -> None:
            claim = claims[number % 2]
            session = await hub.enter(claim)
            await run_trial(session, number, "e1")
            hub.leave(claim)

        await asyncio.gather(*(trial(number) for number in range(planned.manifest.count)))

    run(scenario)
    assert {x: 1 for x in range(12)} == world.starts()
    assert world.most_at_once() <= 2


def test_a_failed_opening_is_told_to_all_and_tried_again_by_the_next(
    world: World, opened: list[RunSession]
) -> None:
    planned = world.plan(OK, 1)
    run_folder = Path(world.store) / "s" / "0123abcd"
    away = run_folder.with_name("away")

    async def scenario() -> None:
        hub = current(world)
        run_folder.rename(away)
        run_folder.touch()
        answers = await asyncio.gather(
            *(hub.enter(RunClaim(planned.ledger.run_uri)) for _ in range(5)), return_exceptions=True
        )
        assert [StoreError] * 5 == [type(answer) for answer in answers]
        run_folder.unlink()
        with pytest.raises(UsageError, match="no run"):
            await hub.enter(RunClaim(planned.ledger.run_uri))
        away.rename(run_folder)
        session = await hub.enter(RunClaim(planned.ledger.run_uri))
        assert TrialState.COMPLETE is (await run_trial(session, 0, "e1")).state
        hub.leave(RunClaim(planned.ledger.run_uri))

    run(scenario)
    assert 1 == len(opened)


def test_who_is_cancelled_while_it_opens_leaves_nothing_open(
    world: World, opened: list[RunSession], closed: list[object]
) -> None:
    planned = world.plan(OK, 1, budget={"wall": "1h"})

    async def scenario() -> None:
        hub = current(world)
        entering = [
            asyncio.ensure_future(hub.enter(RunClaim(planned.ledger.run_uri))) for _ in range(2)
        ]
        await asyncio.sleep(0)
        for task in entering:
            task.cancel()
        await asyncio.wait(entering)
        await until(lambda: bool(closed))
        session = await hub.enter(RunClaim(planned.ledger.run_uri))
        assert session is opened[1]
        hub.leave(RunClaim(planned.ledger.run_uri))

    run(scenario)


def test_one_that_is_cancelled_while_it_opens_does_not_cancel_the_others(world: World) -> None:
    planned = world.plan(OK, 1)

    async def scenario() -> None:
        hub = current(world)
        first = asyncio.ensure_future(hub.enter(RunClaim(planned.ledger.run_uri)))
        second = asyncio.ensure_future(hub.enter(RunClaim(planned.ledger.run_uri)))
        await asyncio.sleep(0)
        first.cancel()
        assert await second
        hub.leave(RunClaim(planned.ledger.run_uri))

    run(scenario)


def test_each_loop_has_a_hub_of_its_own_that_ends_with_it(world: World) -> None:
    """As in dag.test(), which makes a loop for each trial."""
    planned = world.plan(OK, 3)
    hubs: list[Hub] = []
    open_files = []

    async def trial(number: int) -> None:
        hubs.append(current(world))
        session = await hubs[-1].enter(RunClaim(planned.ledger.run_uri))
        await run_trial(session, number, "e1")
        hubs[-1].leave(RunClaim(planned.ledger.run_uri))

    for number in range(3):
        run(lambda number=number: trial(number))
        open_files.append(len(os.listdir("/proc/self/fd")))
    assert 3 == len(set(map(id, hubs)))
    assert [1, 1, 1] == [hub._backend.closed for hub in hubs]  # type: ignore[attr-defined]
    assert {} == module._hubs
    assert open_files[0] == open_files[2]


def test_a_loop_that_died_without_a_word_is_forgotten(world: World) -> None:
    async def scenario() -> None:
        current(world)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(scenario())
    loop.close()
    assert loop in module._hubs

    async def another() -> None:
        current(world)
        assert loop not in module._hubs
        planned = world.plan(OK, 1)
        await current(world).enter(RunClaim(planned.ledger.run_uri))

    run(another)
    assert {} == module._hubs


def test_a_trigger_that_is_given_to_another_process_goes_on_there(world: World) -> None:
    """Its loop ends while the attempt runs; the next hub adopts it."""
    planned = world.plan(GATED, 1)
    world.close_gate()

    async def lost() -> None:
        hub = current(world)
        session = await hub.enter(RunClaim(planned.ledger.run_uri))
        task = asyncio.ensure_future(run_trial(session, 0, "e1"))
        await world.started(1)
        task.cancel()
        await asyncio.wait([task])
        hub.leave(RunClaim(planned.ledger.run_uri))

    async def taken_over() -> TrialState:
        hub = current(world)
        session = await hub.enter(RunClaim(planned.ledger.run_uri))
        task = asyncio.ensure_future(run_trial(session, 0, "e1"))
        world.open_gate()
        state = (await task).state
        hub.leave(RunClaim(planned.ledger.run_uri))
        return state

    run(lost)
    assert TrialState.COMPLETE is run(taken_over)
    assert {0: 1} == world.starts()


def test_a_kill_from_another_process_ends_it_for_both(world: World) -> None:
    planned = world.plan(GATED, 1)
    world.close_gate()

    async def scenario() -> None:
        async with world.session(planned) as first:
            running = asyncio.ensure_future(run_trial(first, 0, "e1"))
            await world.started(1)
            async with world.session(PlannedRun.open(planned.ledger.run_uri)) as second:
                await kill_trial(second, 0, "e1", reason="ended by a user")
            record = await running
            assert (TrialState.CANCELLED, "ended by a user") == (record.state, record.reason)
            assert record == planned.ledger.read_record(0)

    world.play(scenario)


def test_clearing_a_failed_trial_after_the_failure_budget_was_spent_runs_it(world: World) -> None:
    script = f"[ -e broken ] && exit 1; {OK}"
    (world.folder / "broken").touch()
    planned = world.plan(script, 4, failures={"allow": 0}, parallelism=1)

    async def asked(epoch: str, numbers: list[int]) -> list[TrialState]:
        hub = current(world)
        session = await hub.enter(RunClaim(planned.ledger.run_uri))
        try:
            return [(await run_trial(session, number, epoch)).state for number in numbers]
        finally:
            hub.leave(RunClaim(planned.ledger.run_uri))

    failed, cancelled, complete = TrialState.FAILED, TrialState.CANCELLED, TrialState.COMPLETE
    assert [failed, cancelled] == run(lambda: asked("first", [0, 1]))
    (world.folder / "broken").unlink()
    assert [complete] == run(lambda: asked("clear", [0]))
    assert [complete, complete] == run(lambda: asked("clear", [1, 2]))


def test_planning_anew_forgets_failures_and_starts_the_wall_clock_again(world: World) -> None:
    script = f"""[ -e broken ] && [ "$1" = 2 ] && exit 1
{OK}"""
    (world.folder / "broken").touch()
    more: dict[str, Any] = {"failures": {"allow": 0}, "parallelism": 1}
    first = world.plan(script, 4, **more)
    states = [record.state for record in world.go(first, epoch="first").values()]
    complete = TrialState.COMPLETE
    assert [complete, complete, TrialState.FAILED, TrialState.CANCELLED] == states
    (world.folder / "broken").unlink()
    long_ago = replace(first.manifest, created="2020-01-01T00:00:00.000Z", planned="")
    first.ledger.write_file("manifest.json", json.dumps(long_ago.to_json()).encode())
    again = world.plan(script, 4, cache_version="new", budget={"wall": "1h"}, **more)
    assert long_ago.created == again.manifest.created
    records = world.go(again, epoch="second")
    assert {complete} == {record.state for record in records.values()}
