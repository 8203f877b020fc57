"""All runs of one event loop and one backend: what Airflow's triggers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from podmap.aio import spawn
from podmap.backends.base import Backend
from podmap.engine.board import keep_board
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.timing import TIMING, Timing
from podmap.ledger.claim import RunClaim

T = TypeVar("T")

CLOSE_LIMIT_S = 5.0
"""So long the sessions may take to close as their loop shuts down."""

IO_THREADS = 32
"""So many calls to a store are made at once: most of their time is spent waiting."""
FAR_THREADS = 128
"""As many to one over the network: 500 trials that end together wait one after the other else."""

_hubs: dict[asyncio.AbstractEventLoop, dict[str, Hub]] = {}


@dataclass(slots=True)
class _Entry:
    opening: asyncio.Task[RunSession]
    users: int = 0


class Hub:
    """One backend and the sessions of its runs, within one event loop.

    A loop can die under its hub (`dag.test()` makes one for each trial), so a hub never outlives
    its loop: its backend is closed when the loop shuts down. A session is opened once, however
    many trials ask for it at the same time, and is closed when the last of them has let go of it.
    """

    def __init__(self, backend: Backend, *, timing: Timing = TIMING) -> None:
        """Makes a hub for the running loop; `current` is the usual way.

        Args:
            backend: What runs the attempts; closed with the loop.
            timing: How long to wait for what.
        """
        self._backend = backend
        self._timing = timing
        self._threads = ThreadPoolExecutor(IO_THREADS, thread_name_prefix="podmap-io")
        self._urgent = ThreadPoolExecutor(1, thread_name_prefix="podmap-urgent")
        self._far = ThreadPoolExecutor(FAR_THREADS, thread_name_prefix="podmap-far")
        self._store = StoreCalls(self._threads, urgent=self._urgent)
        self._far_store = StoreCalls(self._far, urgent=self._urgent)
        self._entries: dict[RunClaim, _Entry] = {}
        self._open_sessions: dict[RunSession, asyncio.Task[None] | None] = {}
        self._life: AsyncGenerator[None, None] | None = None

    @classmethod
    def find(cls, key: str) -> Hub | None:
        """The running loop's hub for a connection, if it was made."""
        return _hubs.get(asyncio.get_running_loop(), {}).get(key)

    @classmethod
    def current(
        cls, key: str, make_backend: Callable[[], Backend], *, timing: Timing = TIMING
    ) -> Hub:
        """The running loop's hub for a connection; made on first use.

        Args:
            key: What tells backends apart: kind, connection, namespace.
            make_backend: Called once a loop and key.
            timing: How long to wait for what.
        """
        for loop in [loop for loop in _hubs if loop.is_closed()]:
            del _hubs[loop]
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        if key not in hubs:
            hubs[key] = cls(make_backend(), timing=timing)
        return hubs[key]

    @property
    def backend(self) -> Backend:
        """What runs the attempts."""
        return self._backend

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a call that reads or writes a store, off the event loop."""
        await self._begin()
        return await self._store.call(function, *args)

    async def enter(self, claim: RunClaim) -> RunSession:
        """The session of a run; call `leave` with the same claim when done with it.

        Args:
            claim: The run, as the caller knows it: its manifest is compared before anything else.

        Raises:
            StoreError: The ledger could not be read.
            RecordError: The manifest cannot be understood, or is not the claimed.
            OwnerError: The run is not the one that is claimed.
            BackendError: The backend could not be asked.
        """
        await self._begin()
        entry = self._entries.get(claim)
        if entry is None:
            entry = self._entries[claim] = _Entry(spawn(self._open(claim)))
        entry.users += 1
        try:
            session = await asyncio.shield(entry.opening)
            await session.turns.wait()  # all who wait for one opening go on at the same moment
            return session
        except BaseException:
            self._release(claim, entry)
            raise

    def leave(self, claim: RunClaim) -> None:
        """Lets go of a run's session."""
        self._release(claim, self._entries[claim])

    def _release(self, claim: RunClaim, entry: _Entry) -> None:
        entry.users -= 1
        if entry.users == 0:
            if self._entries.get(claim) is entry:
                del self._entries[claim]
            entry.opening.add_done_callback(self._begin_close)

    def _begin_close(self, opening: asyncio.Task[RunSession]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            session = opening.result()
            self._open_sessions[session] = spawn(self._close(session))

    async def _close(self, session: RunSession) -> None:
        await session.close()
        self._open_sessions.pop(session, None)

    async def _closed(self, run_uri: str) -> None:
        """Returns once no session of a run is being closed: the next one gets its lease at once."""
        closing = [
            task
            for session, task in self._open_sessions.items()
            if task is not None and session.planned.ledger.run_uri == run_uri
        ]
        if closing:
            await asyncio.wait(closing)

    async def _begin(self) -> None:
        """Has the hub end with its loop."""
        if self._life is None:
            # A loop that shuts down closes its asynchronous generators, and tells nobody else.
            self._life = self._live()
            await anext(self._life)

    async def _open(self, claim: RunClaim) -> RunSession:
        planned = await self._store.call(PlannedRun.open, claim)
        await self._closed(planned.ledger.run_uri)
        store = self._far_store if "://" in planned.ledger.run_uri else self._store
        session = await open_session(planned, self._backend, store, timing=self._timing)
        self._open_sessions[session] = None
        keep_board(session.events, planned, session.coordinator)
        return session

    async def _close_all(self) -> None:
        """Closes what is open: a loop that shuts down has cancelled whoever would have done so."""
        closing = [spawn(session.close()) for session in self._open_sessions]
        if closing:
            _, late = await asyncio.wait(closing, timeout=CLOSE_LIMIT_S)
            for task in late:
                task.cancel()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            _hubs.pop(asyncio.get_running_loop(), None)
            await self._close_all()
            self._threads.shutdown(wait=False)
            self._far.shutdown(wait=False)
            self._urgent.shutdown(wait=False)
            await self._backend.close()
