"""Where requests wait for what may block: few threads, a bounded queue, and an end to patience."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future

from podmap.errors import PodmapError
from podmap.server.answer import Answer, RequestError, error_answer, json_answer

log = logging.getLogger(__name__)

THREADS = 8
MOST_WAITING = 64
PATIENCE_S = 20.0
_BUSY = "the server is busy with other requests; it is asked again in a moment"


class Desk:
    """Answers requests in threads, so that a store that hangs never stops the event loop.

    Belongs to one event loop at a time. The threads end with the process, whatever they wait for.
    """

    def __init__(
        self,
        *,
        threads: int = THREADS,
        most_waiting: int = MOST_WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """No thread is started yet.

        Args:
            threads: How many requests are worked on at once.
            most_waiting: How many may wait beside them; more are refused.
            patience_s: After how long a request is told that the store has not answered. What was
                begun goes on, and whoever asks the same again waits for it.
        """
        self._threads = _DaemonThreads(threads)
        self._most = threads + most_waiting
        self._patience_s = patience_s
        self._in_work: set[asyncio.Future[Answer]] = set()
        self._shared: dict[Hashable, asyncio.Future[Answer]] = {}

    async def answer(self, work: Callable[[], Answer], *, shared: Hashable = None) -> Answer:
        """What the work answers, or its error as an answer.

        Args:
            work: Called in a thread.
            shared: What names the work: as long as it goes on, whoever asks for it by the same
                name gets the same answer. None for work that is nobody else's.
        """
        future = self._shared.get(shared) if shared is not None else None
        if future is None:
            if len(self._in_work) >= self._most:
                return error_answer(RequestError(503, _BUSY))
            future = self._begin(work, shared)
        await asyncio.wait([future], timeout=self._patience_s)
        if not future.done():
            sentence = (
                f"the store has not answered for {self._patience_s:g} s; it is still being asked"
            )
            return json_answer({"error": sentence}, status=503)
        return future.result()

    def _begin(self, work: Callable[[], Answer], shared: Hashable) -> asyncio.Future[Answer]:
        future = asyncio.wrap_future(self._threads.submit(lambda: _answered(work)))
        self._in_work.add(future)
        if shared is not None:
            self._shared[shared] = future

        def ended(_: asyncio.Future[Answer]) -> None:
            self._in_work.discard(future)
            if self._shared.get(shared) is future:
                del self._shared[shared]

        future.add_done_callback(ended)
        return future


def _answered(work: Callable[[], Answer]) -> Answer:
    try:
        return work().packed()
    except PodmapError as error:
        return error_answer(error)
    except Exception as error:  # the border: a request's bug is its own
        log.exception("a request could not be answered")
        return error_answer(error)


class _DaemonThreads:
    """Threads that the interpreter does not wait for: one may hang in a call to a store."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: queue.SimpleQueue[tuple[Future[Answer], Callable[[], Answer]]] = (
            queue.SimpleQueue()
        )
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, work: Callable[[], Answer]) -> Future[Answer]:
        future: Future[Answer] = Future()
        self._queue.put((future, work))
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name="podmap-desk", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def _run(self) -> None:
        while True:
            future, work = self._queue.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:
                    future.set_exception(error)
            self._idle.release()
