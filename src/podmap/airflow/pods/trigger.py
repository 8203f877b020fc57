"""The trigger that runs trials: no worker is needed from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import (
    BaseTaskEndEvent,
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from podmap.airflow import triggerer
from podmap.airflow.connections import trigger_hub
from podmap.errors import PodmapError, UnreachableError
from podmap.records import Record, TrialState

if TYPE_CHECKING:
    from podmap.engine.hub import Hub
    from podmap.engine.session import RunSession

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
KILLED = "ended by a user, in Airflow"


class TrialTrigger(BaseTrigger):
    """Settles the trials of one mapped instance and ends the instance itself.

    Args:
        run: Where the run is, as `plan` has left it; None to ask Airflow for it.
        map_index: Which mapped instance this is; None to take the task instance's.
        epoch: Which asking this is; None to take the task instance's id.
    """

    def __init__(
        self,
        run: dict[str, str] | None = None,
        map_index: int | None = None,
        epoch: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.given_run = run
        self.given_map_index = map_index
        self.given_epoch = epoch

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments of `__init__`."""
        return (
            "podmap.airflow.pods.trigger.TrialTrigger",
            {"run": self.given_run, "map_index": self.given_map_index, "epoch": self.given_epoch},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event, which ends the mapped instance. Raises nothing but cancellation."""
        try:
            event = await self._settle()
        except Exception as error:  # the border to Airflow: whatever it is, the instance must end
            text = str(error) if isinstance(error, PodmapError) else repr(error)
            self.log.error("podmap: %s", text, exc_info=not isinstance(error, PodmapError))
            event = TaskFailedEvent()
        yield event

    async def _settle(self) -> BaseTaskEndEvent:
        run = await self._run()
        hub = await trigger_hub(run)
        session = await self._enter(hub, run)
        try:
            numbers = self._numbers(session)
            records = await self._settle_all(session, numbers)
        finally:
            hub.leave(run["uri"], run["version"])
        return self._event(records)

    async def _settle_all(self, session: RunSession, numbers: range) -> list[Record]:
        from podmap.engine.trial import settle

        for number in numbers:
            self.log.info("trial %d: %s", number, _params(session, number))
        if len(numbers) == 1:
            return [await settle(session, numbers[0], self._epoch, on_line=self._line)]
        tasks = [
            asyncio.ensure_future(
                settle(session, number, self._epoch, on_line=self._numbered_line(number))
            )
            for number in numbers
        ]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    def _line(self, line: str) -> None:
        self.log.info("%s", line)

    def _numbered_line(self, number: int) -> Any:
        return lambda line: self.log.info("[%d] %s", number, line)

    def _event(self, records: list[Record]) -> BaseTaskEndEvent:
        for record in records:
            what = f"trial {record.number}: {record.state.value}"
            if record.state is TrialState.COMPLETE and record.epoch != self._epoch:
                what += f", kept from {record.finished}: not run again"
            if record.state is TrialState.FAILED:
                self.log.error("%s: %s%s", what, record.reason, _resolution(record))
            elif record.state is TrialState.CANCELLED:
                self.log.warning("%s: %s", what, record.reason)
            else:
                self.log.info("%s: %s %s", what, dict(record.metrics), record.reason)
        states = {record.state for record in records}
        if TrialState.FAILED in states:
            return TaskFailedEvent()
        if states == {TrialState.CANCELLED}:
            return TaskSkippedEvent()
        return TaskSuccessEvent()

    async def on_kill(self) -> None:
        """Ends the trials when a user ended the instance, and only then."""
        ti = self.task_instance
        if ti is not None and await triggerer.ended_by_user(ti, self.log):
            await self._kill()

    async def _kill(self) -> None:
        from podmap.engine.trial import kill

        run = await self._run()
        hub = await trigger_hub(run)
        session = await hub.enter(run["uri"], run["version"])
        try:
            await asyncio.gather(
                *(
                    kill(session, number, self._epoch, reason=KILLED)
                    for number in self._numbers(session)
                )
            )
        finally:
            hub.leave(run["uri"], run["version"])

    async def _run(self) -> dict[str, str]:
        if self.given_run is None:
            pause_s = FIRST_PAUSE_S
            while True:
                try:
                    self.given_run = await triggerer.planned_run(self.task_instance)
                    break
                except UnreachableError as error:
                    pause_s = await self._pause(error, pause_s)
        return self.given_run

    async def _enter(self, hub: Hub, run: dict[str, str]) -> RunSession:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await hub.enter(run["uri"], run["version"])
            except UnreachableError as error:
                pause_s = await self._pause(error, pause_s)

    async def _pause(self, error: Exception, pause_s: float) -> float:
        self.log.warning("podmap: %s; asking again in %.0f s", error, pause_s)
        await asyncio.sleep(pause_s)
        return min(2 * pause_s, LONGEST_PAUSE_S)

    @property
    def _epoch(self) -> str:
        return self.given_epoch or str(self.task_instance.id)  # type: ignore[union-attr]

    def _numbers(self, session: RunSession) -> range:
        index = self.given_map_index
        if index is None:
            index = self.task_instance.map_index  # type: ignore[union-attr]
        size = session.planned.manifest.trials_per_task
        return range(index * size, min((index + 1) * size, session.planned.plan.count))


def _params(session: RunSession, number: int) -> str:
    trial = session.planned.plan.trial(number)
    text = " ".join(f"{name}={value}" for name, value in trial.params.items())
    return f"{trial.shard.uri} {text}" if trial.shard else text


def _resolution(record: Record) -> str:
    """What the last diagnosis adds: the end of the output, and what to do."""
    diagnosis = record.attempts[-1].diagnosis if record.attempts else None
    if diagnosis is None:
        return ""
    return "".join(f"\n{text}" for text in (diagnosis.detail, diagnosis.resolution) if text)
