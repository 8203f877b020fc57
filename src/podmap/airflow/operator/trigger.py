"""The trigger that waits for a pod of `TrialPodOperator`, on the watch that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from podmap.airflow import triggerer
from podmap.airflow.connections import trigger_hub
from podmap.airflow.operator.run import open_run
from podmap.airflow.operator.trial import PodTrial
from podmap.backends.base import Backend, Observation
from podmap.engine.attempt import TAIL_BYTES, EndedAttempt, Listener, Messages
from podmap.engine.timing import TIMING
from podmap.errors import PodmapError, UnreachableError
from podmap.records import Category, Diagnosis

if TYPE_CHECKING:
    from podmap.engine.hub import Hub

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
KILLED = "ended by a user, in Airflow"


class _Waiting:
    """Waits for a pod's end, and keeps its timeout meanwhile, while its output is followed.

    It stands for a run's slots: here it is Airflow that counts what runs.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._task: asyncio.Task[Observation] | None = None

    def begin(self, name: str) -> asyncio.Task[Observation]:
        if self._task is None or (self._task.done() and self._task.exception() is not None):
            self._task = asyncio.ensure_future(self._backend.wait(name))
        return self._task

    async def ended(self, name: str) -> Observation:
        return await asyncio.shield(self.begin(name))

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()


class TrialPodTrigger(BaseTrigger):
    """Waits until a pod has ended, and writes its trial's record at once.

    So the result is kept even if the pod is gone before a worker goes on with the task. No pod is
    polled: one list+watch serves all the pods of a namespace, of all runtimes of podmap.

    Args:
        run: Where the run is, as `plan` has left it.
        number: The trial.
        epoch: The asking.
        pod: The pod's name.
        last_try: Whether Airflow would not try the task again.
        shows_log: Whether the output is shown in the task's log.
        kills: Whether a user who ends the task ends the pod.
    """

    def __init__(
        self,
        run: dict[str, str],
        number: int,
        epoch: str,
        pod: str,
        last_try: bool = False,
        shows_log: bool = True,
        kills: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.planned = run
        self.number = number
        self.epoch = epoch
        self.pod = pod
        self.last_try = last_try
        self.shows_log = shows_log
        self.kills = kills

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments of `__init__`."""
        return (
            "podmap.airflow.operator.trigger.TrialPodTrigger",
            {
                "run": self.planned,
                "number": self.number,
                "epoch": self.epoch,
                "pod": self.pod,
                "last_try": self.last_try,
                "shows_log": self.shows_log,
                "kills": self.kills,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: the pod has ended, or could not be waited for."""
        event = {"name": self.pod, "namespace": self.planned.get("namespace", "")}
        try:
            await self._settle()
            event["status"] = "ended"
        except Exception as error:  # the border to Airflow: whatever it is, the task must go on
            text = str(error) if isinstance(error, PodmapError) else repr(error)
            self.log.error("podmap: %s", text, exc_info=not isinstance(error, PodmapError))
            event.update(status="error", message=text)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's own

    async def on_kill(self) -> None:
        """Ends the pod when a user ended the task, and only then."""
        ti = self.task_instance
        if ti is not None and self.kills and await triggerer.ended_by_user(ti, self.log):
            await self._kill()

    async def _settle(self) -> None:
        hub = await trigger_hub(self.planned)
        waiting = _Waiting(hub.backend)
        listener: Listener | None = None
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                try:
                    trial = await hub.call(self._trial)
                    if await hub.call(trial.settled, self.pod):
                        return
                    listener = listener or self._listener(hub, trial, waiting)
                    waiting.begin(self.pod)
                    return await self._keep(hub, trial, await listener.listen())
                except UnreachableError as error:
                    self.log.warning("podmap: %s; asking again in %.0f s", error, pause_s)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            waiting.end()

    async def _keep(self, hub: Hub, trial: PodTrial, ended: EndedAttempt) -> None:
        await hub.call(lambda: trial.settle(ended, last_try=self.last_try))

    async def _kill(self) -> None:
        hub = await trigger_hub(self.planned)
        trial = await hub.call(self._trial)
        reason = Diagnosis(Category.CANCELLED, KILLED)
        await hub.backend.kill(self.pod, reason=reason, grace_s=TIMING.kill_grace_s)
        seen = await hub.backend.wait(self.pod)
        tail = await hub.backend.tail(self.pod, max_bytes=TAIL_BYTES)
        await self._keep(hub, trial, EndedAttempt(seen, Messages(), tail))
        await hub.call(trial.cancel, KILLED)
        await hub.backend.delete(self.pod)

    def _trial(self) -> PodTrial:
        return PodTrial(open_run(self.planned), self.number, ti_id="", epoch=self.epoch)

    def _listener(self, hub: Hub, trial: PodTrial, waiting: _Waiting) -> Listener:
        return Listener(
            hub.backend,
            self.pod,
            wait_end=waiting.ended,
            on_line=self._line if self.shows_log else None,
            streams=trial.run.streams,
        )

    def _line(self, line: str) -> None:
        self.log.info("%s", line)


def pod_trigger(run: Mapping[str, str], trial: PodTrial, pod: str, **options: bool) -> BaseTrigger:
    """The trigger that waits for a trial's pod.

    Args:
        run: What `plan` has left.
        trial: The trial.
        pod: The pod's name.
        options: `last_try`, `shows_log` and `kills` of the trigger.
    """
    return TrialPodTrigger(dict(run), trial.number, trial.epoch, pod, **options)
