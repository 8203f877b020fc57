"""Pods that are ended, kept or let go of: nothing runs on that nobody looks after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.local.engine.shared_run import (
    CANCELLED,
    COMPLETE,
    HELD,
    NO_IMAGE,
    RUN_ID,
    TIMING,
    Scene,
    play,
    release_all,
    scene,
    settle_all,
    states,
    until,
)

from podmap.backends.kubernetes.client.requests import Client
from podmap.backends.kubernetes.watch.pods import KnownPods
from podmap.engine import trial as trial_module
from podmap.engine.trial import run_trial
from podmap.engine.trial_end import kill_trial
from podmap.names import MANAGED_BY
from podmap.records import Record

__all__ = ["scene"]


@pytest.mark.parametrize("made", ["after the kill", "during the kill"])
def test_a_trial_killed_while_its_pod_is_being_created_leaves_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    """The server carries out what it was sent, though nobody waits for the answer any more."""
    scene.script = lambda number: HELD
    post, end = Client.create, trial_module.TrialRunner.end_trial
    sent, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: Client, path: str, body: Mapping[str, Any], **more: Any) -> Any:
        if not path.endswith("/pods"):
            return await post(self, path, body, **more)

        async def carry_out() -> Any:
            await go_on.wait()
            return await post(self, path, body, **more)

        at_the_server = asyncio.ensure_future(carry_out())
        sent.set()
        return await asyncio.shield(at_the_server)

    async def end_later(self: trial_module.TrialRunner, reason: str) -> Record:
        if made == "during the kill":
            go_on.set()
            await until(lambda: not trial_module._creating)
        return await end(self, reason)

    async def scenario() -> None:
        async with scene.process(scene.plan(1)) as session:
            monkeypatch.setattr(Client, "create", slow)
            monkeypatch.setattr(trial_module.TrialRunner, "end_trial", end_later)
            running = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await sent.wait()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await kill_trial(session, 0, "e1", reason="a user said so")
            go_on.set()
            await until(lambda: scene.cluster.requests["delete pods"])
            await until(lambda: not scene.cluster.pod_names())
            record = session.planned.ledger.read_record(0)
            assert record is not None
            assert CANCELLED is record.state

    play(scenario)


def test_a_pod_that_may_still_start_is_ended_before_it_is_kept(scene: Scene) -> None:
    scene.script = lambda number: NO_IMAGE

    async def scenario() -> None:
        planned = scene.plan(1, kubernetes={"keep_pods": "failed"})
        async with scene.process(planned) as session:
            await settle_all(session, 0)
        [name] = scene.cluster.pod_names()
        pod = scene.cluster.pod(name)
        assert pod is not None
        assert MANAGED_BY not in pod["metadata"]["labels"]
        assert "Failed" == pod["status"]["phase"]

    play(scenario)


def test_a_pod_that_runs_and_is_to_be_deleted_is_not_kept(scene: Scene) -> None:
    scene.script = lambda number: replace(HELD, ignores_term=True)

    async def scenario() -> None:
        planned = scene.plan(1)
        async with scene.process(planned) as session:
            running = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await until(lambda: scene.cluster.most_alive(RUN_ID))
            [name] = scene.cluster.pod_names()
            await until(lambda: "Running" == scene.cluster.pod(name)["status"]["phase"])  # type: ignore[index]
            scene.cluster.delete_pod(name, grace_s=1)
            await session.backend.keep(name)
            assert name not in scene.cluster.pod_names()
            running.cancel()

    play(scenario)


def test_a_cleared_trials_old_pod_has_its_own_grace(scene: Scene) -> None:
    scene.script = lambda number: HELD
    asked: list[Any] = []
    delete = Client.delete

    async def told(self: Client, path: str, **more: Any) -> Any:
        if "/pods/" in path:
            asked.append(more.get("grace_s"))
        return await delete(self, path, **more)

    async def scenario() -> None:
        async with scene.process(scene.plan(1)) as session:
            first = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await until(lambda: scene.cluster.most_alive(RUN_ID))
            first.cancel()
            second = asyncio.ensure_future(run_trial(session, 0, "e2"))
            await until(lambda: asked)
            assert [None] == asked
            await until(lambda: any("a2" in name for name in scene.cluster.pod_names()))
            [name] = scene.cluster.pod_names()
            scene.cluster.release(name)
            assert COMPLETE is (await second).state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "delete", told)
        play(scenario)


@pytest.mark.parametrize("verb", ["patch", "delete"])
def test_a_missing_right_is_told_once_in_the_trials_log_and_asked_for_slowly(
    scene: Scene, verb: str
) -> None:
    heard: list[str] = []
    timing = replace(TIMING, longest_pause_s=0.2)

    async def scenario() -> None:
        async with scene.process(scene.plan(1), timing) as session:
            scene.cluster.forbid(verb)
            running = asyncio.ensure_future(run_trial(session, 0, "e1", on_line=heard.append))
            await until(lambda: scene.cluster.requests[f"{verb} pods"] >= 3)
            await until(lambda: [line for line in heard if "not allowed" in line])
            assert scene.cluster.requests[f"{verb} pods"] < 30
            scene.cluster.heal()
            assert COMPLETE is (await running).state

    play(scenario)
    told = [line for line in heard if f"not allowed to {verb} pods" in line]
    assert 1 == len(told), heard
    assert "deploy/rbac.yaml" in told[0]


def test_a_watch_that_a_fault_has_ended_is_begun_anew_and_its_trials_go_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.script = lambda number: HELD
    apply, faults = KnownPods.apply, [ZeroDivisionError("a bug")]

    def fail_once(self: KnownPods, raw: Any, *, removed: bool = False) -> Any:
        if raw["status"].get("phase") == "Running" and faults:
            raise faults.pop()
        return apply(self, raw, removed=removed)

    async def scenario() -> None:
        heard: list[str] = []
        async with scene.process(scene.plan(2)) as session:
            monkeypatch.setattr(KnownPods, "apply", fail_once)
            running = asyncio.ensure_future(settle_all(session, 0, 1))
            waiting = asyncio.ensure_future(run_trial(session, 0, "e1", on_line=heard.append))
            await until(lambda: not faults)
            await until(lambda: scene.cluster.most_alive(RUN_ID) == 2)
            await until(lambda: session.backend._namespace.watch.failure is None)  # type: ignore[attr-defined]
            release_all(scene)
            assert [COMPLETE] * 2 == states(await running)
            assert COMPLETE is (await waiting).state

    play(scenario)
