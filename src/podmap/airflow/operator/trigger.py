"""The trigger that waits for a pod of `TrialPodOperator`, on the watch that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from podmap.aio import spawn
from podmap.airflow import triggerer
from podmap.airflow.claims import owner_of
from podmap.airflow.connections import trigger_hub
from podmap.airflow.log_turns import TurnsLog
from podmap.airflow.operator.attempt import PodAttempt, cancel_trial
from podmap.airflow.operator.trial import OperatorTrial, open_planned
from podmap.airflow.trial_log import TrialLog, show_error
from podmap.airflow.triggerer import until_reached
from podmap.engine.timing import TIMING
from podmap.errors import PodmapError

if TYPE_CHECKING:
    from podmap.engine.hub import Hub


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
        owner: Who the run must belong to, where the trigger has no task instance.
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
        owner: dict[str, str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.planned = run
        self.number = number
        self.epoch = epoch
        self.pod = pod
        self.last_try = last_try
        self.shows_log = shows_log
        self.kills = kills
        self.given_owner = owner

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
                "owner": self.given_owner,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: the pod has ended, or could not be waited for."""
        namespace = self.planned.get("namespace", "")
        event = {"name": self.pod, "namespace": namespace, "epoch": self.epoch}
        log = TurnsLog(self.log)
        try:
            try:
                await self._wait_for_end(log)
                event["status"] = "ended"
            except Exception as error:  # the border to Airflow: whatever it is, it must go on
                show_error(log, error)
                text = str(error) if isinstance(error, PodmapError) else repr(error)
                event.update(status="error", message=text)
            await log.finish()  # Airflow closes the log when it gets the event
        finally:
            log.close()
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's own

    async def on_kill(self) -> None:
        """Ends the pod when a user ended the task, and only then."""
        ti = self.task_instance
        if ti is not None and self.kills and await triggerer.ended_by_user(ti, self.log):
            # Airflow gives this call 30 s: the loop goes on with it when the call is cancelled.
            await asyncio.shield(spawn(until_reached(self._cancel_trial, log=self.log)))

    async def _cancel_trial(self) -> None:
        hub, trial = await self._enter()
        reason, grace_s = triggerer.ENDED_BY_USER, TIMING.kill_grace_s
        await cancel_trial(hub.backend, trial, reason=reason, grace_s=grace_s)

    async def _wait_for_end(self, log: TurnsLog) -> None:
        hub, trial = await until_reached(self._enter, log=log)
        attempt = PodAttempt(trial, hub.backend, last_try=self.last_try, name=self.pod)
        on_line = TrialLog(log, self.number).show_line if self.shows_log else None
        await until_reached(lambda: attempt.wait_for_end(on_line=on_line), log=log)

    async def _enter(self) -> tuple[Hub, OperatorTrial]:
        hub = await trigger_hub(self.planned)
        return hub, await hub.call(self._trial)

    def _trial(self) -> OperatorTrial:
        ti = self.task_instance
        owner = owner_of(ti) if ti is not None else self.given_owner or {}
        return OperatorTrial(open_planned(self.planned, owner), self.number, epoch=self.epoch)
