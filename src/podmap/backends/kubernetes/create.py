"""Creating pods once, whatever gets lost, and waiting where a quota has no room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from podmap.aio import acquired_within, set_within
from podmap.backends.base import FullError, Launch, LaunchError
from podmap.backends.kubernetes.client.errors import ApiError, pods_path
from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.backends.kubernetes.pod import build
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod, known_pod
from podmap.errors import BackendError, SpecError, UsageError
from podmap.records import Category, Diagnosis

log = logging.getLogger(__name__)

QUOTA_PATIENCE_S = 60.0
"""After so long without room, whoever waits for it is told what it waits for."""
DELETION_PATIENCE_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class QuotaError(BackendError):
    """There is no room in a quota now; `diagnosis` says in which."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        super().__init__(f"{diagnosis.summary}; waiting for room")


class QuotaBrake:
    """Once a quota refuses a pod, only one request at a time asks again, with pauses.

    Five hundred trials that wait for one quota cost one request a pause, in the order they came.
    """

    def __init__(self, *, patience_s: float = QUOTA_PATIENCE_S) -> None:
        """Lets everything through so far.

        Args:
            patience_s: After how long a waiting call raises what it waits for.
        """
        self._patience_s = patience_s
        self._turn = asyncio.Lock()
        self._queued = 0
        self._on = False
        self._room = asyncio.Event()

    @property
    def on(self) -> bool:
        """Whether a quota has refused the last pod."""
        return self._on

    def note_room(self) -> None:
        """Has the next try made at once: a pod has ended or is gone."""
        self._room.set()

    async def through(self, ask: Callable[[], Awaitable[KnownPod]]) -> KnownPod:
        """What `ask` returns, once no quota refuses it.

        Raises:
            QuotaError: No quota had room for too long.
        """
        refused: QuotaError | None = None
        if not self._on:
            try:
                return await ask()
            except QuotaError as error:
                refused, self._on = error, True
                log.warning("%s", error)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_s
        self._queued += 1
        try:
            if not await acquired_within(self._turn, self._patience_s):
                raise refused or self._waiting()
        finally:
            self._queued -= 1
        try:
            return await self._insist(ask, deadline)
        finally:
            self._turn.release()

    async def _insist(self, ask: Callable[[], Awaitable[KnownPod]], deadline: float) -> KnownPod:
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while True:
            self._room.clear()
            try:
                pod = await ask()
            except QuotaError:
                self._on = True
                if loop.time() + pause_s > deadline:
                    raise
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._on = self._queued > 0
                return pod

    async def _pause(self, longest_s: float) -> None:
        if not await set_within(self._room, longest_s * random.uniform(0.7, 1.0)):
            return
        # The quota's usage is counted anew a moment after the pod has ended.
        await asyncio.sleep(min(_FIRST_PAUSE_S, longest_s) * random.uniform(0.2, 0.5))

    def _waiting(self) -> QuotaError:
        return QuotaError(
            Diagnosis(Category.QUOTA, "pods wait for room in a ResourceQuota of the namespace")
        )


class Creator:
    """Creates pods in one namespace."""

    def __init__(self, space: Namespace, brake: QuotaBrake) -> None:
        self._space = space
        self._brake = brake
        self._creating: dict[str, set[str]] = {}

    async def create(self, launch: Launch, *, limit: int | None, gated: bool) -> KnownPod:
        """The pod of an attempt: a new one, or the one of this name that is there.

        Raises:
            BackendError: It could not be created now; it may have been all the same.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
        """
        watch = await self._space.opened()
        body = self._body(launch, gated=gated)
        known = watch.pods.get(launch.name)
        # What is known may be old, so that the server is asked all the same.
        is_there = known is not None and known.there
        if limit is not None and not gated and not is_there:
            self._check_room(launch.run_id, limit)
        with self._noted(launch, gated=gated):
            return await self._brake.through(lambda: self._post(launch.name, body))

    async def dry_run(self, launch: Launch, *, gated: bool) -> Mapping[str, Any] | None:
        """The pod as the server would create it; None if one of its webhooks cannot tell.

        Raises:
            BackendError: The server could not be asked.
            LaunchError: It would refuse the pod now.
            SpecError: There is no pod to ask for.
        """
        await self._space.opened()
        body = build.pod(launch, gated=gated, namespace=self._space.name)
        try:
            created: Mapping[str, Any] = await self._space.client.create(
                pods_path(self._space.name), body, dry_run=True
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return body
            if "does not support dry run" in error.message:
                log.warning("the pod cannot be checked beforehand: %s", error.message)
                return None
            raise _refusal(error) from error
        return created

    @contextlib.contextmanager
    def _noted(self, launch: Launch, *, gated: bool) -> Iterator[None]:
        """Counts a pod among those of its run while it is being created, unless it is gated."""
        creating = self._creating.setdefault(launch.run_id, set())
        if not gated:
            creating.add(launch.name)
        try:
            yield
        finally:
            creating.discard(launch.name)
            if not creating and self._creating.get(launch.run_id) is creating:
                del self._creating[launch.run_id]

    def _body(self, launch: Launch, *, gated: bool) -> Mapping[str, Any]:
        wanted = launch.placement.namespace if launch.placement else None
        if wanted is not None and wanted != self._space.name:
            raise UsageError(
                f"attempt {launch.name} is for namespace {wanted}, but this backend creates pods "
                f"in {self._space.name}"
            )
        try:
            return build.pod(launch, gated=gated, namespace=self._space.name)
        except SpecError as error:
            raise LaunchError(Diagnosis(Category.CREATE_ERROR, str(error))) from error

    def _check_room(self, run_id: str, limit: int) -> None:
        """Counts what runs, or may, with what this process is creating just now."""
        watch = self._space.watch
        busy = watch.pods.busy(run_id) if watch else frozenset()
        creating = self._creating.get(run_id, set())
        if len(busy) + len(creating) >= limit and len(busy | creating) >= limit:
            raise FullError(sorted(busy | creating))

    async def _post(self, name: str, body: Mapping[str, Any]) -> KnownPod:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DELETION_PATIENCE_S
        watch = await self._space.opened()
        pause_s = 0.1
        while True:
            try:
                raw = await self._space.client.create(pods_path(self._space.name), body)
            except ApiError as error:
                if error.status != 409:
                    raise _refusal(error) from error
                # AlreadyExists; or Conflict, where a quota was being counted at that moment.
                there = error.reason != "Conflict" and await self._existing(name)
                if there:
                    return there
                if loop.time() > deadline:
                    raise BackendError(
                        f"a deleted pod {name} is still in namespace {self._space.name}"
                    ) from error
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 1.0)
            else:
                return watch.answered(raw) or known_pod(raw)

    async def _existing(self, name: str) -> KnownPod | None:
        """The pod that has the name already; None if it is about to go."""
        try:
            raw = await self._space.client.get(pods_path(self._space.name, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        if raw["metadata"].get("deletionTimestamp") is not None:
            return None
        watch = await self._space.opened()
        watch.take(raw)
        return known_pod(raw)


def _refusal(error: ApiError) -> Exception:
    """What an answer of the server to a pod means for its attempt."""
    diagnosis = diagnose_create_error(error.status, error.body)
    if diagnosis is None:
        return error
    if diagnosis.category is Category.QUOTA:
        return QuotaError(diagnosis)
    return LaunchError(diagnosis)
