"""The whole output of an attempt, in pieces."""

from __future__ import annotations

import asyncio

import pytest

from podmap.engine.log_pieces import PIECE_BYTES, LogPieces
from podmap.errors import StoreError


class Pieces:
    """Where pieces are written; refuses as often as it is told to."""

    def __init__(self, refuses: int = 0) -> None:
        self.written: dict[int, bytes] = {}
        self.refuses = refuses

    async def write(self, number: int, data: bytes) -> None:
        if self.refuses:
            self.refuses -= 1
            raise StoreError("not now")
        self.written[number] = data

    @property
    def whole(self) -> bytes:
        return b"".join(self.written[number] for number in sorted(self.written))


@pytest.mark.parametrize("size", [0, 1, 1000, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_pieces_are_the_output(size: int) -> None:
    pieces = Pieces()
    output = bytes(range(256)) * (size // 256 + 1)

    async def keep() -> None:
        kept = LogPieces(pieces.write, limit_bytes=10**9)
        for start in range(0, size, 70_000):
            await kept.add(output[start : min(start + 70_000, size)])
        await kept.finish()

    asyncio.run(keep())
    assert output[:size] == pieces.whole
    assert all(len(piece) <= PIECE_BYTES for piece in pieces.written.values())
    assert -(-size // PIECE_BYTES) == len(pieces.written)


def test_no_more_than_the_limit_is_kept() -> None:
    pieces = Pieces()

    async def keep() -> None:
        kept = LogPieces(pieces.write, limit_bytes=10)
        for part in (b"0123", b"4567", b"89ab", b"cdef"):
            await kept.add(part)
        await kept.finish()

    asyncio.run(keep())
    assert b"0123456789" == pieces.whole


def test_after_an_error_nothing_is_lost_or_written_twice() -> None:
    pieces = Pieces(refuses=2)
    output = b"x" * PIECE_BYTES + b"y"

    async def keep() -> None:
        kept = LogPieces(pieces.write, limit_bytes=10**9)
        with pytest.raises(StoreError):
            await kept.add(output)
        with pytest.raises(StoreError):
            await kept.add(b"z")
        await kept.finish()

    asyncio.run(keep())
    assert output + b"z" == pieces.whole
