from __future__ import annotations

import asyncio
import threading

import pytest

from podmap.errors import StoreError
from podmap.server.answer import Answer, json_answer
from podmap.server.desk import Desk


def test_what_is_asked_twice_at_a_time_is_done_once() -> None:
    go, calls = threading.Event(), []

    def work() -> Answer:
        calls.append(1)
        go.wait()
        return json_answer("done")

    async def ask() -> list[Answer]:
        desk = Desk(threads=2)
        both = [asyncio.ensure_future(desk.answer(work, shared="a")) for _ in range(2)]
        while not calls:
            await asyncio.sleep(0)
        go.set()
        return [*await asyncio.gather(*both), await desk.answer(work, shared="a")]

    assert [b'"done"'] * 3 == [answer.body for answer in asyncio.run(ask())]
    assert 2 == len(calls)


def test_a_store_that_hangs_costs_its_own_requests_alone() -> None:
    """And when it answers again, who asked is served by what was begun."""
    go, calls = threading.Event(), []

    def hang() -> Answer:
        calls.append(1)
        go.wait()
        return json_answer("back")

    async def ask() -> tuple[Answer, Answer, Answer]:
        desk = Desk(threads=2, patience_s=0.01)
        away = await desk.answer(hang, shared="a")
        other = await desk.answer(lambda: json_answer("other"))
        go.set()
        back = away
        while back.status == 503:
            back = await desk.answer(hang, shared="a")
        return away, other, back

    away, other, back = asyncio.run(ask())
    assert 503 == away.status
    assert b"the store has not answered for 0.01 s" in away.body
    assert (b'"other"', b'"back"') == (other.body, back.body)


def test_more_than_may_wait_are_refused() -> None:
    go = threading.Event()

    def hang() -> Answer:
        go.wait()
        return json_answer("late")

    async def ask() -> list[int]:
        desk = Desk(threads=1, most_waiting=2)
        asked = [asyncio.ensure_future(desk.answer(hang)) for _ in range(5)]
        await asyncio.sleep(0)
        go.set()
        return [answer.status for answer in await asyncio.gather(*asked)]

    assert [200, 200, 200, 503, 503] == asyncio.run(ask())


def test_errors_are_answers(caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: Exception) -> Answer:
        raise error

    async def ask() -> list[Answer]:
        desk = Desk()
        errors = StoreError("the bucket is away"), KeyError("secret")
        return [await desk.answer(lambda error=error: fail(error)) for error in errors]

    known, unknown = asyncio.run(ask())
    assert (503, b'{"error":"the bucket is away"}') == (known.status, known.body)
    assert 500 == unknown.status
    assert b"secret" not in unknown.body
    assert "KeyError: 'secret'" in caplog.text
