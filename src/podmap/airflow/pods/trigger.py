"""The trigger that runs trials: no worker is needed from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import (
    BaseTaskEndEvent,
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from podmap.aio import spawn
from podmap.airflow import settings, triggerer
from podmap.airflow.claims import claim_of, owner_of
from podmap.airflow.connections import trigger_hub
from podmap.airflow.instance_end import end_state, end_xcoms
from podmap.airflow.log_turns import TurnsLog
from podmap.airflow.trial_log import TrialLog, show_error
from podmap.airflow.triggerer import until_reached
from podmap.errors import ManifestChangedError, UnreachableError
from podmap.records import Record

if TYPE_CHECKING:
    from podmap.engine.hub import Hub
    from podmap.engine.session import RunSession
    from podmap.ledger.claim import RunClaim

_EVENTS: dict[str, type[BaseTaskEndEvent]] = {
    "failed": TaskFailedEvent,
    "skipped": TaskSkippedEvent,
    "success": TaskSuccessEvent,
}


class TrialTrigger(BaseTrigger):
    """Runs the trials of one mapped instance to their ends, and ends the instance itself.

    Args:
        run: Where the run is, as `plan` has left it; None to ask Airflow for it.
        map_index: Which mapped instance this is; None to take the task instance's.
        epoch: Which asking this is; None to take the task instance's id.
        owner: Who the run must belong to; None to take the task instance's names, which go first.
    """

    def __init__(
        self,
        run: dict[str, str] | None = None,
        map_index: int | None = None,
        epoch: str | None = None,
        owner: dict[str, str] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.given_run = run
        self.given_map_index = map_index
        self.given_epoch = epoch
        self.given_owner = owner
        self._entered: dict[str, str] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments of `__init__`."""
        return (
            "podmap.airflow.pods.trigger.TrialTrigger",
            {
                "run": self.given_run,
                "map_index": self.given_map_index,
                "epoch": self.given_epoch,
                "owner": self.given_owner,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event, which ends the mapped instance. Raises nothing but cancellation."""
        log = TurnsLog(self.log)
        try:
            try:
                event = await self._run_trials(log)
            except Exception as error:  # the border to Airflow: whatever it is, it must end
                show_error(log, error)
                event = TaskFailedEvent()
            await log.finish()  # Airflow closes the log when it gets the event
        except asyncio.CancelledError:
            if self.task_instance is not None:
                triggerer.forget_run(self.task_instance)
            raise
        finally:
            log.close()
        yield event

    async def on_kill(self) -> None:
        """Ends the trials when a user ended the instance, and only then.

        Airflow gives this call 30 s, and a program that does not end by SIGTERM needs as long: so
        the loop goes on with it when the call is cancelled.
        """
        ti = self.task_instance
        if ti is not None and await triggerer.ended_by_user(ti, self.log):
            await asyncio.shield(spawn(until_reached(self._kill_trials, log=self.log)))

    async def _run_trials(self, log: TurnsLog) -> BaseTaskEndEvent:
        hub, claim, session = await until_reached(self._enter, log=log)
        try:
            numbers = self._numbers(session)
            turns = {number: log.branch() if len(numbers) > 1 else log for number in numbers}
            logs = {n: TrialLog(turns[n], n, in_chunk=len(numbers) > 1) for n in numbers}
            records = await self._records(session, logs, log)
        finally:
            hub.leave(claim)
        for record in records:
            logs[record.number].show_verdict(record, epoch=self._epoch)
        lost = len(records) < len(logs)
        link = settings.browse_url(session.planned.ledger.record_uri(numbers[0]))
        xcoms = end_xcoms(records, session.planned.objectives, lost=lost, link=link)
        return _EVENTS[end_state(records, lost=lost)](xcoms=xcoms)

    async def _records(
        self, session: RunSession, logs: dict[int, TrialLog], log: TurnsLog
    ) -> list[Record]:
        """The terminal records of all trials, which run at the same time.

        A trial that ends with an error, such as a record that cannot be understood, has none; the
        others go on.
        """
        trials = [self._run_trial(session, number, each) for number, each in logs.items()]
        ends = await asyncio.gather(*trials, return_exceptions=True)
        _show_errors(log, logs, ends)
        return [end for end in ends if isinstance(end, Record)]

    async def _run_trial(self, session: RunSession, number: int, log: TrialLog) -> Record:
        from podmap.engine.trial import run_trial

        return await run_trial(
            session, number, self._epoch, on_start=log.begin, on_line=log.show_line
        )

    async def _kill_trials(self) -> None:
        from podmap.engine.trial_end import kill_trial

        hub, claim, session = await until_reached(self._enter, log=self.log)
        try:
            numbers = self._numbers(session)
            kills = [
                kill_trial(session, number, self._epoch, reason=triggerer.ENDED_BY_USER)
                for number in numbers
            ]
            ends = await asyncio.gather(*kills, return_exceptions=True)
            unasked = [end for end in ends if isinstance(end, UnreachableError)]
            if unasked:  # then all are asked again: to kill what was killed does nothing
                raise unasked[0]
            _show_errors(self.log, numbers, ends)
        finally:
            hub.leave(claim)

    async def _enter(self) -> tuple[Hub, RunClaim, RunSession]:
        """The session of the run, if it is the one that this instance's `plan` has left."""
        try:
            # Of a DAG that was deleted Airflow does not know any more what is to be ended.
            return await self._enter_as(self._entered or await self._planned_run(fresh=False))
        except ManifestChangedError:
            # It may have been planned anew a moment ago.
            return await self._enter_as(await self._planned_run(fresh=True))

    async def _enter_as(self, run: dict[str, str]) -> tuple[Hub, RunClaim, RunSession]:
        ti = self.task_instance
        owner = owner_of(ti) if ti is not None else self.given_owner or {}
        claim = claim_of(run, owner)
        hub = await trigger_hub(run)
        session = await hub.enter(claim)
        self._entered = run
        return hub, claim, session

    async def _planned_run(self, *, fresh: bool) -> dict[str, str]:
        if self.given_run is not None:
            return self.given_run
        return await triggerer.planned_run(self.task_instance, fresh=fresh)

    @property
    def _epoch(self) -> str:
        return self.given_epoch or str(self.task_instance.id)  # type: ignore[union-attr]

    def _numbers(self, session: RunSession) -> range:
        index = self.given_map_index
        if index is None:
            index = self.task_instance.map_index  # type: ignore[union-attr]
        size = session.planned.manifest.trials_per_task
        return range(index * size, min((index + 1) * size, session.planned.manifest.count))


def _show_errors(log: Any, numbers: Iterable[int], ends: Sequence[object]) -> None:
    for number, end in zip(numbers, ends, strict=True):
        if isinstance(end, Exception):
            log.error("podmap: trial %d is given up, and no other one for it", number)
            show_error(log, end)
