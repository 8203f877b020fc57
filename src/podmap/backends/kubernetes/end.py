"""Ends pods: for a reason that stays with them, or for good; and keeps some."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

from podmap.aio import spawn
from podmap.backends.base import Phase
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.diagnosis.observe import killed_annotation
from podmap.backends.kubernetes.pauses import Pauses
from podmap.backends.kubernetes.watch.namespace import Namespace
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.errors import BackendError
from podmap.names import MANAGED_BY, RUN_LABEL
from podmap.records import Diagnosis

log = logging.getLogger(__name__)

AT_ONCE_S = 1
"""The shortest grace with which a node still confirms that the containers have ended."""
NODE_PATIENCE_S = 60.0
"""How long a node may take to end a pod beyond the grace."""
_SLACK_S = 5.0
_TRIES = 10


class PodEnder:
    """Kills, deletes and keeps the pods of one namespace.

    A pod is killed by giving it a deadline of one second: the node sends SIGTERM, after the pod's
    own grace SIGKILL, and the pod stays as a failed one that carries the reason, its exit code
    and its log, for whoever looks next. The node keeps to the pod's own grace then, so a pod whose
    grace is longer than that of the kill is deleted instead, as is one that has no node. Those who
    watch it are told the reason then, too, but nothing of it stays.
    """

    def __init__(self, namespace: Namespace, pauses: Pauses) -> None:
        self._namespace = namespace
        self._check_every_s = pauses.end_check_every_s
        self._kills: dict[tuple[str, bool], asyncio.Task[None]] = {}

    async def kill(
        self,
        name: str,
        reason: Diagnosis,
        grace_s: float | None,
        *,
        unless_started: bool = False,
    ) -> None:
        """Returns once the pod has ended; goes on even if this call is cancelled.

        Args:
            name: The pod.
            reason: Why.
            grace_s: From SIGTERM to SIGKILL; None for the pod's own.
            unless_started: Whether a pod that runs by now is left alone.

        Raises:
            BackendError: The server could not be asked, or the node does not end the pod.
        """
        key = (name, unless_started)
        task = self._kills.get(key)
        if task is None:
            killing = self._kill_pod(name, reason, grace_s, unless_started=unless_started)
            task = self._kills[key] = spawn(killing)
            task.add_done_callback(lambda _: self._kills.pop(key, None))
        await asyncio.shield(task)

    async def delete(self, name: str) -> None:
        """Returns once nothing of the pod runs and it is gone, or is about to go.

        Raises:
            BackendError: The server could not be asked, or the node does not end the pod.
        """
        for _ in range(_TRIES):
            pod = await self._namespace.find_pod(name)
            if pod is None or await self._delete_pod(pod):
                return
        raise BackendError(
            f"pod {name} in namespace {self._namespace.name} is replaced again and again"
        )

    async def keep(self, name: str) -> None:
        """Has an ended pod stay: its label `managed-by` goes, its others still say whose it was.

        A pod that was given up may still run, or start, and so may its sidecars: it is ended
        first, and deleted if that cannot be done, since nobody looks after a pod that is kept.

        Args:
            name: The pod; one that is gone already is none to keep.

        Raises:
            BackendError: The server could not be asked, or the node does not end the pod.
        """
        if not await self._stop(name):
            log.warning("%s is not kept, since it could not be ended but by deleting it", name)
            return await self.delete(name)
        watch = await self._namespace.synced_watch()
        path = pods_path(self._namespace.name, name)
        change = {"metadata": {"labels": {MANAGED_BY: None}}}
        try:
            raw = await self._namespace.client.patch(path, change)
        except ApiError as error:
            if error.status != 404:
                raise
            return
        watch.note_removal(name, raw["metadata"]["uid"])

    async def _stop(self, name: str) -> bool:
        """Whether nothing of a pod runs, or will; it is ended by its deadline if need be."""
        pod = await self._namespace.find_pod(name)
        if pod is None or not pod.there or pod.stopped:
            return True
        if pod.deleting or not pod.placed:
            return False
        try:
            pod = await self._patch(pod, {"spec": {"activeDeadlineSeconds": AT_ONCE_S}})
        except ApiError as error:
            if error.status != 404:
                raise
            return True
        if pod is not None:
            limit_s = pod.grace_s + NODE_PATIENCE_S
            pod = await self._namespace.wait_until(name, _is_stopped, limit_s=limit_s)
        return pod is None or _is_stopped(pod)

    async def remove_kept(self, run_id: str) -> int:
        """Deletes the pods of a run that were kept; returns how many.

        Raises:
            BackendError: The server could not be asked.
        """
        await self._namespace.synced_watch()
        client, namespace = self._namespace.client, self._namespace.name
        names = [
            pod["metadata"]["name"]
            async for page in client.pages(pods_path(namespace), selector=f"{RUN_LABEL}={run_id}")
            for pod in page["items"]
            if MANAGED_BY not in pod["metadata"]["labels"]
        ]
        for name in names:
            try:
                await client.delete(pods_path(namespace, name), grace_s=0)
            except ApiError as error:
                if error.status != 404:
                    raise
        return len(names)

    async def close(self) -> None:
        """Stops waiting for what was killed."""
        tasks = list(self._kills.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _kill_pod(
        self, name: str, reason: Diagnosis, grace_s: float | None, *, unless_started: bool
    ) -> None:
        pod = await self._mark_killed(name, reason, grace_s, unless_started=unless_started)
        if pod is None or not pod.alive:
            return
        given_s = pod.grace_s if grace_s is None else grace_s
        if _can_stay(pod, grace_s):
            pod = await self._namespace.wait_until(name, _is_over, limit_s=pod.grace_s + _SLACK_S)
            if pod is None or _is_over(pod):
                return
            given_s = 0  # the node does not know of deadlines, or does not answer
        await self._ask_to_delete(pod, max(AT_ONCE_S, math.ceil(given_s)))
        await self._await_end(pod, given_s)

    async def _mark_killed(
        self, name: str, reason: Diagnosis, grace_s: float | None, *, unless_started: bool
    ) -> KnownPod | None:
        """Writes the reason to a pod and has its node end it, unless it has ended; the pod then."""
        for _ in range(_TRIES):
            pod = await self._namespace.find_pod(name)
            if pod is None or not pod.alive or pod.killing:
                return pod
            if unless_started and pod.seen.phase is Phase.RUNNING:
                return None
            try:
                return await self._patch(pod, _ending(pod, reason, grace_s))
            except ApiError as error:
                if error.status == 404:
                    return await self._await_removal(pod)
                if error.status != 409:
                    raise
            await self._namespace.fetch_pod(name)
        raise BackendError(f"pod {name} in namespace {self._namespace.name} changes all the time")

    async def _patch(self, pod: KnownPod, change: Mapping[str, Any]) -> KnownPod | None:
        watch = await self._namespace.synced_watch()
        raw = await self._namespace.client.patch(pods_path(self._namespace.name, pod.name), change)
        return watch.note_answer(raw)

    async def _await_removal(self, pod: KnownPod) -> KnownPod | None:
        """A pod that the server no longer has, once the watch knows that, too."""
        limit_s = NODE_PATIENCE_S
        return await self._namespace.wait_until(
            pod.name, lambda now: not now.there, limit_s=limit_s
        )

    async def _delete_pod(self, pod: KnownPod) -> bool:
        """Whether the pod is gone, and not another one of its name is there."""
        watch = await self._namespace.synced_watch()
        if not pod.there:
            watch.note_removal(pod.name, pod.uid)
            return True
        # One that is lost, or whose sidecars still run, is being deleted: that is all one can do.
        asked = pod.deleting and pod.ended and not pod.stopped
        if not asked and not await self._ask_to_delete(pod, _delete_grace_s(pod)):
            return False
        if pod.alive:
            await self._await_end(pod, pod.grace_s)
        watch.note_removal(pod.name, pod.uid)
        return True

    async def _ask_to_delete(self, pod: KnownPod, grace_s: int | None) -> bool:
        """Whether it was this pod that the server was asked to delete."""
        path = pods_path(self._namespace.name, pod.name)
        try:
            await self._namespace.client.delete(path, grace_s=grace_s, uid=pod.uid)
        except ApiError as error:
            if error.status == 404:
                return True
            if error.status != 409:
                raise
            watch = await self._namespace.synced_watch()
            watch.note_removal(pod.name, pod.uid)
            return False
        return True

    async def _await_end(self, pod: KnownPod, grace_s: float) -> None:
        for _ in range(math.ceil((grace_s + NODE_PATIENCE_S) / self._check_every_s)):
            now = await self._namespace.wait_until(pod.name, _is_over, limit_s=self._check_every_s)
            if now is not None and now.uid == pod.uid and not _is_over(now):
                now = await self._namespace.fetch_pod(pod.name)
            if now is None or now.uid != pod.uid or _is_over(now):
                return
        raise BackendError(
            f"pod {pod.name} in namespace {self._namespace.name} was to end {NODE_PATIENCE_S:g} s "
            f"ago, but node {pod.seen.node or '?'} has not said that it did"
        )


def _is_over(pod: KnownPod) -> bool:
    return not pod.alive


def _is_stopped(pod: KnownPod) -> bool:
    return pod.stopped or not pod.there


def _can_stay(pod: KnownPod, grace_s: float | None) -> bool:
    """Whether a pod can be ended by its deadline, so that it stays to be looked at."""
    return pod.placed and (grace_s is None or pod.grace_s <= grace_s + _SLACK_S)


def _ending(pod: KnownPod, reason: Diagnosis, grace_s: float | None) -> Mapping[str, Any]:
    """The change that ends a pod, or says why it will be, unless it is no longer as it was seen."""
    metadata = {
        "resourceVersion": pod.resource_version,
        "annotations": killed_annotation(reason),
    }
    if not _can_stay(pod, grace_s):
        return {"metadata": metadata}
    return {"metadata": metadata, "spec": {"activeDeadlineSeconds": AT_ONCE_S}}


def _delete_grace_s(pod: KnownPod) -> int | None:
    """What a pod's containers get when it is deleted; None for the pod's own grace."""
    return 0 if pod.stopped else None
