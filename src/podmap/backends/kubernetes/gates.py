"""The scheduling gates of one run's pods, at which they wait for a slot."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence

from podmap.backends.base import GatedAttempt, SlotGates
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.lease import RENEW_EVERY_S, Lease
from podmap.backends.kubernetes.pod.build import SLOT_GATE
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.errors import ConflictError
from podmap.names import run_labels


class PodGates(SlotGates):
    """The scheduling gates of one run's pods."""

    def __init__(
        self, namespace: Namespace, run_id: str, *, renew_every_s: float = RENEW_EVERY_S
    ) -> None:
        """Asks nothing yet.

        Args:
            namespace: Of the pods, and of the lease.
            run_id: The run.
            renew_every_s: How often the lease is renewed.
        """
        self._namespace = namespace
        self._run_id = run_id
        self._renew_every_s = renew_every_s

    async def lease(self, on_change: Callable[[], None]) -> Lease:
        """A candidate for the run's lease, which is only held while the watch is fresh.

        Args:
            on_change: Called whenever it was got or lost.

        Raises:
            BackendError: The server cannot be asked.
        """
        await self._namespace.synced_watch()
        return Lease(
            self._namespace.client,
            self._namespace.name,
            f"podmap-{self._run_id}",
            f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            renew_every_s=self._renew_every_s,
            healthy=lambda: self._namespace.fresh,
            on_change=lambda held: on_change(),
            labels=run_labels(self._run_id),
        )

    def attempts(self) -> Sequence[KnownPod]:
        """All pods of the run, as far as the watch has come by now."""
        watch = self._namespace.watch
        return [] if watch is None else watch.pods.of_run(self._run_id)

    def attempt(self, name: str) -> KnownPod | None:
        """A pod of the run by its name."""
        watch = self._namespace.watch
        pod = None if watch is None else watch.pods.get(name)
        return pod if pod is not None and pod.seen.run_id == self._run_id else None

    def opened(self) -> int:
        """How many pods of the run hold slots."""
        watch = self._namespace.watch
        return 0 if watch is None else len(watch.pods.busy(self._run_id))

    async def relist(self) -> None:
        """Has `attempts` know all that the server knows now, however far the watch is behind.

        Raises:
            BackendError: The server cannot be asked.
        """
        watch = await self._namespace.synced_watch()
        await watch.relist()

    async def open(self, attempt: GatedAttempt, *, limit_s: float) -> None:
        """Removes the gate of a pod that is still as it was seen.

        Args:
            attempt: The pod, as `attempts` gave it.
            limit_s: How long the request may take. It is not repeated.

        Raises:
            ConflictError: It has changed or is gone; nothing was done.
            BackendError: It is not known whether it was opened.
        """
        watch = await self._namespace.synced_watch()
        version = attempt.resource_version
        pod = watch.pods.get(attempt.name)
        if pod is None or not pod.gated or pod.resource_version != version:
            raise _changed(attempt)
        gate = f"/spec/schedulingGates/{pod.gates.index(SLOT_GATE)}"
        change = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "test", "path": f"{gate}/name", "value": SLOT_GATE},
            {"op": "remove", "path": gate},
        ]
        path = pods_path(self._namespace.name, attempt.name)
        try:
            raw = await self._namespace.client.patch(
                path, change, kind="json", retry=False, limit_s=limit_s
            )
        except ApiError as error:
            if error.status in (404, 409, 422):
                raise _changed(attempt) from error
            raise
        watch.note_answer(raw)

    def subscribe(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Calls back at every change of a pod of the run; returns what ends that."""

        def note_change(pod: KnownPod) -> None:
            if pod.seen.run_id == self._run_id:
                on_change()

        return self._namespace.subscribe(note_change)


def _changed(attempt: GatedAttempt) -> ConflictError:
    return ConflictError(f"{attempt.name} is not as it was seen")
