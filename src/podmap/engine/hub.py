"""All runs of one event loop and one backend: what Airflow's triggers share."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from podmap.backends.base import Backend
from podmap.engine.session import RunSession, open_session
from podmap.engine.spawning import spawn
from podmap.ledger.ledger import Ledger

IO_THREADS = 8

BackendFactory = Callable[[], Awaitable[Backend]]

_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Hub]] = (
    weakref.WeakKeyDictionary()
)


class Hub:
    """One backend and the sessions of its runs, within one event loop.

    A loop can die under its hub (`dag.test()` makes one for each trial), so a hub never outlives
    its loop. A session is opened once, however many trials ask for it at the same time, and is
    closed when the last of them has let go of it.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._io: Executor = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io")
        self._sessions: dict[tuple[str, str], asyncio.Task[RunSession]] = {}
        self._users: dict[tuple[str, str], int] = {}

    @classmethod
    def current(cls, key: str, make_backend: Callable[[], Backend]) -> Hub:
        """The running loop's hub for a connection; made on first use.

        Args:
            key: What tells backends apart: kind, connection, namespace.
            make_backend: Called once a loop and key.
        """
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        if key not in hubs:
            hubs[key] = cls(make_backend())
        return hubs[key]

    async def enter(self, run_uri: str, version: str) -> RunSession:
        """The session of a run; call `leave` with the same arguments when done with it.

        Args:
            run_uri: The run.
            version: Changes whenever the manifest does, for example when `plan` ran again.

        Raises:
            StoreError: The ledger could not be read.
            BackendError: The backend could not be asked.
        """
        key = (run_uri, version)
        self._users[key] = self._users.get(key, 0) + 1
        try:
            if key not in self._sessions:
                self._sessions[key] = spawn(self._open(run_uri))
            return await asyncio.shield(self._sessions[key])
        except BaseException:
            self.leave(run_uri, version)
            raise

    async def _open(self, run_uri: str) -> RunSession:
        def read() -> Ledger:
            return Ledger.open(run_uri)

        loop = asyncio.get_running_loop()
        ledger = await loop.run_in_executor(self._io, read)
        manifest = await loop.run_in_executor(self._io, ledger.read_manifest)
        return await open_session(ledger, manifest, self._backend, self._io)

    def leave(self, run_uri: str, version: str) -> None:
        """Lets go of a run's session."""
        key = (run_uri, version)
        self._users[key] -= 1
        failed = key in self._sessions and _failed(self._sessions[key])
        if self._users[key] == 0 or failed:
            session = self._sessions.pop(key, None)
            if session is not None and session.done() and not failed:
                session.result().coordinator.close()
        if self._users[key] == 0:
            del self._users[key]


def _failed(task: asyncio.Task[RunSession]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
