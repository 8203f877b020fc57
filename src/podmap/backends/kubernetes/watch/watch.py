"""One list and watch of a namespace's pods, shared by all trials of all runs."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from podmap.aio import Backoff, Breather, KeptRunning, set_within
from podmap.backends.kubernetes.client import SELECTOR, ApiError, pods_path
from podmap.backends.kubernetes.client.answers import MAX_BYTES, parse_json, version_number
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.backends.kubernetes.watch.pods import KnownPod, KnownPods
from podmap.errors import BackendError
from podmap.names import RUN_LABEL

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client

log = logging.getLogger(__name__)

WATCH_S = (240, 300)
"""A watch is asked to end by itself after a time between these, so that reconnects spread."""
SILENCE_S = 90.0
"""Bookmarks come about once a minute; a connection that is silent for longer counts as dead."""
RECONCILE_S = 600.0
FRESH_S = 75.0
BEHIND_S = 5.0
"""How long the watch may take to show a change that this process has made."""
_LIST_TRIES = 3
_LASTED_S = 5.0
_LONGEST_CLEAN_PAUSE_S = 2.0


class _ExpiredError(Exception):
    """The server no longer has the events since the version asked for."""


class PodWatch:
    """Keeps `pods` up to date until it is closed, whatever the server and the network do.

    Attributes:
        pods: What is known.
        trouble: Why the server could not be asked last; None while it can.
        failure: What in podmap itself has ended the watching, which is begun anew; None while it
            goes on.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        on_change: Callable[[KnownPod], None],
        *,
        on_failure: Callable[[BackendError], object] = lambda error: None,
        run_id: str | None = None,
        pauses: Pauses = USUAL,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Asks nothing yet.

        Args:
            client: The connection.
            namespace: Whose pods.
            on_change: Called for each change, in the order in which they were seen.
            on_failure: Called when the watching has ended, which is begun anew.
            run_id: The only run whose pods are watched; None for those of all runs.
            pauses: How often it is asked again.
            clock: Seconds from any start.
            sleep: Returns after some seconds.
        """
        self.pods = KnownPods()
        self.trouble: BackendError | None = None
        self.failure: BackendError | None = None
        self._client = client
        self._path = pods_path(namespace)
        self._selector = SELECTOR if run_id is None else f"{SELECTOR},{RUN_LABEL}={run_id}"
        self._namespace = namespace
        self._on_change = on_change
        self._on_failure = on_failure
        self._pauses = pauses
        self._clock = clock
        self._sleep = sleep
        self._task: KeptRunning | None = None
        self._listing = asyncio.Lock()
        self._progress = asyncio.Event()
        self._version = ""
        self._reached = 0
        self._following = False
        self._heard_at = -math.inf
        self._listed_at = -math.inf
        self._polls = False
        self._watch_again = Backoff(*pauses.watch_again_s)
        self._watch_again_at = -math.inf
        self._written: deque[tuple[int, float]] = deque()

    @property
    def synced(self) -> bool:
        """Whether all pods have been listed once."""
        return self._listed_at > -math.inf

    @property
    def polls(self) -> bool:
        """Whether watching was refused last, so that pods are listed again and again."""
        return self._polls

    @property
    def age_s(self) -> float:
        """How long ago the server last said anything about the pods."""
        return self._clock() - self._heard_at

    @property
    def behind_s(self) -> float:
        """For how long a change made by this process has not been seen; 0 if none is missing."""
        return self._clock() - self._written[0][1] if self._written else 0.0

    @property
    def fresh(self) -> bool:
        """Whether what is known can be relied upon as being up to date within seconds."""
        if self.trouble is not None or self.behind_s > BEHIND_S:
            return False
        if self.polls:
            return self.age_s <= 2 * self._pauses.poll_every_s
        return self._following and self.age_s <= FRESH_S

    def start(self) -> None:
        """Begins, unless it has begun."""
        if self._task is None:
            what = f"watching the pods of namespace {self._namespace}"
            self._task = KeptRunning(what, self._run, on_error=self._note_failure)

    async def wait_synced(self, limit_s: float) -> None:
        """Returns once all pods have been listed and the server can be asked.

        Raises:
            BackendError: Not within the time limit, not allowed, or there is no such server.
        """
        self.start()
        deadline = self._clock() + limit_s
        while not self.synced or self.trouble is not None:
            if self.failure is not None:
                raise self.failure
            if isinstance(self.trouble, ApiError) and self.trouble.status in (401, 403):
                raise self.trouble
            if self.trouble is not None and not self._client.has_answered:
                raise self.trouble
            left_s = deadline - self._clock()
            if left_s <= 0:
                raise self.trouble or BackendError(
                    f"the pods of namespace {self._namespace} could not be listed "
                    f"within {limit_s:g} s"
                )
            await self._wait_for_progress(left_s)

    async def relist(self) -> None:
        """Applies a consistent list that was begun after this call.

        Raises:
            BackendError: The server could not be asked.
        """
        for _ in range(_LIST_TRIES):
            try:
                return await self._list()
            except _ExpiredError:
                continue
        raise BackendError(
            f"the pods of namespace {self._namespace} change faster than they can be listed"
        )

    def note_answer(self, raw: Mapping[str, Any]) -> KnownPod | None:
        """Applies a pod that a change of this process was answered with; how it is now."""
        version = version_number(raw["metadata"].get("resourceVersion", ""))
        if version is not None and self._follows_versions_below(version):
            self._written.append((version, self._clock()))
        self.note_pod(raw)
        return self.pods.get(raw["metadata"]["name"])

    def note_pod(self, raw: Mapping[str, Any], *, removed: bool = False) -> None:
        """Applies a pod that the server sent."""
        changed = self.pods.apply(raw, removed=removed)
        if changed is not None:
            self._on_change(changed)

    def note_removal(self, name: str, uid: str) -> None:
        """Removes a pod that this process has deleted for good."""
        changed = self.pods.note_removal(name, uid)
        if changed is not None:
            self._on_change(changed)

    async def close(self) -> None:
        """Stops; what is known stays."""
        if self._task is not None:
            await self._task.close()

    def _follows_versions_below(self, version: int) -> bool:
        followed = version_number(self._version)
        return self._following and followed is not None and followed < version

    async def _wait_for_progress(self, limit_s: float) -> None:
        self._progress.clear()
        await set_within(self._progress, limit_s)

    async def _run(self) -> None:
        backoff = Backoff(*self._pauses.watch_pauses_s, jitter=0.5)
        while True:
            begun = self._clock()
            longest_s = _LONGEST_CLEAN_PAUSE_S
            try:
                await self._list_and_watch()
                self._set_trouble(None)
            except _ExpiredError:
                self._version = ""
            except BackendError as error:
                self._set_trouble(error)
                longest_s = math.inf
            lasted = self._clock() - begun >= _LASTED_S
            if lasted:
                backoff.reset()
            watch_in_s = self._watch_again_at - self._clock()
            if self.polls and self.trouble is None and watch_in_s > 0:
                await self._sleep(min(self._pauses.poll_every_s, watch_in_s))
            elif not lasted:
                await self._sleep(min(backoff.next_s(), longest_s))

    async def _list_and_watch(self) -> None:
        """One list if one is due, and one watch to its end if watching is allowed."""
        due = self._clock() - self._listed_at >= RECONCILE_S
        if not self._version or due or self.polls:
            await self._list()
        if self.polls and self._clock() < self._watch_again_at:
            return
        try:
            await self._watch_to_the_end()
        except ApiError as error:
            if error.status == 410 or _is_ahead(error.message):
                raise _ExpiredError from error
            if error.status != 403:
                raise
            self._poll_pods(error)

    def _poll_pods(self, refusal: ApiError) -> None:
        """Has pods listed, and watching tried again: soon, as what refuses it may pass."""
        self._watch_again_at = self._clock() + self._watch_again.next_s()
        if not self._polls:
            log.warning(
                "%s; until it is allowed, pods are listed every %g s, which costs the API server "
                "more and shows ends later",
                refusal,
                self._pauses.poll_every_s,
            )
        self._polls = True

    async def _list(self) -> None:
        async with self._listing:
            begun, reached = self._clock(), self._reached
            present: set[str] = set()
            version = ""
            breather = Breather()
            try:
                async for page in self._client.pages(self._path, selector=self._selector):
                    version = version or self._listed(_version_of(page), reached)
                    for raw in page.get("items") or ():
                        present.add(_uid_of(raw))
                        self.note_pod(raw)
                        await breather.breathe()
            except ApiError as error:
                if error.status == 410:
                    raise _ExpiredError from error
                raise
            for pod in self.pods.drop_missing(present, version):
                self._on_change(pod)
            self._advance(version)
            self._heard_at = max(self._heard_at, begun)
            self._listed_at = begun
            self._set_trouble(None)

    def _listed(self, version: str, reached: int) -> str:
        """The version of a list, which is older than what was reached only if all went back."""
        number = version_number(version)
        if number is not None and number < reached:
            log.warning(
                "the pods of namespace %s are at version %s, and were at %d before: the cluster's "
                "store was restored from a backup, so all is looked at anew",
                self._namespace,
                version,
                reached,
            )
            self.pods.forget_versions()
            self._written.clear()
            self._version, self._reached = "", 0
        return version

    async def _watch_to_the_end(self) -> None:
        params = {
            "watch": "1",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*WATCH_S)),
            "labelSelector": self._selector,
        }
        try:
            async with self._client.stream(
                "watch", self._path, params, silence_s=SILENCE_S
            ) as chunks:
                self._following, self._polls = True, False
                self._watch_again.reset()
                self._set_trouble(None)
                breather = Breather()
                async for line in _lines(chunks):
                    self._apply_event(line)
                    await breather.breathe()
        finally:
            self._following = False

    def _apply_event(self, line: bytes) -> None:
        try:
            event = parse_json(line)
            kind, raw = event["type"], event["object"]
            failed = (raw.get("code"), raw.get("message")) if kind == "ERROR" else None
            version = "" if failed else _version_of(raw)
        except (AttributeError, ValueError, LookupError, TypeError) as error:
            raise BackendError(f"the watch of {self._path} sent no event: {line[:80]!r}") from error
        if failed is not None:
            if failed[0] == 410 or _is_ahead(str(failed[1])):
                raise _ExpiredError
            raise BackendError(f"the watch of {self._path} failed: {failed[1]}")
        self._heard_at = self._clock()
        if kind != "BOOKMARK":
            self.note_pod(raw, removed=kind == "DELETED")
        self._advance(version)

    def _advance(self, version: str) -> None:
        """Goes on from a version, which may be older than the one already reached."""
        number, before = version_number(version), version_number(self._version)
        if number is None or before is None or number > before:
            self._version = version
            self._reached = max(self._reached, number or 0)
        while self._written and number is not None and self._written[0][0] <= number:
            self._written.popleft()

    def _note_failure(self, error: BaseException) -> None:
        """Has all be listed anew, and tells whoever waits that nothing can be said for now."""
        self._version = ""
        self.failure = BackendError(
            f"the watch of the pods of namespace {self._namespace} has failed, and is begun anew: "
            f"{error!r}"
        )
        self.trouble = self.failure
        self._progress.set()
        self._on_failure(self.failure)

    def _set_trouble(self, trouble: BackendError | None) -> None:
        if trouble is not None and self.trouble is None:
            log.warning("%s; trying again", trouble)
        elif trouble is None and self.trouble is not None:
            log.warning("the pods of namespace %s can be watched again", self._namespace)
        self.trouble, self.failure = trouble, None
        self._progress.set()


def _is_ahead(message: str) -> bool:
    """Whether the server has not come as far as the version that a watch began at."""
    return "too large resource version" in message.lower()


def _version_of(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["resourceVersion"])


def _uid_of(raw: Mapping[str, Any]) -> str:
    return str(raw["metadata"].get("uid", ""))


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        if len(rest) > MAX_BYTES:
            raise BackendError(f"a watch sent an event of more than {MAX_BYTES >> 20} MiB")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
