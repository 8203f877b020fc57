"""What one attempt prints and leaves: its lines, its messages to podmap, its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from podmap.backends.base import Backend, Observation
from podmap.engine.lines import LineSplitter
from podmap.engine.log_pieces import LogPieces
from podmap.engine.messages import PREFIX, Messages, ReportHandler, read_messages
from podmap.engine.timing import TIMING
from podmap.errors import OutputError

log = logging.getLogger(__name__)

LineHandler = Callable[[str], None]

TAIL_BYTES = 64 * 1024
RECORD_TAIL_BYTES = 4096
STREAM_LIMIT_BYTES = 16 * 1024 * 1024
"""Of one attempt's output, no more than this is streamed; the tail is always kept."""
SLICE_BYTES = 16 * 1024
SLICE_LINES = 500
"""More lines than this in a slice of output that comes at once are a flood: few are shown."""
FLOOD_LINES = 4
TURN_LINES = 200
"""After so many lines all else on the loop has its turn."""


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """What is left of an attempt that ended or is gone.

    Attributes:
        seen: The attempt as last seen.
        messages: What it said.
        tail: The end of its output, at most `TAIL_BYTES`.
        unread: Why its output could not be read, or not to its end; None if it was.
    """

    seen: Observation
    messages: Messages
    tail: bytes
    unread: OutputError | None = None


class Listener:
    """Follows one attempt. After an error `listen` may be called again: no line comes twice."""

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        wait_end: Callable[[str], Awaitable[Observation]],
        on_line: LineHandler | None,
        on_report: ReportHandler = lambda step, values: None,
        make_messages: Callable[[], Messages] = Messages,
        streams: bool,
        follows: bool = False,
        lacks_result: Callable[[Observation, Messages], bool],
        pieces: LogPieces | None = None,
        patience_s: float = TIMING.output_patience_s,
    ) -> None:
        """Nothing is read yet.

        Args:
            backend: Where the attempt lives.
            name: The attempt's name.
            wait_end: Returns the attempt of a name, once it has ended or is gone.
            on_line: Gets its lines; None if nobody wants them.
            on_report: Called with step and values of its reports.
            make_messages: Makes what reads the messages in its output.
            streams: Whether `on_line` gets them as they come, or the last ones at the end.
            follows: Whether the output is read as it comes even if nobody gets its lines then.
            lacks_result: Whether the result of an attempt, if there is one, can only stand in
                output that was not read.
            pieces: Keep the whole output, which is followed then; None to keep its end alone.
            patience_s: For how long output in which the result may stand is asked for, if it
                cannot be read; all other output is done without.
        """
        self.name = name
        self._backend = backend
        self._wait_end = wait_end
        self._on_line = on_line
        self._on_report = on_report
        self._streams = streams and on_line is not None
        self._follows = follows or self._streams or pieces is not None
        self._pieces = pieces
        self._make_messages = make_messages
        self._messages = make_messages()
        self._messages.on_report = on_report
        self._splitter = LineSplitter()
        self._offset = 0
        self._tail = bytearray()
        self._lacks_result = lacks_result
        self._patience_s = patience_s
        self._unread_since: float | None = None
        self._shows = SLICE_LINES
        self._in_turn = 0

    async def listen(self) -> EndedAttempt:
        """What the attempt leaves, once it has ended or is gone.

        Raises:
            BackendError: The backend could not be asked.
        """
        unread: OutputError | None = None
        async with self._telling_waits():
            if self._follows:
                try:
                    await self._read_output(self._on_line if self._streams else None)
                except OutputError as error:
                    unread = error
            seen = await self._wait_end(self.name)
        if self._follows:  # all of it was read, so its end need not be asked for
            tail = bytes(self._tail)
            if not self._streams:
                await self._show_end(tail)
        else:
            tail, unread = await self._read_end(seen)
        if unread is None and self._lacks_result(seen, self._messages):
            tail, unread = await self._read_again(tail)
        if unread is not None and self._lacks_result(seen, self._messages):
            self._check_patience(unread)
        if seen.warning and self._on_line is not None:
            self._on_line(f"podmap: {self.name}: {seen.warning}")
        return EndedAttempt(seen, self._messages, tail, unread)

    async def _read_end(self, seen: Observation) -> tuple[bytes, OutputError | None]:
        """The end of the output, with the messages in it, and why it could not be read."""
        try:
            tail = await self._backend.tail(self.name, max_bytes=TAIL_BYTES)
            self._messages = read_messages(tail, make=self._make_messages)
            if len(tail) == TAIL_BYTES and self._may_stand_above(seen):
                self._messages = self._make_messages()
                await self._read_output(None)
        except OutputError as error:
            return b"", error
        await self._show_end(tail)
        for step, values in self._messages.reports:
            self._on_report(step, values)
        return tail, None

    async def _read_again(self, tail: bytes) -> tuple[bytes, OutputError | None]:
        """The end of the output once more: a kubelet that dies ends its answer as if it were whole.

        Args:
            tail: What was read before.
        """
        try:
            again = await self._backend.tail(self.name, max_bytes=TAIL_BYTES)
        except OutputError as error:
            return tail, error
        for line in again.decode("utf-8", "replace").splitlines():
            self._messages.read_line(line)  # what was read before changes nothing
        return max(again, tail, key=len), None

    def _check_patience(self, unread: OutputError) -> None:
        """Raises the error until it has been had for long enough."""
        if self._unread_since is None:
            self._unread_since = time.monotonic()
        if time.monotonic() - self._unread_since < self._patience_s:
            raise unread

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

    def _may_stand_above(self, seen: Observation) -> bool:
        """Whether the result, if there is one, stands further up in the output."""
        told = self._messages.final is not None or self._messages.pruned
        return not told and (not seen.result or seen.result_cut is not None)

    async def _show_end(self, tail: bytes) -> None:
        if self._on_line is not None:
            lines = tail[-RECORD_TAIL_BYTES:].decode("utf-8", "replace").splitlines()
            await self._show(lines, self._on_line)

    async def _read_output(self, on_line: LineHandler | None) -> None:
        """Reads the whole output from where it was left, in bounded memory."""
        async with aclosing(self._backend.output(self.name, offset=self._offset)) as output:
            async for chunk in output:
                shown = self._offset < STREAM_LIMIT_BYTES
                self._offset += len(chunk)
                self._tail += chunk
                del self._tail[:-TAIL_BYTES]
                for start in range(0, len(chunk), SLICE_BYTES):
                    lines = list(self._splitter.feed(chunk[start : start + SLICE_BYTES]))
                    await self._read_lines(lines, on_line if shown else None)
                if on_line and shown and self._offset >= STREAM_LIMIT_BYTES:
                    on_line("podmap: more output is not shown here; its end is in the record")
                if self._pieces is not None:
                    await self._pieces.add(chunk)
        if self._pieces is not None:
            await self._pieces.finish()
        shown = self._offset <= STREAM_LIMIT_BYTES
        await self._read_lines(list(self._splitter.finish()), on_line if shown else None)

    async def _read_lines(self, lines: Sequence[str], on_line: LineHandler | None) -> None:
        """Reads what came at once: all messages in it, and as many lines as are to be shown."""
        for line in lines:
            if PREFIX in line or self._messages.plain is not None:
                self._messages.read_line(line)
                await self._count()
        if on_line is None:
            await self._count(TURN_LINES)
        else:
            await self._show(lines, on_line)

    async def _show(self, lines: Sequence[str], on_line: LineHandler) -> None:
        """Hands lines on; in a flood only some of them, the fewer the longer it lasts."""
        flood = len(lines) > SLICE_LINES
        shows = self._shows if flood else SLICE_LINES
        self._shows = max(FLOOD_LINES, shows // 2) if flood else SLICE_LINES
        for line in lines[:shows]:
            on_line(line)
            await self._count()
        if flood:
            on_line(f"podmap: … {len(lines) - shows:,} lines left out")
            await self._count(TURN_LINES)

    async def _count(self, lines: int = 1) -> None:
        """Counts what was done in this turn of the loop, and lets others have theirs in time."""
        self._in_turn += lines
        if self._in_turn >= TURN_LINES:
            self._in_turn = 0
            await asyncio.sleep(0)
