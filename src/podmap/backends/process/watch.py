"""Watches the process of an attempt, a child of this one or not: notes its end, or ends it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from podmap.backends.process import system
from podmap.backends.process.folder import AttemptFolder
from podmap.backends.process.state import AskedLaunch, KillOrder
from podmap.clock import iso, utc_now
from podmap.records import Diagnosis

POLL_S = 0.25
_MOMENT_S = 1.0


class ProcessWatch:
    """Waits for the end of one attempt's wrapper, on the running loop.

    Uses a pidfd, which also works for processes that another parent started, and looks from time
    to time only where the system has none (macOS, old containers) or no descriptor is left.

    Attributes:
        asked: What was asked of the attempt.
        folder: The attempt's folder.
        pid: The wrapper.
        ended: Done once the process has ended; cancelled by `close`.
        reason: Why this process asked for its end, if it did.
        seen_end: When its end was seen, as UTC ISO 8601; None before it.
    """

    def __init__(self, asked: AskedLaunch, folder: AttemptFolder, pid: int, *, child: bool) -> None:
        self.asked = asked
        self.folder = folder
        self.pid = pid
        self.reason: Diagnosis | None = None
        self.seen_end: str | None = None
        self._clearing: asyncio.Future[int] | None = None
        self._child = child
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._forces: set[asyncio.Task[int]] = set()
        self._poll: asyncio.TimerHandle | None = None
        self._pidfd: int | None = None
        try:
            self._pidfd = system.open_pidfd(pid)
        except ProcessLookupError:
            self._note_end()
            return
        # Only now does the pid stand still: it may have been given to another process before.
        if not child and not system.is_running(pid, folder.path):
            self._note_end()
        elif self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._note_end)
        else:
            self._poll_end()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and what it left behind has, too."""
        return self.ended.done() and self._clearing is not None and self._clearing.done()

    @property
    def is_alive(self) -> bool:
        """Whether the process is there at this moment, and may be sent a signal."""
        if self.ended.done():
            return False
        # A child that was not reaped keeps its pid, so nobody else can be hit.
        return self._child or system.is_running(self.pid, self.folder.path)

    def call_at(self, moment_up_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `work` at a moment on `system.uptime_s`, unless the process has ended by then."""

        def begin() -> None:
            task = self._loop.create_task(work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        if not self.ended.done():
            delay_s = max(0.0, moment_up_s - system.uptime_s())
            self._timers.append(self._loop.call_later(delay_s, begin))

    async def end(self, reason: Diagnosis, grace_s: float) -> None:
        """Ends the attempt and keeps why; returns once it has ended. May be called more than once.

        Args:
            reason: What its observation will carry, unless it ends by itself before this.
            grace_s: Seconds from SIGTERM to SIGKILL; at 0 there is no SIGTERM.
        """
        mine = self._give_reason(reason, grace_s)
        if self._says_ended():  # it was faster, unless it only says so
            self.reason = None
            if mine:
                self.folder.remove_kill_order()
            await asyncio.wait({self.ended}, timeout=_MOMENT_S)
            if self.ended.done():
                return
            self._give_reason(reason, grace_s)
        if grace_s > 0:
            self.call_at(system.uptime_s() + grace_s, self.force)
            if self.is_alive:
                system.signal_group(self.pid, signal.SIGTERM)
        else:
            await self.force()
        await asyncio.shield(self.ended)

    def _give_reason(self, reason: Diagnosis, grace_s: float) -> bool:
        """Keeps why the attempt is to end; whether nobody had given a reason before."""
        self.reason = self.reason or reason
        # A full disk must not keep the process alive; then only this process knows why.
        with contextlib.suppress(OSError):
            return self.folder.write_kill_order(KillOrder(reason, system.uptime_s() + grace_s))
        return False

    def _says_ended(self) -> bool:
        with contextlib.suppress(OSError):
            wrapper = self.folder.read_wrapper()
            return wrapper is not None and wrapper.ending is not None
        return False

    async def clear(self) -> int:
        """Waits for the end, then ends what is left behind; returns how many processes that were.

        That is done once, and goes on if this call is cancelled.
        """
        await asyncio.shield(self.ended)
        if self._clearing is None:
            self._clearing = asyncio.ensure_future(self._end_stragglers())
        return await asyncio.shield(self._clearing)

    async def _end_stragglers(self) -> int:
        # What still kills this attempt would take the next one of its name for a part of it.
        if self._forces:
            await asyncio.wait(self._forces)
        return await end_stragglers(self.folder, self.pid)

    async def force(self) -> None:
        """Kills all processes of the attempt, if it has not ended."""
        if self.is_alive:
            ending = asyncio.to_thread(system.end_all, self.pid, self.folder.path)
            force = self._loop.create_task(ending)
            self._forces.add(force)
            force.add_done_callback(self._forces.discard)
            await asyncio.shield(force)

    def close(self) -> None:
        """Stops watching; the process goes on."""
        self._release()
        for task in self._tasks:
            task.cancel()
        self.ended.cancel()

    def _poll_end(self) -> None:
        if self._child:
            # Its arguments cannot be read for a moment after it was started.
            over = system.reap(self.pid, None) or system.birth(self.pid) is None
        else:
            over = not system.is_running(self.pid, self.folder.path)
        if over:
            self._note_end()
        else:
            self._poll = self._loop.call_later(POLL_S, self._poll_end)

    def _note_end(self) -> None:
        if self._pidfd is not None or self._child:
            system.reap(self.pid, self._pidfd)
        self._release()
        if not self.ended.done():
            self.seen_end = iso(utc_now())
            self.ended.set_result(None)

    def _release(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._poll is not None:
            self._poll.cancel()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None


async def end_stragglers(folder: AttemptFolder, pid: int | None = None) -> int:
    """Kills what an attempt that has ended left behind; returns how many processes that were.

    Args:
        folder: Its folder.
        pid: Its wrapper, if this process knows.
    """
    if pid is None:
        with contextlib.suppress(OSError):
            wrapper = folder.read_wrapper()
            if wrapper is not None and wrapper.boot_id == system.boot_id():
                pid = wrapper.pid
    return await asyncio.to_thread(system.end_all, pid or 0, folder.path)


def ended_too(count: int) -> str:
    """The warning of so many processes that `end_stragglers` has ended."""
    processes = "1 process" if count == 1 else f"{count} processes"
    return (
        f"{processes} that it had started went on after its end and had to be killed; "
        "a trial waits for what it starts"
    )
