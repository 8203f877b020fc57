from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.local.backends.process.conftest import RUN_ID, Host, until

from podmap.backends.base import FullError
from podmap.errors import StoreError
from podmap.records import Category, Diagnosis

HOLD = 'while [ ! -e "$WORK/go" ]; do sleep 0.01; done'


def test_no_more_attempts_live_than_the_limit_whoever_creates_them(host: Host) -> None:
    async def scenario() -> None:
        backends = [host.backend() for _ in range(3)]
        asked = await asyncio.gather(
            *(
                backends[number % 3].create(host.shell(HOLD, number=number), limit=2)
                for number in range(9)
            ),
            return_exceptions=True,
        )
        refused = [answer for answer in asked if isinstance(answer, FullError)]
        created = {seen.name for seen in asked if not isinstance(seen, BaseException)}
        assert (2, 7) == (len(created), len(refused))
        assert {tuple(sorted(created))} == {error.alive for error in refused}
        for name in created:
            again = await backends[0].create(host.shell(HOLD, number=_number(name)), limit=2)
            assert name == again.name  # what is there needs no room
        (host.work / "go").touch()
        for name in created:
            await backends[1].wait(name)
        assert await backends[2].create(host.shell("true", number=10), limit=1)

    host.play(scenario)


def test_attempts_that_were_never_started_take_no_room(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()
        host.folder(0).mkdir(parents=True)
        await backend.create(host.shell("true", number=1), limit=1)

    host.play(scenario)


def test_an_attempt_that_is_killed_at_once_can_be_deleted_at_once(host: Host) -> None:
    """Its wrapper may have had no time to say who it is."""

    async def scenario() -> None:
        backend = host.backend()
        for number in range(5):
            await backend.create(host.shell(HOLD, number=number))
            reason = Diagnosis(Category.CANCELLED, "at once")
            await backend.kill(host.name(number), reason=reason, grace_s=5)
            assert reason == (await backend.wait(host.name(number))).diagnosis
            await asyncio.wait_for(backend.delete(host.name(number)), 10)

    host.play(scenario)


def test_nothing_runs_before_it_is_confirmed(host: Host) -> None:
    async def scenario() -> None:
        backend, other = host.backend(), host.backend()
        late = host.shell('echo ran >>"$WORK/ran"')
        asked: list[bool] = []

        async def confirm() -> bool:
            seen = await other.create(replace(late, epoch="late"))
            asked.append((host.work / "ran").exists())
            assert late.epoch == seen.epoch
            return True

        await backend.create(late, confirm=confirm)
        ended = await asyncio.gather(backend.wait(late.name), other.wait(late.name))
        assert [0, 0] == [seen.exit_code for seen in ended]
        await backend.create(late, confirm=confirm)  # it is there, so nobody is asked
        assert [False] == asked

    host.play(scenario)
    assert "ran\n" == (host.work / "ran").read_text()


def test_nothing_is_left_of_what_could_not_be_confirmed(host: Host) -> None:
    async def fail() -> bool:
        raise StoreError("could not ask")

    async def scenario() -> None:
        backend, other = host.backend(), host.backend()
        with pytest.raises(StoreError):
            await backend.create(host.shell("true"), confirm=fail)
        assert [] == await other.list(RUN_ID)
        creating = asyncio.ensure_future(
            backend.create(host.shell("true"), confirm=asyncio.Event().wait)
        )
        await until(host.folder().exists)
        creating.cancel()
        await asyncio.wait([creating])
        assert [] == await other.list(RUN_ID)
        await other.create(host.shell("true"))
        assert 0 == (await other.wait(host.name())).exit_code

    host.play(scenario)


def _number(name: str) -> int:
    return int(name.split("-")[-2])
