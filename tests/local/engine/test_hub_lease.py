"""Sessions of a run one after the other: each has the run's lease at once."""

from __future__ import annotations

import asyncio

from tests.local.engine.shared_run import (
    COMPLETE,
    HELD,
    RUN_ID,
    TIMING,
    Scene,
    role,
    scene,
    until,
)

from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.gatekeeper import Role
from podmap.engine.hub import Hub
from podmap.engine.planned import PlannedRun
from podmap.engine.trial import run_trial
from podmap.ledger.claim import RunClaim

__all__ = ["scene"]

RARELY_S = 600.0
"""Whoever does not get the lease at once does not get it within the test."""
PATIENCE_S = 30.0


def hub(scene: Scene) -> Hub:
    return Hub.current(
        "c",
        lambda: KubernetesBackend.connect(scene.cluster.connection(), renew_every_s=RARELY_S),
        timing=TIMING,
    )


async def run_one(scene: Scene, planned: PlannedRun, number: int) -> None:
    claim = RunClaim(planned.ledger.run_uri)
    session = await hub(scene).enter(claim)
    assert COMPLETE is (await run_trial(session, number, "e1")).state
    hub(scene).leave(claim)


def test_trials_in_loops_of_their_own_run_one_after_the_other(scene: Scene) -> None:
    """As in dag.test(): each loop ends as its trial does, and takes what it began with it."""
    planned = scene.plan(3)
    for number in range(3):
        asyncio.run(asyncio.wait_for(run_one(scene, planned, number), PATIENCE_S))
        assert scene.cluster.lease(f"podmap-{RUN_ID}") is None


def test_a_session_that_opens_as_one_closes_has_the_lease_at_once(scene: Scene) -> None:
    planned = scene.plan(3)

    async def scenario() -> None:
        for number in range(3):
            await run_one(scene, planned, number)

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_a_loop_that_ends_in_the_middle_of_a_trial_lets_go_of_the_lease(scene: Scene) -> None:
    scene.script = lambda number: HELD
    planned = scene.plan(1)

    async def scenario() -> None:
        session = await hub(scene).enter(RunClaim(planned.ledger.run_uri))
        running = asyncio.ensure_future(run_trial(session, 0, "e1"))
        await until(lambda: role(session) is Role.COORDINATOR)
        assert not running.done()

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
    assert scene.cluster.lease(f"podmap-{RUN_ID}") is None
