"""Creates pods once, whatever gets lost, and waits where a quota has no room."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from podmap.aio import Backoff, acquired_within, set_within
from podmap.backends.base import FullError, LaunchError
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.diagnosis.refused import (
    diagnose_create_error,
    is_namespace_gone,
    refuses_account,
)
from podmap.backends.kubernetes.pauses import Pauses
from podmap.backends.kubernetes.pod.build import build_pod
from podmap.backends.kubernetes.pod.fields import UNREADABLE
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod, known_pod
from podmap.backends.launch import Launch
from podmap.backends.values import refuse_launch
from podmap.errors import BackendError, SpecError, UsageError
from podmap.records import Category, Diagnosis

log = logging.getLogger(__name__)

DELETION_PATIENCE_S = 60.0
"""How long a deleted pod may take to go before another one of its name can be created."""
_TAKEN_PAUSES_S = (0.1, 1.0)


class QuotaError(BackendError):
    """There is no room in a quota now; `diagnosis` says in which."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        super().__init__(f"{diagnosis.summary}; waiting for room")


class QuotaQueue:
    """Once a quota refuses a pod, only one request at a time asks again, with pauses.

    Five hundred trials that wait for one quota cost one request a pause, in the order they came.

    Attributes:
        is_short: Whether a quota has refused the last pod.
    """

    def __init__(self, pauses: Pauses) -> None:
        """Lets everything through so far."""
        self.is_short = False
        self._pauses = pauses
        self._turn = asyncio.Lock()
        self._queued = 0
        self._room = asyncio.Event()

    def note_room(self) -> None:
        """Has the next try made at once: a pod has ended or is gone."""
        self._room.set()

    async def send(self, request: Callable[[], Awaitable[KnownPod]]) -> KnownPod:
        """What a request returns, once no quota refuses it.

        Raises:
            QuotaError: No quota had room for too long.
        """
        refused: QuotaError | None = None
        if not self.is_short:
            try:
                return await request()
            except QuotaError as error:
                refused, self.is_short = error, True
                log.warning("%s", error)
        patience_s = self._pauses.quota_patience_s
        deadline = asyncio.get_running_loop().time() + patience_s
        self._queued += 1
        try:
            if not await acquired_within(self._turn, patience_s):
                raise refused or QuotaError(_NO_ROOM)
        finally:
            self._queued -= 1
        try:
            return await self._send_again(request, deadline)
        finally:
            self._turn.release()

    async def _send_again(
        self, request: Callable[[], Awaitable[KnownPod]], deadline: float
    ) -> KnownPod:
        loop = asyncio.get_running_loop()
        backoff = Backoff(*self._pauses.quota_pauses_s, jitter=0.3)
        while True:
            self._room.clear()
            try:
                pod = await request()
            except QuotaError:
                self.is_short = True
                pause_s = backoff.next_s()
                if loop.time() + pause_s > deadline:
                    raise
                if await set_within(self._room, pause_s):
                    # The quota's usage is counted anew a moment after the pod has ended.
                    await asyncio.sleep(self._pauses.quota_pauses_s[0] * random.uniform(0.2, 0.5))
            else:
                self.is_short = self._queued > 0
                return pod


class PodCreator:
    """Creates the pods of attempts in one namespace.

    Attributes:
        quota: Those that wait for room in a quota.
    """

    def __init__(self, namespace: Namespace, pauses: Pauses) -> None:
        self.quota = QuotaQueue(pauses)
        self._namespace = namespace
        self._creating: dict[str, set[str]] = {}
        self._may_create = False

    async def create_attempt(
        self,
        launch: Launch,
        *,
        limit: int | None,
        gated: bool,
        body: Mapping[str, Any] | None = None,
    ) -> KnownPod:
        """The pod of an attempt: a new one, or the one of this name that is there.

        Raises:
            BackendError: It could not be created now; it may have been all the same.
            LaunchError: It can never be created as it is.
            FullError: As many are alive as `limit` allows.
        """
        watch = await self._namespace.synced_watch()
        await self._namespace.client.turns.wait()
        body = body or self._body(launch, gated=gated)
        known = watch.pods.get(launch.name)
        # What is known may be old, so that the server is asked all the same.
        is_there = known is not None and known.there
        if limit is not None and not gated and not is_there:
            self._check_limit(launch.run_id, limit)
        with self._counted(launch, gated=gated):
            return await self.quota.send(lambda: self._post_pod(launch, body))

    async def dry_run(self, launch: Launch, *, gated: bool) -> Mapping[str, Any] | None:
        """The pod as the server would create it; None if one of its webhooks cannot tell.

        Raises:
            BackendError: The server could not be asked.
            LaunchError: It would refuse the pod now.
            SpecError: There is no pod to ask for.
        """
        await self._namespace.synced_watch()
        body = build_pod(launch, gated=gated, namespace=self._namespace.name)
        try:
            created: Mapping[str, Any] = await self._namespace.client.create(
                pods_path(self._namespace.name), body, dry_run=True
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
    def _counted(self, launch: Launch, *, gated: bool) -> Iterator[None]:
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
        if wanted is not None and wanted != self._namespace.name:
            raise UsageError(
                f"attempt {launch.name} is for namespace {wanted}, but this backend creates pods "
                f"in {self._namespace.name}"
            )
        refused = refuse_launch(launch)
        if refused is not None:
            raise LaunchError(refused)
        try:
            return build_pod(launch, gated=gated, namespace=self._namespace.name)
        except SpecError as error:
            raise LaunchError(Diagnosis(Category.CREATE_ERROR, str(error))) from error

    def _check_limit(self, run_id: str, limit: int) -> None:
        """Counts what runs, or may, with what this process is creating just now."""
        watch = self._namespace.watch
        busy = watch.pods.busy(run_id) if watch else frozenset()
        creating = self._creating.get(run_id, set())
        if len(busy) + len(creating) >= limit and len(busy | creating) >= limit:
            raise FullError(sorted(busy | creating))

    async def _post_pod(self, launch: Launch, body: Mapping[str, Any]) -> KnownPod:
        """Sends the request, until the name is free of a pod that is being deleted."""
        name, loop = launch.name, asyncio.get_running_loop()
        deadline = loop.time() + DELETION_PATIENCE_S
        watch = await self._namespace.synced_watch()
        backoff = Backoff(*_TAKEN_PAUSES_S)
        while True:
            try:
                raw = await self._namespace.client.create(pods_path(self._namespace.name), body)
            except ApiError as error:
                if error.status != 409:
                    gone = self._lost_namespace(error)
                    raise gone or self._meant(error, launch.run_id) from error
                # AlreadyExists; or Conflict, where a quota was being counted at that moment.
                there = error.reason != "Conflict" and await self._existing_pod(name)
                if there:
                    return there
                if loop.time() > deadline:
                    raise BackendError(
                        f"a deleted pod {name} is still in namespace {self._namespace.name}"
                    ) from error
                await backoff.pause()
            else:
                self._may_create = True
                return watch.note_answer(raw) or self._own_pod(raw)

    def _meant(self, error: ApiError, run_id: str) -> Exception:
        """What an answer means, where pods of the run may have been created before.

        Rights that are taken away in mid-run, as while a Role is applied anew, are given back; they
        must not end the sweep as those do that were never there. What says neither that a right is
        missing nor what is wrong with the pod comes from between, and says nothing.
        """
        if not refuses_account(error.status, error.body):
            return _refusal(error)
        watch = self._namespace.watch
        created = self._may_create or bool(watch and watch.pods.of_run(run_id))
        return error if created or not error.forbidden else _refusal(error)

    def _lost_namespace(self, error: ApiError) -> LaunchError | None:
        """That the namespace was deleted while there were pods in it; None if it was not."""
        namespace = self._namespace
        if not namespace.had_pods or not is_namespace_gone(error.body):
            return None
        text = f"the namespace {namespace.name} was deleted while the run went on"
        cure = "Create it again, then clear the trials in Airflow, or `podmap retry RUN --failed`."
        return LaunchError(Diagnosis(Category.CANCELLED, text, error.message, cure))

    async def _existing_pod(self, name: str) -> KnownPod | None:
        """The pod that has the name already; None if it is about to go."""
        try:
            raw = await self._namespace.client.get(pods_path(self._namespace.name, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        if raw["metadata"].get("deletionTimestamp") is not None:
            return None
        watch = await self._namespace.synced_watch()
        watch.note_pod(raw)
        return self._own_pod(raw)

    def _own_pod(self, raw: Mapping[str, Any]) -> KnownPod:
        try:
            return known_pod(raw)
        except UNREADABLE as error:
            raise BackendError(
                f"pod {raw['metadata']['name']} in namespace {self._namespace.name} is not as "
                f"podmap makes pods ({error}): somebody else has this name, or has changed its "
                "labels or status; delete the pod"
            ) from error


_NO_ROOM = Diagnosis(Category.QUOTA, "pods wait for room in a ResourceQuota of the namespace")


def _refusal(error: ApiError) -> Exception:
    """What an answer of the server to a pod means for its attempt."""
    diagnosis = diagnose_create_error(error.status, error.body)
    if diagnosis is None:
        return error
    if diagnosis.category is Category.QUOTA:
        return QuotaError(diagnosis)
    return LaunchError(diagnosis)
