"""Tells when a process has ended, whether it is a child of this one or not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from podmap.backends.process import system
from podmap.backends.process.folder import Asked, Folder
from podmap.records import Diagnosis

POLL_S = 0.25


class Watch:
    """Waits for the end of one attempt's wrapper, on the running loop.

    Uses a pidfd, which also works for processes that another parent started, and looks from time
    to time only where the system has none (macOS, old containers) or no descriptor is left.

    Attributes:
        asked: What was asked of the attempt.
        folder: The attempt's folder.
        pid: The wrapper.
        ended: Done once the process has ended; cancelled by `close`.
        reason: Why this process asked for its end, if it did.
        clean: Whether its wrapper was seen to have done all it does at the end.
    """

    def __init__(self, asked: Asked, folder: Folder, pid: int, *, child: bool) -> None:
        self.asked = asked
        self.folder = folder
        self.pid = pid
        self.reason: Diagnosis | None = None
        self.clean = False
        self._child = child
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._poll: asyncio.TimerHandle | None = None
        self._pidfd: int | None = None
        try:
            self._pidfd = system.open_pidfd(pid)
        except ProcessLookupError:
            self._finish()
            return
        # Only now does the pid stand still: it may have been given to another process before.
        if not child and not system.runs(pid, folder.path):
            self._finish()
        elif self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._finish)
        else:
            self._look()

    @property
    def lives(self) -> bool:
        """Whether the process is there at this moment, and may be sent a signal."""
        if self.ended.done():
            return False
        # A child that was not reaped keeps its pid, so nobody else can be hit.
        return self._child or system.runs(self.pid, self.folder.path)

    def at(self, moment_up_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does `work` at a moment on `system.uptime_s`, unless the process has ended by then."""

        def begin() -> None:
            task = self._loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if not self.ended.done():
            delay_s = max(0.0, moment_up_s - system.uptime_s())
            self._timers.append(self._loop.call_later(delay_s, begin))

    def close(self) -> None:
        """Stops watching; the process goes on."""
        self._let_go()
        for task in self._tasks:
            task.cancel()
        self.ended.cancel()

    def _look(self) -> None:
        if self._child:
            # Its arguments cannot be read for a moment after it was started.
            over = system.reap(self.pid, None) or system.born(self.pid) is None
        else:
            over = not system.runs(self.pid, self.folder.path)
        if over:
            self._finish()
        else:
            self._poll = self._loop.call_later(POLL_S, self._look)

    def _finish(self) -> None:
        if self._pidfd is not None or self._child:
            system.reap(self.pid, self._pidfd)
        self._let_go()
        if not self.ended.done():
            self.ended.set_result(None)

    def _let_go(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._poll is not None:
            self._poll.cancel()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
