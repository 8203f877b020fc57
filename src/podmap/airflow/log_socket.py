"""The socket that takes a triggerer's log lines to its supervisor, and a thread that feeds it.

The triggerer's event loop writes its log into a socket that blocks, and its supervisor writes
answers into another that blocks (Airflow 3.3). Neither reads while it writes, so when both are
full both hang for ever, with every DAG's triggers. Here a thread takes what the loop writes at
once, and hands it on as fast as the supervisor reads: the loop never waits for its log.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import fcntl
import json
import logging
import os
import select
import socket
import stat
import struct
import sys
import termios
import threading
import time
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

TICK_S = 0.01
"""How often it is looked whether the supervisor has read what it was given."""
BATCH_BYTES = 32 * 1024
"""No more than this lies in the socket: the supervisor reads 4 KiB at a time."""
MOST_BYTES = 32 * 1024 * 1024
"""When more waits, new lines are left out, and counted, until half of it has been read."""
FLUSH_S = 2.0
"""How long the end of the process waits for the last lines to be handed on."""
_PIPE_BYTES = 1024 * 1024

_of_process: LogSocket | None = None


@dataclass(slots=True)
class _Waiter:
    position: int
    loop: asyncio.AbstractEventLoop
    taken: asyncio.Future[None]


def process_log_socket() -> LogSocket | None:
    """The socket of this process's log, taken over at the first call.

    None where the log is no socket to a supervisor (in tests, and on systems that do not say what
    the other side has read).
    """
    global _of_process
    if _of_process is None or _of_process.closed:
        fd = _log_fd()
        if fd is None:
            return None
        try:
            _of_process = LogSocket(fd)
        except OSError as error:  # no more open files, for example
            log.warning("Airflow's log goes on as it is: %s", error)
            return None
        atexit.register(_of_process.close)
    return _of_process


def _log_fd() -> int | None:
    """The file descriptor that Airflow's structlog writes to, if it is a socket."""
    import structlog

    if sys.platform != "linux":
        return None
    output: Any = getattr(structlog.get_config().get("logger_factory"), "io", None)
    try:
        fd: int = output.fileno()
        return fd if stat.S_ISSOCK(os.fstat(fd).st_mode) else None
    except (AttributeError, OSError, ValueError):  # it is None, or no file
        return None


class LogSocket:
    """One log socket of this process; its file descriptor leads to a pipe from now on."""

    def __init__(self, fd: int) -> None:
        """Takes a socket over.

        Args:
            fd: What the log is written to; it stays open, and writing to it goes on as before.
        """
        self._fd = fd
        self._socket = socket.socket(fileno=os.dup(fd))
        self._pipe, end = os.pipe()
        with contextlib.suppress(OSError):  # the user has many large pipes; then it stays small
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.dup2(end, fd)
        os.close(end)
        self._lock = threading.Lock()
        self._waiters: list[_Waiter] = []
        self._waiting = bytearray()
        self._read = self._sent = self._taken = 0
        self._left_out: int | None = None
        self._broken = False
        self.closed = False
        self._thread = threading.Thread(target=self._run, name="podmap-log", daemon=True)
        self._thread.start()

    def position(self) -> int:
        """How many bytes were written up to now, by whomever."""
        with self._lock:
            return self._read + self._in_pipe()

    def untaken(self) -> int:
        """How many bytes the supervisor has not read yet."""
        return 0 if self._broken or self.closed else self.position() - self._taken

    async def wait_taken(self, position: int) -> None:
        """Returns once the supervisor has read all up to a position, or reads no more."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter(position, loop, loop.create_future())
        with self._lock:
            if self._broken or self.closed or self._taken >= position:
                return
            self._waiters.append(waiter)
        await waiter.taken

    def close(self) -> None:
        """Gives the socket back, once the supervisor was given what was written before."""
        if self.closed or self._thread is threading.current_thread():
            return
        os.dup2(self._socket.fileno(), self._fd)  # closes the pipe: its reader sees the end
        self._thread.join(FLUSH_S)
        self.closed = True

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        ended = False
        while not (ended and (self._broken or self._sent == self._read)):
            idle = self._broken or self._taken == self._read
            if ended:
                time.sleep(TICK_S)
            elif poll.poll(None if idle else TICK_S * 1000):
                ended = not self._read_pipe()
            self._hand_on()
            self._tell()
        self.closed = True
        os.close(self._pipe)
        self._socket.close()
        self._tell()

    def _read_pipe(self) -> bool:
        """Reads what was written; whether there may be more to come."""
        with self._lock:  # so that nothing is in neither count
            data = os.read(self._pipe, _PIPE_BYTES)
            kept = self._keep(data)
            self._read += len(kept)
            if len(kept) < len(data):  # nobody waits for what is left out
                for waiter in self._waiters:
                    waiter.position = min(waiter.position, self._read)
        self._waiting += kept
        return bool(data)

    def _keep(self, data: bytes) -> bytes:
        """The whole lines of it that there is room for."""
        line_end = data.find(b"\n") + 1
        if self._left_out is None:
            if len(self._waiting) < MOST_BYTES or not line_end:
                return data
            self._left_out = len(data) - line_end
            return data[:line_end]
        if len(self._waiting) > MOST_BYTES // 2 or not line_end:
            self._left_out += len(data)
            return b""
        event = f"podmap: {self._left_out + line_end:,} bytes of log lines are left out here"
        self._left_out = None
        return json.dumps({"event": event, "level": "warning"}).encode() + b"\n" + data[line_end:]

    def _hand_on(self) -> None:
        """Gives the supervisor the next bytes, if it has read those before."""
        try:
            if self._in_socket():
                return
            self._taken = self._sent
            if self._waiting:
                sent = self._socket.send(self._waiting[:BATCH_BYTES], socket.MSG_DONTWAIT)
                del self._waiting[:sent]
                self._sent += sent
        except BlockingIOError:
            return
        except OSError:  # the supervisor is gone; the triggerer ends by itself
            self._broken = True
            self._waiting.clear()

    def _tell(self) -> None:
        """Wakes those who wait for what has been read by now."""
        over = self._broken or self.closed
        with self._lock:
            done = [each for each in self._waiters if over or each.position <= self._taken]
            self._waiters = [] if over else [w for w in self._waiters if w.position > self._taken]
        for each in done:
            if not each.loop.is_closed():
                each.loop.call_soon_threadsafe(_set_done, each.taken)

    def _in_pipe(self) -> int:
        return 0 if self.closed else _count(self._pipe, termios.FIONREAD)

    def _in_socket(self) -> int:
        """What the supervisor has not read of what was handed on; the kernel's overhead counts."""
        return _count(self._socket.fileno(), termios.TIOCOUTQ)


def _count(fd: int, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(fd, request, b"\0" * 4))[0])


def _set_done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
