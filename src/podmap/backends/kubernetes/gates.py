"""The scheduling gates of one run's pods, at which they wait for a slot."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from podmap.backends.base import GatedAttempt, SlotGates
from podmap.backends.kubernetes.lease import Lease
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.errors import ConflictError
from podmap.names import run_labels

if TYPE_CHECKING:
    from podmap.backends.kubernetes.backend import KubernetesBackend


class PodGates(SlotGates):
    """The scheduling gates of one run's pods."""

    def __init__(self, backend: KubernetesBackend, run_id: str) -> None:
        """Asks nothing yet."""
        self._backend = backend
        self._run_id = run_id

    async def lease(self, on_change: Callable[[], None]) -> Lease:
        """A candidate for the run's lease, which is only held while the watch is fresh.

        Args:
            on_change: Called whenever it was got or lost.

        Raises:
            BackendError: The server cannot be asked.
        """
        return Lease(
            self._backend.client,
            await self._backend.namespace(),
            f"podmap-{self._run_id}",
            f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
            healthy=lambda: self._backend.fresh,
            on_change=lambda held: on_change(),
            labels=run_labels(self._run_id),
        )

    def attempts(self) -> Sequence[KnownPod]:
        """All pods of the run that are known."""
        return self._backend.known_pods(self._run_id)

    async def relist(self) -> None:
        """Brings `attempts` up to date by a consistent list.

        Raises:
            BackendError: It could not be asked.
        """
        await self._backend.relist()

    async def open(self, attempt: GatedAttempt, *, limit_s: float) -> None:
        """Removes the gate of a pod that is still as it was seen.

        Raises:
            ConflictError: It has changed or is gone; nothing was done.
            BackendError: It is not known whether it was opened.
        """
        version = attempt.resource_version
        if not await self._backend.ungate(attempt.name, version, limit_s=limit_s):
            raise ConflictError(f"{attempt.name} is not as it was seen")

    def subscribe(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Calls back at every change of a pod of the run; returns what ends that."""

        def note(pod: KnownPod) -> None:
            if pod.seen.run_id == self._run_id:
                on_change()

        return self._backend.subscribe(note)
