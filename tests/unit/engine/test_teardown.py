"""What a run has left is ended and removed together, but not all of it at once."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from podmap.backends.base import Backend, Observation, Phase
from podmap.engine.teardown import Teardown, remove_attempts
from podmap.errors import BackendError
from podmap.records import Diagnosis


class CountingBackend:
    """Holds attempts until so many of them are being ended, and notes the most."""

    def __init__(
        self, count: int, *, together: int, stuck: dict[str, Exception] | None = None
    ) -> None:
        self.names = [f"a{number}" for number in range(count)]
        self._together = together
        self._stuck = stuck or {}
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
        if name in self._stuck:
            raise self._stuck[name]

    async def delete(self, name: str) -> None:
        self.names.remove(name)


def test_attempts_are_ended_together_as_many_as_may_be() -> None:
    async def scenario() -> None:
        backend = CountingBackend(9, together=4)
        done = await remove_attempts(cast(Backend, backend), "r", reason="over", at_once=4)
        done.check()
        assert (Teardown(9, 9, {}), 4, []) == (done, backend.most, backend.names)

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [BackendError("a1 cannot be ended"), ZeroDivisionError("a bug")])
def test_one_that_cannot_be_ended_keeps_no_other_from_it(error: Exception) -> None:
    async def scenario() -> None:
        backend = CountingBackend(5, together=2, stuck={"a1": error})
        done = await remove_attempts(cast(Backend, backend), "r", reason="over", at_once=2)
        assert Teardown(4, 4, {"a1": str(error)}) == done
        assert ["a1"] == backend.names
        with pytest.raises(BackendError, match=f"1 of 5 .*removed:\na1: {error}"):
            done.check()

    asyncio.run(scenario())


def test_of_many_that_are_left_the_first_are_named() -> None:
    left = {f"a{number:02}": "no answer" for number in range(40)}
    with pytest.raises(BackendError) as raised:
        Teardown(10, 0, left).check()
    first, *named, last = str(raised.value).splitlines()
    assert first.startswith("40 of 50 attempts could not be removed")
    assert (10, "a00: no answer", "and 30 more") == (len(named), named[0], last)
