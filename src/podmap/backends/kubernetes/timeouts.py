"""Ends pods whose time is over: those that run for too long, and those that wait for too long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from podmap.aio import spawn
from podmap.backends.base import Phase, timed_out
from podmap.backends.kubernetes.diagnosis.waiting import never_started
from podmap.backends.kubernetes.end import PodEnder
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.clock import parse_iso
from podmap.errors import BackendError
from podmap.records import Category, Diagnosis

log = logging.getLogger(__name__)

_TRY_AGAIN_S = 5.0
_FORBIDDEN_AGAIN_S = 60.0
_CLOCKS_DIFFER = timedelta(seconds=5)  # all of them tell whole seconds


def ran_s(started: datetime, *, placed: datetime | None, now: datetime) -> float:
    """Seconds that a container has run for; 0 where its node's clock cannot be right.

    Args:
        started: When it started, by its node's clock.
        placed: When its pod was placed on the node, by the cluster's clock; None if not known.
        now: The time by the cluster's clock.
    """
    if started > now + _CLOCKS_DIFFER or (placed and started < placed - _CLOCKS_DIFFER):
        return 0.0
    return max(0.0, (now - started).total_seconds())


@dataclass(slots=True)
class _Watched:
    """What is known of the time of one pod.

    Attributes:
        pending_at: When it was last seen waiting, by the loop's clock; None if it never was.
        start: Rings when it has waited for too long; None before its slot, and once it runs.
        end: Rings when it has run for too long; None before it runs.
    """

    pending_at: float | None = None
    start: asyncio.TimerHandle | None = None
    end: asyncio.TimerHandle | None = None

    def stop_waiting(self) -> None:
        if self.start is not None:
            self.start.cancel()
            self.start = None


class PodTimeouts:
    """Kills pods whose container has run for longer than it may, or has not started in time.

    How long a pod waits is counted from when this process first saw it wait with its slot, and how
    long it runs from when it was last seen waiting. Of one that ran before this process saw it, the
    node says since when, by the node's clock. That is compared with the API server's, not with this
    host's; where the two do not fit, it is counted from when it was first seen.
    """

    def __init__(self, namespace: Namespace, ender: PodEnder, *, grace_s: float | None) -> None:
        """Watches nothing yet.

        Args:
            namespace: Where the pods are.
            ender: Kills them.
            grace_s: From SIGTERM to SIGKILL; None for each pod's own.
        """
        self._namespace = namespace
        self._ender = ender
        self._grace_s = grace_s
        self._watched: dict[str, _Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsubscribe = namespace.subscribe(self._on_change)

    def enforce(self, pod: KnownPod) -> None:
        """Kills a pod, from now on, as soon as its time is over."""
        limited = pod.timeout_s is not None or pod.pending_s is not None
        if limited and pod.alive and pod.name not in self._watched:
            self._watched[pod.name] = _Watched()
            self._on_change(pod)

    async def close(self) -> None:
        """Leaves the pods to themselves."""
        self._unsubscribe()
        for name in tuple(self._watched):
            self._forget(name)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self, name: str) -> None:
        watched = self._watched.pop(name)
        watched.stop_waiting()
        if watched.end is not None:
            watched.end.cancel()

    def _on_change(self, pod: KnownPod) -> None:
        watched = self._watched.get(pod.name)
        if watched is None:
            return
        if not pod.alive:
            self._forget(pod.name)
        elif pod.seen.phase is Phase.PENDING:
            loop = asyncio.get_running_loop()
            watched.pending_at = loop.time()
            if watched.start is None and pod.pending_s is not None and not pod.gated:
                ring = partial(self._spawn, self._end_unstarted, pod.name, pod.pending_s)
                watched.start = loop.call_later(pod.pending_s, ring)
        else:
            watched.stop_waiting()
            if watched.end is None:
                self._time_end(pod, watched)

    def _time_end(self, pod: KnownPod, watched: _Watched) -> None:
        if pod.timeout_s is None or pod.seen.started is None:
            return
        loop = asyncio.get_running_loop()
        placed, now = fields.placed_at(pod.raw or {}), self._namespace.client.clock.now()
        ran = ran_s(parse_iso(pod.seen.started), placed=placed, now=now)
        if watched.pending_at is not None:
            ran = min(ran, loop.time() - watched.pending_at)
        left_s = max(0.0, pod.timeout_s - ran)
        ring = partial(self._spawn, self._end_overdue, pod.name, pod.timeout_s)
        watched.end = loop.call_later(left_s, ring)

    def _spawn(self, end: Any, name: str, limit_s: float) -> None:
        ending: Coroutine[Any, Any, None] = end(name, limit_s)
        task = spawn(ending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_overdue(self, name: str, timeout_s: float) -> None:
        await self._kill(name, timed_out(timeout_s), unless_started=False)

    async def _end_unstarted(self, name: str, pending_s: float) -> None:
        watch = self._namespace.watch
        pod = watch.pods.get(name) if watch is not None else None
        if pod is not None and pod.raw is not None and pod.seen.phase is Phase.PENDING:
            try:
                reason = never_started(pod.raw, pending_s)
            except fields.UNREADABLE:
                text = f"it had not started after {pending_s:g} s (pending)"
                reason = Diagnosis(Category.UNSCHEDULABLE, text)
            await self._kill(name, reason, unless_started=True)

    async def _kill(self, name: str, reason: Diagnosis, *, unless_started: bool) -> None:
        while name in self._watched:
            try:
                await self._ender.kill(name, reason, self._grace_s, unless_started=unless_started)
                return
            except BackendError as error:
                log.warning("%s has run out of time but cannot be ended yet: %s", name, error)
                await asyncio.sleep(_FORBIDDEN_AGAIN_S if error.forbidden else _TRY_AGAIN_S)
