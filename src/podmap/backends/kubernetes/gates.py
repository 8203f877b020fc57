"""The scheduling gates of one run's pods, and the lease of whoever opens them."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podmap.backends.gating import Held
from podmap.backends.kubernetes.lease import Lease
from podmap.backends.kubernetes.watch.pods import Pod
from podmap.errors import ConflictError
from podmap.names import LABEL_PREFIX, MANAGED_BY

if TYPE_CHECKING:
    from podmap.backends.kubernetes.backend import KubernetesBackend


@dataclass(frozen=True, slots=True)
class HeldPod:
    """A pod as the gatekeeper sees it."""

    name: str
    number: int
    resource_version: str
    alive: bool
    gated: bool
    openable: bool
    memory_bytes: int | None = None

    @classmethod
    def of(cls, pod: Pod) -> HeldPod:
        """A pod; with somebody else's gate on it, a queue's, opening ours would not let it run."""
        return cls(
            name=pod.name,
            number=pod.seen.number,
            resource_version=pod.resource_version,
            alive=pod.alive,
            gated=pod.gated,
            openable=not pod.held_by_others and not pod.deleting,
            memory_bytes=pod.seen.memory_bytes,
        )


class PodGates:
    """The scheduling gates of one run's pods."""

    def __init__(self, backend: KubernetesBackend, run_id: str) -> None:
        """Asks nothing yet."""
        self._backend = backend
        self._run_id = run_id
        self._known: dict[str, tuple[Pod, HeldPod]] = {}

    def attempts(self) -> Sequence[HeldPod]:
        """All pods of the run that are known."""
        # It is asked for at every change of one of hundreds: only that one is looked at.
        before, self._known = self._known, {}
        for pod in self._backend.known_pods(self._run_id):
            last = before.get(pod.name)
            if last is None or last[0] is not pod:
                last = pod, HeldPod.of(pod)
            self._known[pod.name] = last
        return [held for _, held in self._known.values()]

    async def relist(self) -> None:
        """Brings `attempts` up to date by a consistent list.

        Raises:
            BackendError: It could not be asked.
        """
        await self._backend.relist()

    async def open(self, attempt: Held, *, limit_s: float) -> None:
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

        def note(pod: Pod) -> None:
            if pod.seen.run_id == self._run_id:
                on_change()

        return self._backend.subscribe(note)


class RunLease:
    """One process's candidacy for the lease of a run."""

    def __init__(self, lease: Lease) -> None:
        """Takes a lease that is not started."""
        self._lease = lease

    @property
    def held(self) -> bool:
        """Whether this process holds it now."""
        return self._lease.held

    @property
    def taken(self) -> bool:
        """Whether another process holds it, as far as was seen at the last try for it."""
        return self._lease.holder not in ("", self._lease.identity)

    @property
    def forbidden(self) -> bool:
        """Whether this account has no right to leases."""
        return self._lease.refused is not None

    @property
    def remaining_s(self) -> float:
        """For how long nobody else can hold it."""
        return self._lease.remaining_s

    def start(self) -> None:
        """Begins to try for it."""
        self._lease.start()

    async def close(self) -> None:
        """Stops; where it is held it is removed, since other candidates make it anew."""
        await self._lease.close(delete=True)


async def run_lease(
    backend: KubernetesBackend, run_id: str, on_change: Callable[[], None]
) -> RunLease:
    """A candidate for a run's lease, which is only held while the watch is fresh.

    Raises:
        BackendError: The server cannot be asked.
    """
    namespace = await backend.namespace()
    lease = Lease(
        backend.client,
        namespace,
        f"podmap-{run_id}",
        f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}",
        healthy=lambda: backend.fresh,
        on_change=lambda held: on_change(),
        labels={MANAGED_BY: "podmap", f"{LABEL_PREFIX}/run": run_id},
    )
    return RunLease(lease)
