"""One lock for all processes that start or remove attempts below one state folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator

from podmap.errors import BackendError

_PAUSE_S = 0.005
_PATIENCE_S = 30.0


class StateLock:
    """A lock file, held for a few milliseconds at a time; the system frees it at a kill -9.

    Args:
        state_dir: The state folder, made with the first use.
    """

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._descriptor: int | None = None

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lock. The body must not await: tasks of one process share it.

        Raises:
            BackendError: The lock cannot be made, or another process does not give it back.
        """
        descriptor = self._open()
        patience_ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > patience_ends:
                    raise BackendError(
                        f"another process holds {self._state_dir}/.lock and does not give it back"
                    ) from error
            await asyncio.sleep(_PAUSE_S)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the lock file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            try:
                os.makedirs(self._state_dir, 0o700, exist_ok=True)
                self._descriptor = os.open(
                    f"{self._state_dir}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
                )
            except OSError as error:
                raise BackendError(
                    f"cannot write the state of local processes in {self._state_dir}: {error}; "
                    "set PODMAP_STATE_DIR to another folder of this host"
                ) from error
        return self._descriptor
