"""The pod of one try of `TrialPodOperator`: made, waited for, written down and removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

from podmap.aio import alongside
from podmap.airflow.operator.run_pruner import RunPruner
from podmap.airflow.operator.stop import UserStop
from podmap.airflow.operator.trial import OperatorTrial
from podmap.airflow.runtimes import LEFT
from podmap.backends.base import Backend, LaunchError, Observation, Phase
from podmap.backends.connect import Target, connected
from podmap.backends.kubernetes.backend import KubernetesBackend
from podmap.backends.kubernetes.pod.build import CONTAINER, build_pod
from podmap.backends.launch import Launch
from podmap.engine.attempt import LineHandler, Listener
from podmap.engine.log_pieces import LogPieces, log_pieces
from podmap.engine.messages import make_messages, must_follow
from podmap.engine.planned import PlannedRun
from podmap.engine.result import lacks_result
from podmap.engine.tally import TIME_IS_OVER
from podmap.engine.teardown import AT_ONCE, GRACE_S
from podmap.engine.timing import TIMING
from podmap.errors import BackendError, SpecError, UnreachableError
from podmap.records import Attempt, Category, Diagnosis, Record

T = TypeVar("T")


class PodOver(Exception):
    """Leads out of the provider's flow: the pod has ended, is gone, or was never made."""


class PodAttempt:
    """The attempt that a try makes, or takes over.

    After an `UnreachableError` each method may be called again.

    Attributes:
        trial: Its trial.
        name: The pod's name, once there is one.
        last_try: Whether Airflow would not try the task again.
    """

    def __init__(
        self,
        trial: OperatorTrial,
        backend: Backend,
        *,
        last_try: bool,
        name: str | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            trial: The trial.
            backend: Where the pod is.
            last_try: Whether Airflow would not try the task again.
            name: The pod's name, where there is one.
        """
        self.trial = trial
        self.name = name
        self._backend = backend
        self.last_try = last_try
        self._launch: Launch | None = None
        self._listener: Listener | None = None
        self._pruner: RunPruner | None = None

    async def find_or_prepare(self) -> bool:
        """Whether there is something to run: a new attempt, or one that runs and is taken over.

        Raises:
            UnreachableError: Another process writes the trial's record in this very moment, or
                the run starts no attempts for now.
        """
        found = await self._backend.list(self.trial.planned.manifest.run_id)
        standing = await asyncio.to_thread(self.trial.read_standing, found)
        for name in standing.leftovers:
            await self._backend.delete(name)
        if standing.settled is not None:
            return False
        if standing.attempt is None and standing.launch is None:
            raise UnreachableError(f"the record of trial {self.trial.number} changes all the time")
        self._launch = standing.launch
        if standing.attempt is not None:
            self.name = standing.attempt.name
        return True

    def pod_body(self, namespace: str) -> dict[str, Any]:
        """The pod that is to be created, with the trial's container first; blocks.

        Raises:
            PodOver: The spec gives no pod; the record says so.
        """
        launch = self._new_launch()
        try:
            body = build_pod(launch, gated=False, namespace=namespace)
        except SpecError as error:
            self._refuse(launch, Diagnosis(Category.CREATE_ERROR, str(error)))
            raise PodOver from error
        body["spec"]["containers"].sort(key=lambda each: each["name"] != CONTAINER)
        return body

    async def create(self, body: Mapping[str, Any]) -> None:
        """Creates the pod.

        Raises:
            PodOver: It can never be created; the record says why.
            BackendError: It cannot be created now.
        """
        launch = self._new_launch()
        try:
            seen = await cast(KubernetesBackend, self._backend).create(launch, body=body)
        except LaunchError as error:
            await asyncio.to_thread(self._refuse, launch, error.diagnosis)
            raise PodOver from error
        if seen.epoch != self.trial.epoch:
            raise BackendError(f"an older pod {launch.name} is still there")
        self.name = launch.name

    async def observe(self) -> Observation:
        """What is seen of the attempt now."""
        name = self.name or ""
        run_id, number = self.trial.planned.manifest.run_id, self.trial.number
        found = await self._backend.list(run_id, number=number)
        return next((seen for seen in found if seen.name == name), Observation.gone(name))

    async def is_over(self) -> bool:
        """Whether it has ended now, or is gone."""
        return (await self.observe()).phase in (Phase.ENDED, Phase.GONE)

    async def wait_for_start(self, show: Callable[[str], None], *, every_s: float) -> None:
        """Returns once it does not wait any more, for as long as that takes.

        Args:
            show: Gets what the pod waits for.
            every_s: How often to look.

        Raises:
            PodOver: It has ended, or is gone, and its container has never run.
        """

        async def tell() -> None:
            async for reason in self._backend.notices(self.name or ""):
                show(reason)

        async with self._limited(), alongside(tell()):
            while (seen := await self.observe()).phase is Phase.PENDING:
                await asyncio.sleep(every_s)
        if seen.phase in (Phase.ENDED, Phase.GONE) and seen.started is None:
            raise PodOver

    async def wait_for_end(self, *, on_line: LineHandler | None = None) -> Attempt | None:
        """Waits for its end, within its time, and writes it; the attempt as the record has it.

        Args:
            on_line: Gets its output; None if nobody wants it.

        Returns:
            None if there is no attempt, or its end counts no more.
        """
        if self.name is None:
            return None
        name, written = self.name, await self.written_end()
        if written is not None:
            return written
        if self._listener is None:
            self._listener = Listener(
                self._backend,
                name,
                wait_end=self._backend.wait,
                on_line=on_line,
                on_report=self._report,
                make_messages=partial(make_messages, self.trial.planned.sweep),
                streams=self.trial.planned.streams,
                follows=must_follow(self.trial.planned.sweep),
                lacks_result=partial(lacks_result, objectives=self.trial.planned.objectives),
                pieces=self._log_pieces(name),
            )
        async with RunPruner.joined(self.trial.planned, name, self._backend) as self._pruner:
            async with self._limited():
                ended = await self._listener.listen()
            found = await self._backend.list(self.trial.planned.manifest.run_id)
            stop = await asyncio.to_thread(
                self.trial.write_end, ended, last_try=self.last_try, found=found
            )
            if self._pruner is not None:
                self._pruner.count_record(await asyncio.to_thread(self.trial.record))
        if stop is not None:
            await self._end_others(stop.reason)
        return await self.written_end()

    def _log_pieces(self, name: str) -> LogPieces | None:
        planned = self.trial.planned
        return log_pieces(planned.sweep.log_rules, planned.ledger, name, asyncio.to_thread)

    def _report(self, step: int, values: Mapping[str, Any]) -> None:
        if self._pruner is not None:
            number, epoch = self.trial.number, self.trial.epoch
            self._pruner.report(self.name or "", number, epoch, step, values)

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """Meanwhile the pod is ended when its own time is over, or that of the run."""
        # The backend sees to the limits of what it waits for, also while the output is read.
        wait = self._backend.wait(self.name or "")
        async with (
            alongside(wait),
            alongside(self._end_with_run()),
            alongside(self._end_when_stopped()),
        ):
            yield

    async def _end_with_run(self) -> None:
        """Ends the pod when the run's time is over, if it has not started or none may go on."""
        planned = self.trial.planned
        left_s, budget = planned.time_left_s, planned.sweep.budget
        if left_s is None or budget is None:
            return
        await asyncio.sleep(max(0.0, left_s))
        reason = Diagnosis(Category.CANCELLED, TIME_IS_OVER)
        while True:
            try:
                seen = await self.observe()
                if seen.phase is Phase.PENDING or budget.on_exceed == "cancel":
                    await self._backend.kill(seen.name, reason=reason, grace_s=TIMING.kill_grace_s)
                return
            except BackendError:
                await asyncio.sleep(TIMING.ask_again_s)

    async def _end_when_stopped(self) -> None:
        """Ends the pod when a user stops the run, if it has not started or none may go on."""
        stops = UserStop.of(self.trial.planned.ledger)
        while True:
            stop = await stops.next()
            try:
                seen = await self.observe()
                if seen.phase is Phase.PENDING or stop.cancel:
                    why = Diagnosis(Category.CANCELLED, stop.reason)
                    await self._backend.kill(seen.name, reason=why, grace_s=TIMING.kill_grace_s)
                    return
            except BackendError:
                pass  # asked again

    async def _end_others(self, reason: str) -> None:
        """Ends the other attempts of the run; who waits for each of them writes its end."""
        why = Diagnosis(Category.CANCELLED, reason)
        found = await self._backend.list(self.trial.planned.manifest.run_id)
        others = [seen for seen in found if seen.name != self.name]
        await asyncio.gather(
            *(
                self._backend.kill(seen.name, reason=why, grace_s=GRACE_S)
                for seen in others
                if seen.phase in (Phase.PENDING, Phase.RUNNING)
            )
        )

    async def written_end(self) -> Attempt | None:
        """The attempt as the record has it; None before its end is there."""
        if self.name is None:
            return None
        return await asyncio.to_thread(self.trial.written_end, self.name)

    @property
    def number(self) -> int | None:
        """The attempt's number; None as long as there is none to be made or taken over."""
        if self.name is not None:
            return Observation.gone(self.name).attempt
        return None if self._launch is None else self._launch.attempt

    async def remove(self, *, keep: bool) -> None:
        """Removes the ended pod, or leaves it to whoever wants to look at it."""
        if self.name is not None:
            await (self._backend.keep if keep else self._backend.delete)(self.name)

    def _new_launch(self) -> Launch:
        if self._launch is None:
            raise BackendError(f"trial {self.trial.number} has no attempt to begin")
        return self._launch

    def _refuse(self, launch: Launch, diagnosis: Diagnosis) -> None:
        self.trial.write_refusal(launch, diagnosis, last_try=self.last_try)


async def cancel_trial(
    backend: Backend,
    trial: OperatorTrial,
    *,
    reason: str,
    grace_s: float,
    attempt: int | None = None,
) -> None:
    """Ends and removes the pods of a trial in its asking, and writes that it is cancelled.

    Args:
        backend: Where the pods are.
        trial: The trial.
        reason: Why.
        grace_s: From SIGTERM to SIGKILL.
        attempt: The attempt of the try that is cancelled. Where that has ended, or a later one
            runs, the trial is another try's, and left alone. None for the trial as it is.

    Raises:
        UnreachableError: The store or the cluster could not be asked.
    """
    why = Diagnosis(Category.CANCELLED, reason)
    run_id = trial.planned.manifest.run_id
    found = await backend.list(run_id, number=trial.number)
    if attempt is not None and await asyncio.to_thread(trial.is_past, attempt, found):
        return
    for seen in found:
        if seen.epoch == trial.epoch:
            await backend.kill(seen.name, reason=why, grace_s=grace_s)
            ending = PodAttempt(trial, backend, last_try=True, name=seen.name)
            await ending.wait_for_end()
            await backend.delete(seen.name)
    await asyncio.to_thread(trial.cancel, reason)


async def cancel_left_trials(planned: PlannedRun, left: Iterable[Record], target: Target) -> None:
    """Cancels trials whose tasks have ended without them, some at the same time.

    Args:
        planned: The run.
        left: The trials' records, none of them terminal.
        target: Where the pods are.

    Raises:
        UnreachableError: The store or the cluster could not be asked.
    """
    turns = asyncio.Semaphore(AT_ONCE)
    async with connected(target) as backend:

        async def cancel(record: Record) -> None:
            async with turns:
                trial = OperatorTrial(planned, record.number, epoch=record.epoch)
                await cancel_trial(backend, trial, reason=LEFT, grace_s=GRACE_S)

        await asyncio.gather(*map(cancel, left))
