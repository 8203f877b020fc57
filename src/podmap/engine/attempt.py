"""What one attempt says, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from podmap.backends.base import Backend, Observation
from podmap.engine.messages import LineSplitter, Messages, read_messages
from podmap.engine.settlement import RECORD_TAIL_BYTES

log = logging.getLogger(__name__)

LineHandler = Callable[[str], None]

TAIL_BYTES = 64 * 1024
STREAM_LIMIT_BYTES = 16 * 1024 * 1024
"""Of one attempt's output, no more than this is streamed; the tail is always kept."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left of an attempt that ended or is gone.

    Attributes:
        seen: The attempt as last seen.
        messages: What it said.
        tail: The end of its output, at most `TAIL_BYTES`.
    """

    seen: Observation
    messages: Messages
    tail: bytes


class Ends(Protocol):
    """Knows when attempts end: the run's coordinator, where it has one."""

    async def ended(self, name: str) -> Observation:
        """The attempt, once it has ended or is gone."""
        ...


class Listener:
    """Follows one attempt. After an error `listen` may be called again: no line comes twice."""

    def __init__(
        self,
        backend: Backend,
        ends: Ends,
        name: str,
        *,
        on_line: LineHandler | None,
        streams: bool,
    ) -> None:
        """Hears nothing yet.

        Args:
            backend: Where the attempt lives.
            ends: Knows when it has ended.
            name: The attempt's name.
            on_line: Gets its lines; None if nobody wants them.
            streams: Whether `on_line` gets them as they come, or the last ones at the end.
        """
        self.name = name
        self._backend = backend
        self._ends = ends
        self._on_line = on_line
        self._streams = streams and on_line is not None
        self._messages = Messages()
        self._splitter = LineSplitter()
        self._offset = 0
        self._heard = bytearray()  # the end of it

    async def listen(self) -> Ended:
        """What the attempt leaves, once it has ended or is gone.

        Raises:
            BackendError: The backend could not be asked.
        """
        async with self._telling_waits():
            if self._streams:
                await self._hear(self._on_line)
            seen = await self._ends.ended(self.name)
        if self._streams:  # all of it was heard, so its end need not be asked for
            tail = bytes(self._heard)
        else:
            tail = await self._backend.tail(self.name, max_bytes=TAIL_BYTES)
            self._messages = read_messages(tail)
            if len(tail) == TAIL_BYTES and self._lacks_result(seen):
                self._messages = Messages()
                await self._hear(None)
            self._show_end(tail)
        return Ended(seen, self._messages, tail)

    @asynccontextmanager
    async def _telling_waits(self) -> AsyncIterator[None]:
        """Tells meanwhile what the attempt waits for, where the backend knows."""

        async def tell() -> None:
            async for notice in self._backend.notices(self.name):
                if self._on_line is not None:
                    self._on_line(f"podmap: {self.name} does not run yet: {notice}")
                else:
                    log.warning("%s does not run yet: %s", self.name, notice)

        telling = asyncio.ensure_future(tell())
        try:
            yield
        finally:
            telling.cancel()

    def _lacks_result(self, seen: Observation) -> bool:
        """Whether the result, if there is one, stands further up in the output."""
        heard = self._messages.final is not None or self._messages.pruned
        return not heard and (not seen.result or seen.result_cut is not None)

    def _show_end(self, tail: bytes) -> None:
        if self._on_line is not None:
            for line in tail[-RECORD_TAIL_BYTES:].decode("utf-8", "replace").splitlines():
                self._on_line(line)

    async def _hear(self, on_line: LineHandler | None) -> None:
        """Takes in the whole output from where it was left, in bounded memory."""
        async with aclosing(self._backend.output(self.name, offset=self._offset)) as output:
            async for chunk in output:
                shown = self._offset < STREAM_LIMIT_BYTES
                self._offset += len(chunk)
                self._heard += chunk
                del self._heard[:-TAIL_BYTES]
                for line in self._splitter.feed(chunk):
                    self._take(line, on_line if shown else None)
                if on_line and shown and self._offset >= STREAM_LIMIT_BYTES:
                    on_line("podmap: more output is not shown here; its end is in the record")
        shown = self._offset <= STREAM_LIMIT_BYTES
        for line in self._splitter.finish():
            self._take(line, on_line if shown else None)

    def _take(self, line: str, on_line: LineHandler | None) -> None:
        self._messages.hear(line)
        if on_line is not None:
            on_line(line)
