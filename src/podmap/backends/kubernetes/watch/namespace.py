"""One namespace as this process sees it: what is known of its pods, and who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from podmap.aio import KeptRunning
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.backends.kubernetes.watch.watch import PodWatch
from podmap.errors import BackendError

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client

Listener = Callable[[KnownPod], None]


class Namespace:
    """The pods of one namespace, kept up to date by one watch; made once for all runs.

    Attributes:
        had_pods: Whether there was ever one of podmap's in it, so that it was there itself.
    """

    def __init__(
        self,
        client: Client,
        name: str | None,
        pauses: Pauses = USUAL,
        *,
        run_id: str | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            client: The connection.
            name: The namespace; None for the connection's.
            pauses: How often it is asked again.
            run_id: The only run whose pods are watched; None for those of all runs.
        """
        self._pauses = pauses
        self.client = client
        self._name = name
        self._run_id = run_id
        self._watch: PodWatch | None = None
        self._opening = asyncio.Lock()
        self._ticking: KeptRunning | None = None
        self._listeners: dict[object, Listener] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._trouble_since: float | None = None
        self.had_pods = False

    @property
    def name(self) -> str:
        """The namespace; known once it was opened."""
        return self._name or ""

    @property
    def watch(self) -> PodWatch | None:
        """The watch, once it was begun."""
        return self._watch

    @property
    def fresh(self) -> bool:
        """Whether what is known is up to date within seconds: else no slot may be given."""
        return self._watch is not None and self._watch.fresh

    async def synced_watch(self) -> PodWatch:
        """The watch, once it has seen all pods and can be relied upon.

        Raises:
            BackendError: The server cannot be asked.
            UsageError: The connection makes no sense.
        """
        watch = self._watch or await self._open()
        await watch.wait_synced(self._pauses.list_limit_s)
        return watch

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Has a function called for every change of a pod; what ends that again."""
        key = object()
        self._listeners[key] = listener

        def end() -> None:
            self._listeners.pop(key, None)

        return end

    async def find_pod(self, name: str) -> KnownPod | None:
        """The pod of this name; None once it is certain that there is none.

        Raises:
            BackendError: The server cannot be asked.
        """
        watch = await self.synced_watch()
        return watch.pods.get(name) or await self.fetch_pod(name)

    async def fetch_pod(self, name: str) -> KnownPod | None:
        """The pod of this name, asked anew; None if there is none.

        Raises:
            BackendError: The server cannot be asked.
        """
        watch = await self.synced_watch()
        try:
            raw = await self.client.get(pods_path(self.name, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        watch.note_pod(raw)
        return watch.pods.get(name)

    async def wait_until(
        self, name: str, test: Callable[[KnownPod], bool], *, limit_s: float | None = None
    ) -> KnownPod | None:
        """The pod of this name once it passes a test, or as it is when the time is over.

        Args:
            name: The pod's name.
            test: What to wait for.
            limit_s: How long; None for ever.

        Returns:
            None if there is no such pod.

        Raises:
            BackendError: The server could not be asked for a long time.
        """
        watch = await self.synced_watch()
        loop = asyncio.get_running_loop()
        deadline = None if limit_s is None else loop.time() + limit_s
        while True:
            pod = watch.pods.get(name)
            if pod is None or test(pod):
                return pod
            left_s = None if deadline is None else deadline - loop.time()
            if left_s is not None and left_s <= 0:
                return pod
            await self._wait_for_change(name, left_s)

    async def close(self) -> None:
        """Stops watching; whoever waits gets a BackendError."""
        if self._ticking is not None:
            await self._ticking.close()
        if self._watch is not None:
            await self._watch.close()
        self._fail_waiters(BackendError("the connection to Kubernetes is closed"))

    async def _open(self) -> PodWatch:
        async with self._opening:
            if self._watch is None:
                if self._name is None:
                    self._name = (await self.client.connection()).namespace
                self._watch = PodWatch(
                    self.client,
                    self._name,
                    self._on_change,
                    on_failure=self._fail_waiters,
                    run_id=self._run_id,
                    pauses=self._pauses,
                )
                self._watch.start()
                self._ticking = KeptRunning("looking after pods", self._recheck_forever)
            return self._watch

    async def _wait_for_change(self, name: str, limit_s: float | None) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._waiting.setdefault(name, set())
        waiters.add(waiter)
        try:
            if limit_s is None:
                await waiter
            else:
                await asyncio.wait([waiter], timeout=limit_s)
                if waiter.done():
                    waiter.result()
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiting.get(name) is waiters:
                del self._waiting[name]

    def _on_change(self, pod: KnownPod) -> None:
        self.had_pods = True
        for waiter in self._waiting.get(pod.name, ()):
            if not waiter.done():
                waiter.set_result(None)
        for listener in tuple(self._listeners.values()):
            listener(pod)

    async def _recheck_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._pauses.recheck_every_s)
            watch = self._watch
            if watch is None:
                continue
            for pod in watch.pods.recheck():
                self._on_change(pod)
            self._note_trouble(watch.trouble, loop.time())

    def _note_trouble(self, trouble: BackendError | None, now: float) -> None:
        if trouble is None:
            self._trouble_since = None
        elif self._trouble_since is None:
            self._trouble_since = now
        elif now - self._trouble_since >= self._pauses.outage_patience_s:
            self._trouble_since = now
            self._fail_waiters(trouble)

    def _fail_waiters(self, error: BaseException) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(error)
                    waiter.exception()  # one that is being cancelled does not look at it
