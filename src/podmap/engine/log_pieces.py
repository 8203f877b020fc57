"""The whole output of an attempt, kept in the ledger in pieces while it comes."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from podmap import names

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.spec.log_rules import LogRules

PIECE_BYTES = 4 * 1024 * 1024
"""One piece is in memory at a time, and is one write."""


class LogPieces:
    """Takes output and writes it piece by piece; what lies beyond the limit is dropped.

    The same output makes the same pieces, so that who begins anew writes them again. After an error
    of `write` nothing is lost: it is called again with the same piece.
    """

    def __init__(
        self, write: Callable[[int, bytes], Awaitable[object]], *, limit_bytes: int
    ) -> None:
        """Nothing is kept yet.

        Args:
            write: Writes the piece of a number, from 0.
            limit_bytes: How much is kept.
        """
        self._write = write
        self._left = limit_bytes
        self._number = 0
        self._piece = bytearray()

    async def add(self, output: bytes) -> None:
        """Takes what comes next.

        Raises:
            StoreError: A piece could not be written for now.
        """
        taken = output[: self._left]
        self._left -= len(taken)
        self._piece += taken
        while len(self._piece) >= PIECE_BYTES:
            await self._write_first(PIECE_BYTES)

    async def finish(self) -> None:
        """Writes what is left of the output, which has ended.

        Raises:
            StoreError: It could not be written for now.
        """
        while self._piece:
            await self._write_first(PIECE_BYTES)

    async def _write_first(self, count: int) -> None:
        await self._write(self._number, bytes(self._piece[:count]))
        del self._piece[:count]
        self._number += 1


def log_pieces(
    rules: LogRules, ledger: Ledger, name: str, call: Callable[..., Awaitable[Any]]
) -> LogPieces | None:
    """What keeps the whole output of an attempt; None if the spec keeps its end alone.

    Args:
        rules: The spec's.
        ledger: Of the run.
        name: The attempt's.
        call: Calls a function that writes the store, off the event loop.
    """
    if rules.keep != "full":
        return None
    _, number, attempt = names.parse_attempt_name(name)

    def write(piece: int, data: bytes) -> None:
        ledger.write_file(names.log_piece_path(number, attempt, piece), data)

    return LogPieces(partial(call, write), limit_bytes=rules.limit)


def is_whole(ledger: Ledger, number: int, attempt: int) -> bool:
    """Whether more was kept of an attempt's output than its end."""
    return ledger.read_file(names.log_piece_path(number, attempt, 0)) is not None


def read_pieces(ledger: Ledger, number: int, attempt: int) -> Iterator[bytes]:
    """The whole output of an attempt, piece by piece; nothing if its end alone was kept.

    Raises:
        StoreError: The store could not be asked.
    """
    for piece in itertools.count():
        data = ledger.read_file(names.log_piece_path(number, attempt, piece))
        if data is None:
            return
        yield data
