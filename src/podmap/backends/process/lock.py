"""One lock for all processes that start or remove attempts below one state folder."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator

from podmap import disk
from podmap.errors import BackendError

_PATIENCE_S = 30.0


class StateLock:
    """A lock file, held for a few milliseconds at a time; the system frees it at a kill -9.

    Args:
        state_dir: The state folder, made with the first use.
    """

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._path = f"{state_dir}/.lock"
        self._descriptor: int | None = None

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Holds the lock. The body must not await: tasks of one process share it.

        Raises:
            BackendError: The lock cannot be made, or another process does not give it back.
        """
        descriptor = self._open()
        for pause_s in disk.tries(_PATIENCE_S):
            if disk.try_lock(descriptor):
                break
            await asyncio.sleep(pause_s)
        else:
            raise BackendError(
                f"{disk.lock_holder(descriptor)} holds {self._path} and does not give it back; "
                "end it, or set PODMAP_STATE_DIR to another folder of this host"
            )
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
                disk.make_folders(self._state_dir)
                check_state_folder(self._state_dir)
                self._descriptor = disk.open_lock(self._path)
            except OSError as error:
                raise BackendError(
                    f"cannot write the state of local processes in {self._state_dir}: {error}; "
                    "set PODMAP_STATE_DIR to another folder of this host"
                ) from error
        return self._descriptor


def check_state_folder(path: str) -> None:
    """Sees to it that nobody else has put anything into a state folder, as far as it is there.

    Raises:
        BackendError: It is another user's, or others may write it.
        OSError: It cannot be looked at.
    """
    trouble = disk.trouble_with(path)
    if trouble:
        raise BackendError(
            f"the state folder cannot be trusted: {trouble}\n"
            "or set PODMAP_STATE_DIR to another folder of this host, or PODMAP_SHARED=1 if "
            "others are to have a say in what runs here"
        )
