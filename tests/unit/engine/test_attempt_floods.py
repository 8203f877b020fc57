"""A trial that floods its output takes no turn of the loop for long, and shows little of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest

from podmap.backends.base import Backend, Observation, Phase
from podmap.engine.attempt import (
    SLICE_BYTES,
    SLICE_LINES,
    TAIL_BYTES,
    TURN_LINES,
    EndedAttempt,
    Listener,
)

FLOOD_BYTES = 2 * 2**20
NAME = "s-0123abcd-0-a1"
SEEN = Observation(NAME, "0123abcd", 0, 1, "e1", Phase.ENDED, exit_code=0)


class Said:
    """A backend whose one attempt has said something and ended."""

    def __init__(self, said: bytes, chunk_bytes: int) -> None:
        self._said = said
        self._chunk_bytes = chunk_bytes

    async def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        for start in range(offset, len(self._said), self._chunk_bytes):
            yield self._said[start : start + self._chunk_bytes]

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        return self._said[-max_bytes:]

    async def notices(self, name: str) -> AsyncIterator[str]:
        return
        yield

    async def ended(self, name: str) -> Observation:
        return SEEN


def heard(said: bytes, *, chunk_bytes: int = TAIL_BYTES, streams: bool = True) -> Any:
    """What was left, the lines that were shown, and the most lines in one turn of the loop."""
    shown: list[str] = []
    in_turn: dict[int, int] = {}
    turn = 0

    def on_line(line: str) -> None:
        shown.append(line)
        in_turn[turn] = in_turn.get(turn, 0) + 1

    async def scenario() -> EndedAttempt:
        async def turns() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        turning = asyncio.ensure_future(turns())
        backend = Said(said, chunk_bytes)
        listener = Listener(
            cast("Backend", backend),
            NAME,
            wait_end=backend.ended,
            lacks_result=lambda seen, messages: False,
            on_line=on_line,
            streams=streams,
        )
        try:
            return await listener.listen()
        finally:
            turning.cancel()

    ended = asyncio.run(scenario())
    return ended, shown, max(in_turn.values(), default=0), turn


@pytest.mark.parametrize("chunk_bytes", [TAIL_BYTES, 2**22], ids=["chunks", "large chunks"])
def test_a_flood_of_short_lines_is_summed_up_and_holds_up_nobody(chunk_bytes: int) -> None:
    said = b"x\n" * (FLOOD_BYTES // 2) + b'podmap: {"final": {"y": 1}}\n'
    ended, shown, most, turns = heard(said, chunk_bytes=chunk_bytes)
    assert {"y": 1} == ended.messages.final
    assert said[-TAIL_BYTES:] == ended.tail
    assert len(shown) < 2_000
    assert "podmap: … 8,188 lines left out" in shown
    assert most <= TURN_LINES + 2
    assert turns > FLOOD_BYTES // SLICE_BYTES


def test_all_lines_of_a_talkative_trial_are_shown() -> None:
    said = b"".join(b"epoch %6d: %s\n" % (n, b"." * 150) for n in range(20_000))
    _, shown, most, _ = heard(said)
    assert said.decode().splitlines() == shown
    assert most <= TURN_LINES + 1


def test_what_is_left_out_is_said_where_it_was() -> None:
    said = b"".join(b"%d\n" % n for n in range(SLICE_LINES + 3))
    _, shown, _, _ = heard(said)
    assert [*map(str, range(SLICE_LINES)), "podmap: … 3 lines left out"] == shown


def test_after_a_flood_lines_are_shown_again() -> None:
    flood = b"x\n" * (10 * TAIL_BYTES // 2)
    calm = b"".join(b"%060d\n" % n for n in range(8 * TAIL_BYTES // 61))
    _, shown, _, _ = heard(flood + calm)
    assert f"{8 * TAIL_BYTES // 61 - 1:060d}" in shown


def test_the_end_that_is_shown_of_a_flood_is_short() -> None:
    _, shown, most, _ = heard(b"x\n" * TAIL_BYTES, streams=False)
    assert SLICE_LINES + 1 == len(shown)
    assert most <= TURN_LINES + 1
