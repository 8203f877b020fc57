"""How slots end attempts that their backend cannot end at once."""

from __future__ import annotations

import asyncio

from podmap.backends.base import Observation
from podmap.engine.slots import Slots
from podmap.engine.timing import Timing
from podmap.errors import BackendError
from podmap.records import Diagnosis


class Stubborn:
    """The part of a backend that matters: it is away until `back` is set, and nothing ends."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.killed: list[str] = []
        self.back = asyncio.Event()

    async def wait(self, name: str) -> Observation:
        return await asyncio.get_running_loop().create_future()

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        self.asked.append(name)
        if not self.back.is_set():
            await self.back.wait()
            raise BackendError("it was away")
        self.killed.append(name)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_one_that_is_being_ended_is_not_ended_once_more() -> None:
    async def scenario() -> None:
        backend = Stubborn()
        timing = Timing(ask_again_s=0)
        slots = Slots(backend, parallelism=3, unstarted_names=lambda: ["b"], timing=timing)  # type: ignore[arg-type]
        slots.adopt(["b"])
        slots.stop("enough", cancel=False)
        for _ in range(10):  # as each look at run.json does
            slots.end_unstarted()
            await settled()
        assert ["b"] == backend.asked
        backend.back.set()
        await settled()
        assert ["b"] == backend.killed
        slots.close()

    asyncio.run(scenario())
