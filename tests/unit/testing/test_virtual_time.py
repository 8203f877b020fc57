"""A virtual loop: time passes at once, in order, and a standstill is an error."""

from __future__ import annotations

import asyncio
import time

import pytest

from podmap.clock import iso, utc_now
from podmap.testing.virtual_time import StalledError, run_in_virtual_time


def test_hours_pass_at_once_and_in_order() -> None:
    seen = []

    async def after(hours: float) -> None:
        await asyncio.sleep(hours * 3600)
        seen.append((hours, iso(utc_now())))

    async def main() -> None:
        await asyncio.gather(after(30), after(0.5), after(48))

    before = time.monotonic()
    run_in_virtual_time(main())
    assert [
        (0.5, "2026-01-01T00:30:00.000Z"),
        (30, "2026-01-02T06:00:00.000Z"),
        (48, "2026-01-03T00:00:00.000Z"),
    ] == seen
    assert time.monotonic() - before < 3600
    assert utc_now().year > 2000


def test_what_belongs_in_a_thread_is_called_at_once() -> None:
    async def main() -> tuple[int, str]:
        length = await asyncio.to_thread(len, "abc")
        with pytest.raises(ZeroDivisionError) as failed:
            await asyncio.to_thread(lambda: 1 // 0)
        return length, type(failed.value).__name__

    assert (3, "ZeroDivisionError") == run_in_virtual_time(main())


def test_a_wait_for_nothing_is_an_error() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StalledError, match="never happens"):
        run_in_virtual_time(main())


def test_a_run_without_an_end_is_an_error() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(24 * 3600)

    with pytest.raises(StalledError, match="30 days"):
        run_in_virtual_time(main())


def test_it_can_be_used_where_a_loop_runs_already() -> None:
    async def inside() -> float:
        await asyncio.sleep(7200)
        return asyncio.get_running_loop().time()

    async def outside() -> float:
        return run_in_virtual_time(inside())

    assert 7200 == asyncio.run(outside())
