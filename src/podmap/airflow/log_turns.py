"""The lines of all trials of one triggerer, written in turns, and never more than Airflow takes.

A line costs Airflow's triggerer the same whether it is short or long, and its supervisor goes
through its database for every 4 KiB that it reads. So each trial's lines are joined, a few KiB of
each trial are written a turn, and the next turn waits until the supervisor has read the last.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from podmap.aio import Breather, set_within, spawn
from podmap.airflow.log_socket import LogSocket, process_log_socket

TURN_S = 0.25
"""So long is between two turns. Trials that have ended have turns of their own at once."""
TURN_CHARS = 32 * 1024
"""Of all trials together, so much is written in a turn: 128 KiB a second."""
SLICE_CHARS = 4 * 1024
"""Of one trial, so much is written in a turn: 16 KiB a second."""
BUFFER_CHARS = 32 * 1024
"""Of one trial, so much waits; then the oldest lines are left out, and counted."""
END_CHARS = 4 * 1024
"""So much is shown of what was written before anybody here listened."""
CATCH_UP_S = 1.0
"""For so long what comes is taken for what was written before."""
FINISH_S = 60.0
"""How long the end of a trial waits for its last lines to be read."""

_turns: dict[asyncio.AbstractEventLoop, LogTurns] = {}


class TurnsLog:
    """A log of which each line waits for its turn; it has those methods of a logger that are used.

    Lines are written in the context in which this was made, by which Airflow knows the task
    instance that they are of.
    """

    def __init__(self, log: Any, turns: LogTurns | None = None) -> None:
        """No line waits.

        Args:
            log: A trigger's log.
            turns: What gives turns; None for those of the running loop.
        """
        self._log = log
        self._turns = turns or loop_turns()
        self._context = contextvars.copy_context()
        self._branches: list[TurnsLog] = []
        self._waiting: deque[tuple[str, str]] = deque()
        self._chars = 0
        self._left_out = 0
        self._caught_up_at = 0.0

    def branch(self) -> TurnsLog:
        """A log of the same instance with turns of its own: for one of several trials."""
        branch = TurnsLog(self._log, self._turns)
        self._branches.append(branch)
        return branch

    @property
    def waits(self) -> bool:
        """Whether lines wait for a turn."""
        return bool(self._waiting)

    @property
    def catches_up(self) -> bool:
        """Whether what comes now is what was written before anybody here listened."""
        return self._turns.now < self._caught_up_at

    def info(self, form: str, *args: Any) -> None:
        """Has lines written."""
        self._add("info", form % args)

    def warning(self, form: str, *args: Any) -> None:
        """Has a warning written."""
        self._add("warning", form % args)

    def error(self, form: str, *args: Any) -> None:
        """Has an error written."""
        self._add("error", form % args)

    def catch_up(self) -> None:
        """Has only the end shown of what comes in the next moment."""
        self._caught_up_at = self._turns.now + CATCH_UP_S

    async def finish(self) -> None:
        """Returns once Airflow has read all lines; or after `FINISH_S`, if it does not."""
        finishing = asyncio.ensure_future(self._turns.finish(self._all()))
        await asyncio.wait([finishing], timeout=FINISH_S)
        finishing.cancel()

    def close(self) -> None:
        """Writes what a turn holds and forgets the rest: nobody waits for it any more."""
        for log in self._all():
            log.write_slice(SLICE_CHARS)
            log._waiting.clear()

    def write_slice(self, most_chars: int) -> int:
        """Writes the lines that have waited longest, as one; returns how many characters.

        Args:
            most_chars: How many they may be; one line is written in any case.
        """
        if not self._waiting:
            return 0
        level = self._waiting[0][0]
        lines, chars = self._note_left_out(), 0
        while self._waiting and self._waiting[0][0] == level:
            line_chars = len(self._waiting[0][1]) + 1
            if chars and chars + line_chars > most_chars:
                break
            lines.append(self._waiting.popleft()[1])
            chars += line_chars
        self._chars -= chars
        self._context.run(getattr(self._log, level), "%s", "\n".join(lines))
        return chars

    def _all(self) -> list[TurnsLog]:
        return [*self._branches, self]

    def _add(self, level: str, line: str) -> None:
        self._waiting.append((level, line))
        self._chars += len(line) + 1
        most_chars = END_CHARS if self.catches_up else BUFFER_CHARS
        while self._chars > most_chars and len(self._waiting) > 1:
            self._chars -= len(self._waiting.popleft()[1]) + 1
            self._left_out += 1
        self._turns.ask_for(self)

    def _note_left_out(self) -> list[str]:
        count, self._left_out = self._left_out, 0
        return [f"podmap: … {count:,} lines are left out here"] if count else []


class LogTurns:
    """Gives the logs of one event loop their turns."""

    def __init__(
        self, log_socket: LogSocket | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """No log waits.

        Args:
            log_socket: Where Airflow's log goes; None where it takes all at once.
            clock: Gives seconds.
        """
        self._socket = log_socket
        self._clock = clock
        self._logs: dict[TurnsLog, None] = {}  # in the order of their turns
        self._ending: dict[TurnsLog, asyncio.Future[None]] = {}
        self._hurry = asyncio.Event()
        self._next_turn = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()

    def ask_for(self, log: TurnsLog) -> None:
        """Notes that lines of a log wait."""
        self._logs.setdefault(log)
        if self._task is None or self._task.done():
            self._next_turn = self.now + TURN_S
            self._task = spawn(self._give_turns())

    async def finish(self, logs: list[TurnsLog]) -> None:
        """Has the lines of some logs written first; returns once Airflow has read them."""
        loop = asyncio.get_running_loop()
        written = [
            self._ending.setdefault(each, loop.create_future()) for each in logs if each.waits
        ]
        self._hurry.set()
        for future in written:
            await future
        await self._wait_taken()

    async def _wait_taken(self) -> None:
        if self._socket is not None:
            await self._socket.wait_taken(self._socket.position())

    async def _give_turns(self) -> None:
        while self._logs:
            await set_within(self._hurry, max(0.0, self._next_turn - self.now))
            self._hurry.clear()
            await self._wait_taken()
            left = await self._write(self._ending_slices(), TURN_CHARS)
            if self.now >= self._next_turn:
                await self._write(self._slices(), left)
                self._next_turn = self.now + TURN_S
            if self._ending:
                self._hurry.set()

    async def _write(self, slices: Iterator[int], left: int) -> int:
        """Writes slices until too much is written; returns how many characters are left."""
        breather = Breather()
        while left > 0 and (chars := next(slices, 0)):
            left -= chars
            await breather.breathe()
        return left

    def _ending_slices(self) -> Iterator[int]:
        """All that is left of the logs whose trials have ended; yields how much was written."""
        while self._ending:
            log, written = next(iter(self._ending.items()))
            while log.waits:
                yield log.write_slice(SLICE_CHARS)
            self._ending.pop(log, None)
            self._logs.pop(log, None)
            if not written.done():
                written.set_result(None)

    def _slices(self) -> Iterator[int]:
        """A slice of each log; yields how much was written."""
        for log in list(self._logs):
            if log.catches_up and log.waits:
                continue
            del self._logs[log]
            chars = log.write_slice(SLICE_CHARS)
            if log.waits:
                self._logs[log] = None  # at the end of the row
            if chars:
                yield chars


def loop_turns() -> LogTurns:
    """The running loop's."""
    for loop in [loop for loop in _turns if loop.is_closed()]:
        del _turns[loop]
    loop = asyncio.get_running_loop()
    if loop not in _turns:
        _turns[loop] = LogTurns(process_log_socket())
    return _turns[loop]
