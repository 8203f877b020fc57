from __future__ import annotations

import asyncio
from collections import Counter

from tests.local.engine.conftest import OK, TIMING, World

from podmap.backends.process import ProcessBackend
from podmap.engine.hub import Hub
from podmap.engine.session import BEGIN_IN_A_TURN
from podmap.ledger.claim import RunClaim


def test_few_of_the_many_that_wait_for_one_opening_go_on_in_a_turn(world: World) -> None:
    claim = RunClaim(world.plan(OK, 1).ledger.run_uri)

    async def scenario() -> Counter[int]:
        hub = Hub.current("process", lambda: ProcessBackend(world.state_dir), timing=TIMING)
        turn, loop = 0, asyncio.get_running_loop()
        went_on: Counter[int] = Counter()

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if went_on.total() < 100:
                loop.call_soon(next_turn)

        async def enter() -> None:
            await hub.enter(claim)
            went_on[turn] += 1

        next_turn()
        await asyncio.gather(*(enter() for _ in range(100)))
        for _ in range(100):
            hub.leave(claim)
        return went_on

    went_on = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert 100 == went_on.total()
    assert BEGIN_IN_A_TURN >= max(went_on.values())
