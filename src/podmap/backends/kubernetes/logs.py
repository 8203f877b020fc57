"""Logs of pods by byte offset, through lost connections; the API knows lines and seconds only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podmap.aio import Backoff
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.pauses import Pauses
from podmap.backends.kubernetes.pod.build import CONTAINER
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.errors import BackendError, OutputError

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client

log = logging.getLogger(__name__)

FOLLOW_SILENCE_S = 600.0
"""A trial may say nothing for hours; after so long the connection is made anew, to be sure."""
TAIL_SILENCE_S = 20.0
TRIES = 4
READ_AT_ONCE = 8
"""So many logs of ended pods are read at once: hundreds may end together, and the API server has
kubelets answer for them."""
END_SHOWS_S = 5.0
"""How long after a log's end the watch may take to show that the container has ended."""
_NO_LOGS = frozenset({405, 501})
"""The pod's node keeps no logs, as virtual nodes may."""
_TRANSIENT = frozenset({404, 429, 500, 502, 503, 504})
"""With 404 the pod is gone, or its kubelet has just started and does not know it yet."""
_LINE_BYTES = 64
_LONGEST_HELD = 64 * 1024
_MAX_TAIL_LINES = 1 << 20


@dataclass(slots=True)
class LogCursor:
    """Where reading a log goes on, exactly, though the API can go back to whole seconds only.

    Attributes:
        offset: Bytes of output given so far.
        since: The second of the newest line, as the API writes it; empty at the beginning.
        lines: How many whole lines of that second or later were given.
        part: How many bytes of the line after those were given.
    """

    offset: int = 0
    since: str = ""
    lines: int = 0
    part: int = 0


class LogReader:
    """Turns a log's bytes with timestamps into its output from where a cursor is."""

    def __init__(self, cursor: LogCursor) -> None:
        """Begins a connection that was asked for everything since `cursor.since`."""
        self._cursor = cursor
        self._skip = cursor.lines
        self._skip_part = cursor.part
        self._rest = b""
        self._in_line = False
        self._counts = True

    def feed(self, chunk: bytes) -> bytes:
        """The output in a chunk of the connection, without what was given before."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        out = [self._line(line, whole=True) for line in lines]
        if len(self._rest) > _LONGEST_HELD:
            out.append(self._line(self._rest, whole=False))
            self._rest = b""
        return self._count(b"".join(out))

    def finish(self) -> bytes:
        """The output in a last line that has no end."""
        rest, self._rest = self._rest, b""
        return self._count(self._line(rest, whole=False)) if rest else b""

    def _count(self, output: bytes) -> bytes:
        self._cursor.offset += len(output)
        return output

    def _line(self, raw: bytes, *, whole: bool) -> bytes:
        text = raw
        if not self._in_line:
            stamp, space, text = raw.partition(b" ")
            if not space and not whole:
                return b""  # cut within the timestamp
            if self._skip == 0:
                self._move_cursor(stamp)
        self._in_line = not whole
        if self._skip > 0:
            self._skip -= whole
            return b""
        return self._unread(text, whole=whole)

    def _unread(self, text: bytes, *, whole: bool) -> bytes:
        cursor = self._cursor
        skipped = min(self._skip_part, len(text))
        self._skip_part -= skipped
        if whole:
            self._skip_part = 0
            cursor.lines += self._counts
            cursor.part = 0
            return text[skipped:] + b"\n"
        if self._counts:
            cursor.part += len(text) - skipped
        return text[skipped:]

    def _move_cursor(self, stamp: bytes) -> None:
        """Moves the cursor to the second of a line, unless it is one that came late.

        Standard output and error are written side by side, so that a line of an earlier second may
        come after one of a later. Asked since the later, the API does not give it again.
        """
        moment = stamp.decode("ascii", "replace")
        newest = self._cursor.since[:19]
        self._counts = moment[:19] >= newest
        if moment[:19] > newest:
            self._cursor.since = moment[:19] + _zone(moment)
            self._cursor.lines = 0


def _zone(moment: str) -> str:
    rest = moment[19:]
    return rest[-6:] if len(rest) > 6 and rest[-6] in "+-" else "Z"


async def follow_log(
    client: Client, namespace: str, name: str, cursor: LogCursor, *, live: bool
) -> AsyncGenerator[bytes, None]:
    """The log from where the cursor is, which moves with it, to the connection's end.

    Args:
        client: The connection.
        namespace: The pod's.
        name: The pod's.
        cursor: Where to go on; after an error, too.
        live: Whether to wait for more until the container has ended.

    Raises:
        ApiError: The server answered, but the log cannot be had; 404 if the pod is gone.
        BackendError: The connection was lost.
    """
    params = {"container": CONTAINER, "timestamps": "true"}
    if live:
        params["follow"] = "true"
    if cursor.since:
        params["sinceTime"] = cursor.since
    reader = LogReader(cursor)
    path = pods_path(namespace, name, "log")
    silence_s = FOLLOW_SILENCE_S if live else TAIL_SILENCE_S
    async with client.stream("get", path, params, silence_s=silence_s) as chunks:
        async for chunk in chunks:
            output = reader.feed(chunk)
            if output:
                yield output
    output = reader.finish()
    if output:
        yield output


async def read_tail(client: Client, namespace: str, name: str, *, max_bytes: int) -> bytes:
    """The last bytes of the log so far.

    Raises:
        ApiError: The server answered, but the log cannot be had; 404 if the pod is gone.
        BackendError: The connection was lost.
    """
    lines = max(16, max_bytes // _LINE_BYTES)
    while True:
        kept, count = await _read_last_lines(client, namespace, name, lines, max_bytes)
        if len(kept) >= max_bytes or count < lines or lines > _MAX_TAIL_LINES:
            return kept
        lines *= 16


async def _read_last_lines(
    client: Client, namespace: str, name: str, lines: int, max_bytes: int
) -> tuple[bytes, int]:
    """The end of the last lines, and how many lines there were."""
    params = {"container": CONTAINER, "tailLines": str(lines)}
    kept, count = b"", 0
    async with client.stream(
        "get", pods_path(namespace, name, "log"), params, silence_s=TAIL_SILENCE_S
    ) as chunks:
        async for chunk in chunks:
            count += chunk.count(b"\n")
            kept = (kept + chunk)[-max_bytes:] if max_bytes else b""
    return kept, count


class PodLogs:
    """Reads the logs of the pods of one namespace; a lost connection is made anew."""

    def __init__(self, namespace: Namespace, pauses: Pauses) -> None:
        self._namespace = namespace
        self._pauses_s = pauses.log_pauses_s
        self._cursors: dict[str, LogCursor] = {}
        self._turns = asyncio.Semaphore(READ_AT_ONCE)
        self._forbidden: set[str] = set()

    async def follow(self, name: str, *, offset: int) -> AsyncGenerator[bytes, None]:
        """The output from a byte offset, as it comes, until the attempt has ended.

        Raises:
            OutputError: The log cannot be read, though the server answers.
            BackendError: The server cannot be asked; ask again from where it was left.
        """
        cursor = self._cursors.get(name)
        if cursor is None or cursor.offset != offset:
            cursor = LogCursor()
        self._cursors[name] = cursor
        skip, failures = offset - cursor.offset, 0
        backoff = self._backoff()
        while (pod := await self._wait_for_log(name)) is not None:
            try:
                async with contextlib.aclosing(self._connect(pod, cursor)) as chunks:
                    async for chunk in chunks:
                        skipped, failures = min(skip, len(chunk)), 0
                        skip -= skipped
                        backoff.reset()
                        if skipped < len(chunk):
                            yield chunk[skipped:]
            except BackendError as error:
                failures += 1
                if await self._is_at_end(pod, error, failures):
                    break
            else:
                if not pod.alive or await self._has_ended(name):
                    break
                failures += 1
            await backoff.pause()
        self.forget(name)

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the output so far; empty if there is none.

        Raises:
            OutputError: The log cannot be read, though the server answers.
            BackendError: The server cannot be asked.
        """
        pod = await self._namespace.find_pod(name)
        if pod is None or not pod.there or pod.seen.started is None:
            return b""
        client, namespace = self._namespace.client, self._namespace.name
        backoff = self._backoff()
        for failures in range(1, TRIES + 1):
            try:
                async with self._turns:
                    return await read_tail(client, namespace, name, max_bytes=max_bytes)
            except BackendError as error:
                if await self._is_at_end(pod, error, failures, live=False):
                    break
            await backoff.pause()
        return b""

    def forget(self, name: str) -> None:
        """Forgets where an output was left."""
        self._cursors.pop(name, None)

    async def _connect(self, pod: KnownPod, cursor: LogCursor) -> AsyncGenerator[bytes, None]:
        client, namespace = self._namespace.client, self._namespace.name
        turn = contextlib.nullcontext() if pod.alive else self._turns
        log_bytes = follow_log(client, namespace, pod.name, cursor, live=pod.alive)
        async with turn, contextlib.aclosing(log_bytes) as chunks:
            async for chunk in chunks:
                yield chunk

    def _backoff(self) -> Backoff:
        return Backoff(*self._pauses_s, jitter=0.5)

    async def _wait_for_log(self, name: str) -> KnownPod | None:
        """The pod once there is a log; None if there will be none."""
        pod = await self._namespace.find_pod(name)
        if pod is not None:
            pod = await self._namespace.wait_until(name, _has_log)
        if pod is None or not pod.there or pod.seen.started is None:
            return None
        return pod

    async def _has_ended(self, name: str) -> bool:
        """Whether the end of a log was the end of its container, not of a connection alone."""
        pod = await self._namespace.wait_until(name, lambda now: not now.alive, limit_s=END_SHOWS_S)
        return pod is None or not pod.alive

    async def _is_at_end(
        self, pod: KnownPod, error: BackendError, failures: int, *, live: bool = True
    ) -> bool:
        """Whether a log that cannot be read is at its end; else it is to be read again.

        Raises:
            OutputError: It cannot be read for now, though the server answers.
            BackendError: The server cannot be asked.
        """
        if not isinstance(error, ApiError):
            if failures >= TRIES:
                raise error
            return False
        if error.status in _NO_LOGS:
            return True
        if error.status == 403:
            self._tell_forbidden(pod, error)
            raise OutputError(str(error), forbidden=True) from error
        if error.status == 401:
            raise error
        # 400: the container waits to be started, or never was
        if error.status in _TRANSIENT or error.status == 400:
            now = await self._namespace.find_pod(pod.name)
            if now is None or not now.there:
                return True
            if failures < TRIES or (live and now.alive):
                return False
        raise OutputError(f"the log of {pod.name} cannot be read: {error}") from error

    def _tell_forbidden(self, pod: KnownPod, error: ApiError) -> None:
        """Tells once a run that its logs may not be read."""
        if pod.seen.run_id not in self._forbidden:
            self._forbidden.add(pod.seen.run_id)
            log.warning(
                "%s; what trials of run %s print is not shown, and those end whose result is in "
                "the status of their pod",
                error,
                pod.seen.run_id,
            )


def _has_log(pod: KnownPod) -> bool:
    return not pod.alive or pod.seen.started is not None
