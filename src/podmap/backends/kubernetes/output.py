"""What attempts say: streams that survive broken connections, and the ends of logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator

from podmap.backends.kubernetes import logs
from podmap.backends.kubernetes.client.errors import ApiError
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.errors import BackendError

log = logging.getLogger(__name__)

TRIES = 4
FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 10.0
END_SHOWS_S = 5.0
"""How long after a log's end the watch may take to show that the container has ended."""
_NO_LOGS = frozenset({404, 405, 501})
"""The pod is gone, or its node keeps no logs, as virtual nodes may."""


class Output:
    """Reads the logs of the pods of one namespace."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._cursors: dict[str, logs.Cursor] = {}

    async def follow(self, name: str, *, offset: int) -> AsyncGenerator[bytes, None]:
        """The output from a byte offset, as it comes, until the attempt has ended.

        Raises:
            BackendError: The server cannot be asked; ask again from where it was left.
        """
        cursor = self._cursors.get(name)
        if cursor is None or cursor.offset != offset:
            cursor = logs.Cursor()
        self._cursors[name] = cursor
        skip, failures = offset - cursor.offset, 0
        while (pod := await self._started(name)) is not None:
            try:
                async with contextlib.aclosing(self._connection(pod, cursor)) as chunks:
                    async for chunk in chunks:
                        skipped, failures = min(skip, len(chunk)), 0
                        skip -= skipped
                        if skipped < len(chunk):
                            yield chunk[skipped:]
            except BackendError as error:
                failures += 1
                if await self._gives_up(name, error, failures):
                    break
            else:
                if not pod.alive or await self._has_ended(name):
                    break
                failures += 1
            await asyncio.sleep(_pause_s(failures))
        self.forget(name)

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of the output so far; empty if there is none, or its node is lost.

        Raises:
            BackendError: The server cannot be asked.
        """
        pod = await self._space.find(name)
        if pod is None or not pod.there or pod.seen.started is None:
            return b""
        client, namespace = self._space.client, self._space.name
        for failures in range(1, TRIES + 1):
            try:
                return await logs.tail(client, namespace, name, max_bytes=max_bytes)
            except BackendError as error:
                if await self._gives_up(name, error, failures, live=False):
                    break
            await asyncio.sleep(_pause_s(failures))
        return b""

    def forget(self, name: str) -> None:
        """Forgets where an output was left."""
        self._cursors.pop(name, None)

    def _connection(self, pod: KnownPod, cursor: logs.Cursor) -> AsyncGenerator[bytes, None]:
        space = self._space
        return logs.follow(space.client, space.name, pod.name, cursor, live=pod.alive)

    async def _started(self, name: str) -> KnownPod | None:
        """The pod once there is a log; None if there will be none."""
        pod = await self._space.find(name)
        if pod is not None:
            pod = await self._space.until(name, _has_log)
        if pod is None or not pod.there or pod.seen.started is None:
            return None
        return pod

    async def _has_ended(self, name: str) -> bool:
        """Whether the end of a log was the end of its container, not of a connection alone."""
        pod = await self._space.until(name, lambda now: not now.alive, limit_s=END_SHOWS_S)
        return pod is None or not pod.alive

    async def _gives_up(
        self, name: str, error: BackendError, failures: int, *, live: bool = True
    ) -> bool:
        """Whether a log that cannot be read is at its end; else it is to be read again.

        Raises:
            BackendError: The error, if it says nothing of the log.
        """
        if not isinstance(error, ApiError):
            if failures >= TRIES:
                raise error
            return False
        if error.status in _NO_LOGS:
            return True
        # 400: the container waits to be started, or never was
        if not logs.is_transient(error) and error.status != 400:
            raise error
        pod = await self._space.find(name)
        if pod is None or not pod.there:
            return True
        if failures < TRIES or (live and pod.alive):
            return False
        log.warning("the log of %s cannot be had: %s", name, error)
        return True


def _has_log(pod: KnownPod) -> bool:
    return not pod.alive or pod.seen.started is not None


def _pause_s(failures: int) -> float:
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S)
    return pause_s * random.uniform(0.5, 1.0)
