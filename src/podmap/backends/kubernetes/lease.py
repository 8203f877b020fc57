"""The lease of a run: leader election by a Lease of coordination.k8s.io, as Kubernetes does it.

A candidate takes a lease that is free, or whose record has not changed for the lease's duration by
the candidate's own clock; clocks are never compared. Every change carries the resourceVersion that
was seen, so of two that try at once one wins. The holder counts its time from before it asked for
the renewal: it stops relying on the lease before anybody else can have it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from podmap.aio import KeptRunning
from podmap.backends.base import RunLease
from podmap.backends.kubernetes.client import ApiError, leases_path
from podmap.clock import utc_now
from podmap.errors import BackendError

if TYPE_CHECKING:
    from podmap.backends.kubernetes.client.requests import Client

log = logging.getLogger(__name__)

DURATION_S = 15.0
"""How long a holder that is silent keeps the lease."""
RENEW_EVERY_S = 5.0
"""How often the holder renews it."""
TRIES_A_RENEWAL = 5
"""So many times more often all others look whether it is free: nobody tells them."""
REFUSED_AGAIN_S = 60.0
"""How long after leases were forbidden they are asked for again."""


class Lease(RunLease):
    """One candidate for one lease; `start` it, and `close` it to let others have it at once.

    Attributes:
        identity: Who this candidate is, different from all others.
        holder: Who holds the lease as far as is known; empty for nobody.
        refused: Set while this account has no right to leases, and never had; then nobody can rely
            on one.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration_s: float = DURATION_S,
        renew_every_s: float = RENEW_EVERY_S,
        healthy: Callable[[], bool] = lambda: True,
        on_change: Callable[[bool], None] = lambda held: None,
        labels: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks nothing yet.

        Args:
            client: The connection.
            namespace: The lease's.
            name: The lease's.
            identity: As the attribute.
            duration_s: How long a holder that is silent keeps the lease; rounded up to seconds.
            renew_every_s: How often it is renewed; it is tried for more often.
            healthy: Whether this candidate is fit to hold it: else it neither takes nor renews.
            on_change: Called with whether it is held when that has changed; that time is over is
                told with the next try, so what must be exact asks `held`.
            labels: What a lease made here is labelled with.
            clock: Seconds from any start.
        """
        self.identity = identity
        self.holder = ""
        self.refused: ApiError | None = None
        self._client = client
        self._namespace = namespace
        self._name = name
        self._duration_s = math.ceil(duration_s)
        self._renew_every_s = renew_every_s
        self._healthy = healthy
        self._on_change = on_change
        self._labels = dict(labels or {})
        self._clock = clock
        self._seen: Mapping[str, Any] | None = None
        self._seen_at = -math.inf
        self._until = -math.inf
        self._reported = False
        self._asked = True
        self._asks = ""
        self._allowed: set[str] = set()
        self._task: KeptRunning | None = None

    @property
    def held(self) -> bool:
        """Whether this candidate holds the lease, and nobody else can have it by now."""
        return self.remaining_s > 0

    @property
    def held_by_other(self) -> bool:
        """Whether another candidate holds it, as far as was seen at the last try for it."""
        return self.holder not in ("", self.identity)

    @property
    def forbidden(self) -> bool:
        """Whether this account has no right to leases."""
        return self.refused is not None

    @property
    def remaining_s(self) -> float:
        """For how long nobody else can have it, even if no renewal succeeds; 0 if not held."""
        return max(0.0, self._until - self._clock())

    def start(self) -> None:
        """Begins to try for the lease, and to renew it once it is held."""
        if self._task is None:
            self._task = KeptRunning(f"the lease {self._name}", self.run)

    async def run(self) -> None:
        """Tries for the lease and renews it, for ever; `start` is the usual way."""
        while True:
            await self.acquire_or_renew()
            self._report_change()
            await self._pause()

    async def acquire_or_renew(self) -> None:
        """One try to take or renew the lease; a server that cannot be asked changes nothing."""
        self._asked = False
        try:
            await self._acquire_or_renew()
            self.refused, self._asked = None, True
        except ApiError as error:
            if error.forbidden and self._asks not in self._allowed:
                if self.refused is None:
                    log.warning("%s", error)
                self.refused = error
            elif error.status != 409:
                # Also a right that was there before, or a 403 from between: to do without a lease
                # because of it would let two processes open gates.
                log.warning("%s", error)
        except BackendError as error:
            log.warning("%s", error)

    async def close(self) -> None:
        """Stops; where it is held it is removed, since other candidates make it anew."""
        if self._task is not None:
            await self._task.close()
            self._task = None
        held, self._until = self.held, -math.inf
        self._report_change()
        if held and self._seen is not None:
            try:
                await self._remove(self._seen)
            except BackendError as error:
                if not isinstance(error, ApiError) or error.status not in (404, 409):
                    log.warning("the lease is left to expire: %s", error)

    async def _remove(self, seen: Mapping[str, Any]) -> None:
        path = leases_path(self._namespace, self._name)
        metadata = seen["metadata"]
        await self._client.delete(path, uid=metadata["uid"], version=metadata["resourceVersion"])

    async def _acquire_or_renew(self) -> None:
        if self._seen is None or self.holder != self.identity:
            await self._read_lease()
        if not self._healthy() or not self._may_take():
            return
        asked_at = self._clock()
        try:
            self._note_held(await self._write(), asked_at)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            # Somebody else was quicker, or an earlier answer to this candidate was lost.
            await self._read_lease()
            if self.holder == self.identity:
                asked_at = self._clock()
                self._note_held(await self._write(), asked_at)

    async def _read_lease(self) -> None:
        self._asks = "read"
        try:
            seen = await self._client.get(
                leases_path(self._namespace, self._name), limit_s=self._renew_every_s
            )
        except ApiError as error:
            if error.status != 404:
                raise
            seen = None
        self._allowed.add("read")
        if _spec(seen) != _spec(self._seen) or _uid(seen) != _uid(self._seen):
            self._seen_at = self._clock()
        self._seen = seen
        self.holder = _spec(seen).get("holderIdentity") or ""
        if self.holder != self.identity:
            self._until = -math.inf

    def _may_take(self) -> bool:
        if self.holder in ("", self.identity):
            return True
        lasts_s = _spec(self._seen).get("leaseDurationSeconds") or self._duration_s
        return self._clock() - self._seen_at >= lasts_s

    async def _write(self) -> Mapping[str, Any]:
        limit_s = self._renew_every_s
        self._asks = "write"
        if self._seen is None:
            body = self._record(None, holder=self.identity)
            path = leases_path(self._namespace)
            created: Mapping[str, Any] = await self._client.create(path, body, limit_s=limit_s)
            return created
        body = self._record(self._seen, holder=self.identity)
        path = leases_path(self._namespace, self._name)
        updated: Mapping[str, Any] = await self._client.update(path, body, limit_s=limit_s)
        return updated

    def _record(self, seen: Mapping[str, Any] | None, *, holder: str) -> dict[str, Any]:
        now = _micro_time(utc_now())
        metadata = seen["metadata"] if seen else {"name": self._name, "labels": self._labels}
        spec = dict(_spec(seen))
        if spec.get("holderIdentity") != holder:
            spec["acquireTime"] = now
            if seen is not None and holder:
                spec["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1
        spec.setdefault("leaseTransitions", 0)
        spec.update(holderIdentity=holder, leaseDurationSeconds=self._duration_s, renewTime=now)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def _note_held(self, written: Mapping[str, Any], asked_at: float) -> None:
        self._allowed.add("write")
        self._seen = written
        self._seen_at = self._clock()
        self.holder = self.identity
        self._until = asked_at + self._duration_s

    def _report_change(self) -> None:
        held = self.held
        if held is not self._reported:
            self._reported = held
            self._on_change(held)

    async def _pause(self) -> None:
        waits = self._asked and not self.held
        often_s = self._renew_every_s / (TRIES_A_RENEWAL if waits else 1)
        pause_s = REFUSED_AGAIN_S if self.refused else often_s
        await asyncio.sleep(pause_s * random.uniform(0.9, 1.0))


def _spec(lease: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return (lease or {}).get("spec") or {}


def _uid(lease: Mapping[str, Any] | None) -> str:
    return ((lease or {}).get("metadata") or {}).get("uid") or ""


def _micro_time(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
