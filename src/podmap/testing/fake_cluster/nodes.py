"""What the nodes of a fake cluster do with pods: nothing runs, all is told by a script."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from podmap.backends.kubernetes.pod.fields import memory_limit_bytes
from podmap.testing.fake_cluster.objects import FakeObjects, Object, ObjectKey, RefusedError
from podmap.testing.kubelet import termination_message


@dataclass(frozen=True, slots=True)
class Script:
    """What happens to a pod.

    Attributes:
        pending_s: From its being free to be scheduled to its start.
        run_s: From its start to its end.
        exit_code: Of its container.
        result: What the container leaves in the file of its termination message.
        output: What it says when it starts; lines.
        last_output: What it says before it ends by itself.
        holds: Whether it runs until `FakeCluster.release`, instead of for `run_s`.
        ignores_term: Whether it has to be ended by SIGKILL.
        never_ends: Whether its node does not answer any more once it is to end.
        waiting: Why its container is never made, for example "ImagePullBackOff"; empty if it is.
        message: What the node says of that.
        memory_bytes: What its container comes to use: with a smaller limit it is killed for it.
        refused: Why its node refuses the pod, for example "OutOfcpu"; empty if it does not.
        unplaced: Why no node ever takes it, as the scheduler says; empty if one does.
        cannot_start: Why its container's program cannot be started, as the runtime says.
        pod_reason: The reason that the kubelet gives the whole pod at its end, for example
            "Evicted"; empty for none.
        pod_message: What the kubelet says of that.
    """

    pending_s: float = 0.0
    run_s: float = 0.0
    exit_code: int = 0
    result: str | bytes = '{"x": 1}'
    output: str = ""
    last_output: str = ""
    holds: bool = False
    ignores_term: bool = False
    never_ends: bool = False
    waiting: str = ""
    message: str = ""
    memory_bytes: int = 0
    refused: str = ""
    unplaced: str = ""
    cannot_start: str = ""
    pod_reason: str = ""
    pod_message: str = ""


class Agenda:
    """What is to happen when, in the nodes' own time."""

    def __init__(self, speed: float) -> None:
        """Makes an agenda for the running loop.

        Args:
            speed: Seconds of the nodes' time in one of ours; 0 to have everything happen as soon
                as it can, in the order of the nodes' time.
        """
        self._speed = speed
        self._now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = itertools.count()
        self._pumping = False

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        """Has something done after a time."""
        loop = asyncio.get_running_loop()
        if self._speed > 0:
            loop.call_later(delay_s / self._speed, what)
            return
        heapq.heappush(self._heap, (self._now + delay_s, next(self._ticket), what))
        if not self._pumping:
            self._pumping = True
            loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._now, _, what = heapq.heappop(self._heap)
        what()
        self._pumping = bool(self._heap)
        if self._pumping:
            asyncio.get_running_loop().call_soon(self._pump)


@dataclass(slots=True)
class FakeContainer:
    """The container of a pod on a node."""

    script: Script
    log: list[tuple[str, bytes]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    started: str = ""
    over: bool = False

    def say(self, text: str) -> None:
        """Adds to its log."""
        stamp = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        for line in text.encode().splitlines(keepends=True):
            self.log.append((stamp.replace("+00:00", "000Z"), line))
        self.more.set()


class FakeNodes:
    """Scheduler and kubelets: they move pods on and end them."""

    def __init__(
        self,
        objects: FakeObjects,
        agenda: Agenda,
        script: Callable[[Object], Script],
        *,
        capacity: int | None,
        clock_behind_s: float,
    ) -> None:
        """Knows no pods yet.

        Args:
            objects: Where the pods are.
            agenda: The nodes' time.
            script: What happens to a pod.
            capacity: How many pods run at once; None for any number.
            clock_behind_s: How far the nodes' clocks are behind.
        """
        self._behind = timedelta(seconds=clock_behind_s)
        self._objects = objects
        self._agenda = agenda
        self._script = script
        self._capacity = capacity
        self.containers: dict[str, FakeContainer] = {}
        self._placed: set[str] = set()
        self._released: set[str] = set()
        self._unplaced: list[ObjectKey] = []

    def schedule(self, key: ObjectKey) -> None:
        """Gives a pod a node, as soon as there is room."""
        self._unplaced.append(key)
        self._place()

    def release(self, key: ObjectKey) -> None:
        """Lets a pod whose script holds go on to its end, at once or as soon as it runs."""
        pod = self._objects.get(key)
        uid = pod["metadata"]["uid"]
        self._released.add(uid)
        container = self.containers.get(uid)
        if container is not None and container.started:
            self._finish(key, pod)

    def stop(self, key: ObjectKey, grace_s: float) -> None:
        """Sends SIGTERM, and after the grace SIGKILL, to a pod with a node."""
        pod = self._objects.get(key)
        uid = pod["metadata"]["uid"]
        container = self.containers.get(uid)
        if container is None or container.over:
            self._agenda.after(0, lambda: self._clear(key, uid))
        elif container.script.never_ends:
            return
        elif container.script.ignores_term:
            self._agenda.after(grace_s, lambda: self._stopped(key, uid, 137))
        else:
            self._agenda.after(0, lambda: self._stopped(key, uid, 143))

    def forget(self, pod: Object) -> None:
        """A pod was removed; its place is free."""
        uid = pod["metadata"]["uid"]
        container = self.containers.pop(uid, None)
        if container is not None:
            container.over = True
            container.more.set()
        self._placed.discard(uid)
        self._released.discard(uid)
        self._place()

    def _place(self) -> None:
        while self._unplaced and (self._capacity is None or len(self._placed) < self._capacity):
            key = self._unplaced.pop(0)
            pod = self._objects.by_key.get(key)
            if pod is None or pod["spec"].get("nodeName"):
                continue
            uid = pod["metadata"]["uid"]
            script = self._script(pod)
            if script.unplaced:
                told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                self._update(key, pod, {"conditions": [{**told, "message": script.unplaced}]})
                continue
            self._placed.add(uid)
            container = self.containers[uid] = FakeContainer(script)
            self._agenda.after(container.script.pending_s, self._step(key, uid, self._bind))

    def _step(
        self, key: ObjectKey, uid: str, what: Callable[[ObjectKey, Object], None]
    ) -> Callable[[], None]:
        """Something that is done to a pod if it is still there."""

        def step() -> None:
            pod = self._objects.by_key.get(key)
            if pod is not None and pod["metadata"]["uid"] == uid:
                what(key, pod)

        return step

    def _bind(self, key: ObjectKey, pod: Object) -> None:
        placed = _seconds(datetime.now(timezone.utc))  # by the scheduler, whose clock is right
        conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": placed}]
        changed = {**pod, "spec": {**pod["spec"], "nodeName": "fake-node-1"}}
        self._update(key, changed, {"conditions": conditions})
        self._agenda.after(0, self._step(key, pod["metadata"]["uid"], self._prepare))

    def _prepare(self, key: ObjectKey, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        script = self.containers[uid].script
        if script.refused:
            self.containers[uid].over = True
            told = {"phase": "Failed", "reason": script.refused, "message": "Pod was rejected"}
            return self._update(key, pod, {"startTime": self._now(), **told})
        waiting = {"reason": script.waiting or "ContainerCreating", "message": script.message}
        self._update(key, pod, {"startTime": self._now(), **_statuses(pod, "waiting", waiting)})
        if not script.waiting:
            self._agenda.after(0, self._step(key, uid, self._run))

    def _run(self, key: ObjectKey, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        container = self.containers[uid]
        if container.over:
            return
        container.started = self._now()
        if container.script.cannot_start:
            return self._end(key, 128, reason="StartError", message=container.script.cannot_start)
        container.say(container.script.output)
        running = {"startedAt": container.started}
        self._update(key, pod, {"phase": "Running", **_statuses(pod, "running", running)})
        if _is_past_deadline(pod):
            self.expire(key)
        elif not container.script.holds or uid in self._released:
            self._agenda.after(container.script.run_s, self._step(key, uid, self._finish))

    def _finish(self, key: ObjectKey, pod: Object) -> None:
        container = self.containers[pod["metadata"]["uid"]]
        if not container.over:
            container.say(container.script.last_output)
            limit = memory_limit_bytes(pod)
            if limit is not None and limit < container.script.memory_bytes:
                self._end(key, 137, reason="OOMKilled")
            else:
                script = container.script
                self._end(key, script.exit_code, result=script.result)

    def expire(self, key: ObjectKey) -> None:
        """The pod's deadline has come, if it is on a node."""
        pod = self._objects.get(key)
        container = self.containers.get(pod["metadata"]["uid"])
        if container is None or container.over:
            return
        if container.started:
            self.stop(key, pod["spec"].get("terminationGracePeriodSeconds", 30))
        elif container.script.waiting:
            container.over = True
            self._update(key, pod, {"phase": "Failed", "reason": "DeadlineExceeded"})

    def _stopped(self, key: ObjectKey, uid: str, exit_code: int) -> None:
        pod = self._objects.by_key.get(key)
        container = self.containers.get(uid)
        if pod is None or container is None or container.over:
            return
        self._end(key, exit_code, by_deadline="deletionTimestamp" not in pod["metadata"])
        self._clear(key, uid)

    def _clear(self, key: ObjectKey, uid: str) -> None:
        """Removes a pod that is deleted, now that nothing of it runs."""
        pod = self._objects.by_key.get(key)
        if pod is None or pod["metadata"]["uid"] != uid:
            return
        if "deletionTimestamp" in pod["metadata"]:
            self._objects.remove(key)
            self.forget(pod)

    def _end(
        self,
        key: ObjectKey,
        exit_code: int,
        *,
        by_deadline: bool = False,
        reason: str = "",
        message: str = "",
        result: str | bytes = "",
    ) -> None:
        pod = self._objects.get(key)
        container = self.containers[pod["metadata"]["uid"]]
        container.over = True
        container.more.set()
        ended = {
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            "startedAt": container.started,
            "finishedAt": self._now(),
        }
        left = result.encode() if isinstance(result, str) else result
        log = b"".join(line for _, line in container.log)
        message = message or termination_message(pod, result=left, log=log, exit_code=exit_code)
        if message:
            ended["message"] = message
        failed = exit_code != 0 or by_deadline
        status: dict[str, Any] = {"phase": "Failed" if failed else "Succeeded"}
        if by_deadline:
            status["reason"] = "DeadlineExceeded"
        elif container.script.pod_reason:
            status["reason"] = container.script.pod_reason
            status["message"] = container.script.pod_message
        self._update(key, pod, {**status, **_statuses(pod, "terminated", ended)})
        self._placed.discard(pod["metadata"]["uid"])
        self._place()

    def _now(self) -> str:
        return _seconds(datetime.now(timezone.utc) - self._behind)

    def _update(self, key: ObjectKey, pod: Object, status: Mapping[str, Any]) -> None:
        metadata = dict(pod["metadata"])
        self._objects.put(key, {**pod, "metadata": metadata, "status": {**pod["status"], **status}})


def _statuses(pod: Object, state: str, values: Mapping[str, Any]) -> dict[str, Any]:
    image = pod["spec"]["containers"][0].get("image", "")
    return {
        "containerStatuses": [
            {
                "name": each["name"],
                "image": image,
                "imageID": f"{image}@sha256:fake",
                "restartCount": 0,
                "ready": state == "running",
                "state": {state: dict(values)},
            }
            for each in pod["spec"]["containers"]
        ]
    }


def _is_past_deadline(pod: Object) -> bool:
    """Whether the deadline is one that podmap sets to end a pod at once."""
    deadline = pod["spec"].get("activeDeadlineSeconds")
    return deadline is not None and deadline <= 1


def unfinished(pod: Object) -> bool:
    """Whether a pod may still run."""
    return pod["status"].get("phase") in ("Pending", "Running")


def ask_to_delete(
    objects: FakeObjects, nodes: FakeNodes, key: ObjectKey, options: Mapping[str, Any]
) -> Object:
    """Deletes a pod as the API server does: at once, or when its node says that it has ended.

    Raises:
        RefusedError: There is no such pod, or a precondition is not met.
    """
    pod = objects.get(key)
    metadata = pod["metadata"]
    for name, wanted in (options.get("preconditions") or {}).items():
        if metadata.get(name) != wanted:
            raise RefusedError(409, "Conflict", f"precondition failed: {name} is another")
    grace_s = options.get("gracePeriodSeconds")
    if grace_s is None:
        grace_s = pod["spec"].get("terminationGracePeriodSeconds", 30)
    if not pod["spec"].get("nodeName") or not unfinished(pod):
        grace_s = 0
    before = metadata.get("deletionGracePeriodSeconds")
    if before is None or grace_s < before:
        due = datetime.now(timezone.utc) + timedelta(seconds=grace_s)
        metadata = {
            **metadata,
            "deletionTimestamp": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "deletionGracePeriodSeconds": grace_s,
        }
        pod = objects.put(key, {**pod, "metadata": metadata})
    if grace_s == 0:
        objects.remove(key)
        nodes.forget(pod)
    else:
        nodes.stop(key, grace_s)
    return pod


def _seconds(moment: datetime) -> str:
    """A time as a cluster tells it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
