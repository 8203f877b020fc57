"""What a run has left is ended and removed together, but not all of it at once."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from podmap.backends.base import Backend, Observation, Phase
from podmap.engine.teardown import remove_attempts
from podmap.errors import BackendError
from podmap.records import Diagnosis


class CountingBackend:
    """Holds attempts until so many of them are being ended, and notes the most."""

    def __init__(self, count: int, *, together: int, stuck: str = "") -> None:
        self.names = [f"a{number}" for number in range(count)]
        self._together = together
        self._stuck = stuck
        self._enough = asyncio.Event()
        self.ending = self.most = 0

    async def list(self, run_id: str) -> list[Observation]:
        return [
            Observation(name, run_id, number, 1, "e", Phase.RUNNING)
            for number, name in enumerate(self.names)
        ]

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        self.ending += 1
        self.most = max(self.most, self.ending)
        if self.ending == self._together:
            self._enough.set()
        await self._enough.wait()
        self.ending -= 1
        if name == self._stuck:
            raise BackendError(f"{name} cannot be ended")

    async def delete(self, name: str) -> None:
        self.names.remove(name)


def test_attempts_are_ended_together_as_many_as_may_be() -> None:
    async def scenario() -> None:
        backend = CountingBackend(9, together=4)
        found = await remove_attempts(cast(Backend, backend), "r", reason="over", at_once=4)
        assert (9, 4, []) == (len(found), backend.most, backend.names)

    asyncio.run(scenario())


def test_one_that_cannot_be_ended_keeps_no_other_from_it() -> None:
    async def scenario() -> None:
        backend = CountingBackend(5, together=2, stuck="a1")
        with pytest.raises(BackendError, match="a1 cannot be ended"):
            await remove_attempts(cast(Backend, backend), "r", reason="over", at_once=2)
        assert ["a1"] == backend.names

    asyncio.run(scenario())
