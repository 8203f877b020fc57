"""A backend without a cluster: attempts take no time, and go wrong where a test wants it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from podmap.backends.base import Backend, Confirm, LaunchError, Observation, Phase, timed_out
from podmap.backends.kubernetes.diagnosis.observe import observe
from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.backends.kubernetes.diagnosis.waiting import never_started
from podmap.backends.kubernetes.pod import build
from podmap.backends.kubernetes.pod.build import RESULT_PATH
from podmap.backends.launch import Launch
from podmap.backends.values import refuse_launch
from podmap.clock import utc_now
from podmap.records import Category, Diagnosis
from podmap.spec.model import TrialTemplate
from podmap.testing.sweep import pod_states
from podmap.testing.sweep.fail import Failure, FailureKind
from podmap.testing.sweep.training import Training, TrainingResult

TakesSeconds = Callable[[dict[str, Any]], float]

NO_IMAGE = "no-image"
"""Stands for the image of trials that are meant for local processes and have none."""
_NEVER_STARTED = frozenset({FailureKind.NODE_REJECTED, FailureKind.IMAGE_PULL})


@dataclass(slots=True)
class SimulatedAttempt:
    """One attempt.

    Attributes:
        launch: What was asked for.
        pod: The pod that a cluster would be sent.
        seen: How it stands.
        log: What it printed.
        over: Done once it has ended or is gone.
        started: When its container started; None before.
    """

    launch: Launch
    pod: dict[str, Any]
    seen: Observation
    log: bytes = b""
    over: asyncio.Future[Observation] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    started: Any = None


class SimulatedBackend(Backend):
    """Runs attempts in the time of a virtual loop, on one machine and one after the other.

    The pods' states are those of a cluster, and read by the code that reads real pods.

    Attributes:
        pods: Trial and attempt to the pod that a cluster would have been sent.
        logs: Trial and attempt to what the attempt printed.
        happened: The failures that came to pass.
        most_alive: The most attempts that were alive at the same time.
        broken: Done, with an error, once something is wrong with the test itself.
    """

    name = "kubernetes"

    def __init__(
        self,
        training: Training,
        *,
        failures: Sequence[Failure],
        takes_s: TakesSeconds,
        hangs_for_s: float,
        waits_for_s: float,
        folder: Path,
        namespace: str,
    ) -> None:
        """Holds no attempts yet; made on the loop that it is used on.

        Args:
            training: Does the training of an attempt.
            failures: What is to go wrong.
            takes_s: The params of a trial to the virtual seconds that its training takes.
            hangs_for_s: Virtual seconds after which an attempt that hangs will never be ended.
            waits_for_s: Virtual seconds after which one that waits will never be taken back.
            folder: Where attempts leave their results; made if missing.
            namespace: Of the pods.
        """
        self._training = training
        self._failures = failures
        self._takes_s = takes_s
        self._hangs_for_s = hangs_for_s
        self._waits_for_s = waits_for_s
        self._folder = folder
        self._namespace = namespace
        self._attempts: dict[str, SimulatedAttempt] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.pods: dict[tuple[int, int], dict[str, Any]] = {}
        self.logs: dict[tuple[int, int], str] = {}
        self.happened: set[Failure] = set()
        self.most_alive = 0
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        folder.mkdir(parents=True, exist_ok=True)

    def result_path(self, attempt_name: str) -> str:
        """A file of this machine; in the pod's manifest it is the pod's own path."""
        return str(self._folder / attempt_name)

    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        """All attempts of a run that are not deleted."""
        return [
            each.seen
            for each in self._attempts.values()
            if each.seen.run_id == run_id and number in (None, each.seen.number)
        ]

    def unstarted(self, run_id: str) -> Iterable[str]:
        """Names of the run's attempts that wait for their start."""
        waiting = [each for each in self._attempts.values() if each.started is None]
        return [each.launch.name for each in waiting if not each.over.done()]

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        """Starts an attempt.

        Raises:
            LaunchError: The API server is to refuse it.
        """
        if launch.name in self._attempts:
            return self._attempts[launch.name].seen
        refused = refuse_launch(launch)
        if refused is not None:
            raise LaunchError(refused)
        pod = build.build_pod(
            in_a_pod(launch, result=self.result_path(launch.name)),
            gated=True,
            namespace=self._namespace,
        )
        failures = self._failures_of(launch)
        end = next((each for each in failures if each.kind is not FailureKind.SLOW_START), None)
        if end is not None and end.kind is FailureKind.REFUSED:
            self.happened.add(end)
            raise LaunchError(_refusal(end.text))
        self.pods[launch.number, launch.attempt] = pod
        attempt = SimulatedAttempt(launch, pod, observe(pod_states.waiting(pod), now=utc_now()))
        self._attempts[launch.name] = attempt
        self._count_alive()
        slow = [each for each in failures if each.kind is FailureKind.SLOW_START]
        self.happened.update(slow)
        pending_s = sum(each.seconds for each in slow)
        self._tasks[launch.name] = asyncio.ensure_future(self._run_attempt(attempt, end, pending_s))
        return attempt.seen

    async def wait(self, name: str) -> Observation:
        """Returns the observation of the attempt once it has ended or is gone."""
        attempt = self._attempts.get(name)
        if attempt is None:
            return Observation.gone(name)
        return await asyncio.shield(attempt.over)

    async def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """What the attempt has printed, once it has ended."""
        await self.wait(name)
        log = self._attempts[name].log if name in self._attempts else b""
        if log[offset:]:
            yield log[offset:]

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        """The last bytes of what the attempt has printed."""
        return self._attempts[name].log[-max_bytes:] if name in self._attempts else b""

    async def kill(self, name: str, *, reason: Diagnosis, grace_s: float) -> None:
        """Ends a running attempt; its observation carries `reason`."""
        attempt = self._attempts.get(name)
        if attempt is not None and not attempt.over.done():
            self._tasks[name].cancel()
            self._kill(attempt, reason)

    async def delete(self, name: str) -> None:
        """Removes all that is left of an attempt."""
        await self.kill(name, reason=Diagnosis(Category.CANCELLED, "deleted"), grace_s=0)
        self._attempts.pop(name, None)
        self._tasks.pop(name, None)

    async def close(self) -> None:
        """Ends what still runs: nothing of it outlives the test."""
        for task in self._tasks.values():
            task.cancel()

    def _failures_of(self, launch: Launch) -> Sequence[Failure]:
        params = params_of(launch)
        resources = (launch.template or TrialTemplate()).resources
        memory_bytes = resources.memory if resources else None
        return [
            each
            for each in self._failures
            if each.happens_to(launch.number, launch.attempt, params, memory_bytes)
        ]

    async def _run_attempt(
        self, attempt: SimulatedAttempt, end: Failure | None, pending_s: float
    ) -> None:
        try:
            if not await self._wait_for_start(attempt, end, pending_s):
                return
            attempt.started = utc_now()
            if end is not None and end.kind in _NEVER_STARTED:
                self._fail(attempt, end)
            else:
                await self._train(attempt, end)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except LaunchError as error:  # as of an image without the command
            seen = replace(attempt.seen, phase=Phase.ENDED, diagnosis=error.diagnosis)
            self._end_attempt(attempt, seen)
        except BaseException as error:
            if not self.broken.done():
                self.broken.set_exception(error)

    async def _wait_for_start(
        self, attempt: SimulatedAttempt, end: Failure | None, pending_s: float
    ) -> bool:
        """Whether it starts; else it has been given up."""
        waits_for_ever = end is not None and end.kind is FailureKind.UNSCHEDULABLE
        pod, limit_s = pod_states.waiting(attempt.pod), attempt.launch.pending_s
        if end is not None and waits_for_ever:
            self.happened.add(end)
            pod = pod_states.unplaced(attempt.pod, end.text)
            attempt.seen = observe(pod, now=utc_now())
        if limit_s is not None and (waits_for_ever or pending_s > limit_s):
            await asyncio.sleep(limit_s)
            self._kill(attempt, never_started(pod, limit_s))
            return False
        if waits_for_ever:
            await asyncio.sleep(self._waits_for_s)  # until the run's budget takes it back
            raise AssertionError(
                f"trial {attempt.launch.number} waits for ever: the spec has no pending, and the "
                "run has no budget.wall"
            )
        await asyncio.sleep(pending_s)
        return True

    async def _train(self, attempt: SimulatedAttempt, end: Failure | None) -> None:
        """The time from the container's start to its end."""
        launch = attempt.launch
        attempt.seen = observe(
            pod_states.running(attempt.pod, started=attempt.started), now=utc_now()
        )
        takes_s = self._takes_s(params_of(launch))
        limit_s = launch.timeout_s
        at_step = end is not None and end.at_step is not None
        if end is None or at_step:
            if limit_s is not None and takes_s > limit_s:
                return await self._time_out(attempt, limit_s)
            trained = self._training(launch, stop=end)
            attempt.log = trained.output.encode()
            if trained.timed_out and limit_s is not None:
                return await self._time_out(attempt, limit_s)
            if not trained.stopped:
                await asyncio.sleep(takes_s)
                return self._exit(attempt, trained)
        if end is not None and end.kind is FailureKind.HANGS:
            return await self._hang(attempt, end)
        if end is not None:
            await asyncio.sleep(takes_s)
            self._fail(attempt, end)

    async def _hang(self, attempt: SimulatedAttempt, end: Failure) -> None:
        self.happened.add(end)
        limit_s = attempt.launch.timeout_s
        if limit_s is not None:
            return await self._time_out(attempt, limit_s)
        await asyncio.sleep(self._hangs_for_s)  # until the run's budget ends it
        raise AssertionError(
            f"trial {attempt.launch.number} hangs for ever: it has no trial.timeout and no "
            "trial.deadline, and the run has no budget.wall that would cancel it"
        )

    async def _time_out(self, attempt: SimulatedAttempt, limit_s: float) -> None:
        await asyncio.sleep(limit_s)
        self._kill(attempt, timed_out(limit_s))

    def _fail(self, attempt: SimulatedAttempt, end: Failure) -> None:
        self.happened.add(end)
        if end.kind is FailureKind.EXITS:
            attempt.log += end.output.encode()
            trained = TrainingResult(end.code, end.text.encode(), attempt.log.decode())
            return self._exit(attempt, trained)
        pod = pod_states.failed(
            attempt.pod,
            end,
            started=attempt.started,
            now=utc_now(),
            output=attempt.log.decode("utf-8", "replace"),
        )
        gone = end.kind is FailureKind.NODE_LOST
        self._end_attempt(attempt, observe(pod, now=utc_now(), deleted=gone))

    def _exit(self, attempt: SimulatedAttempt, trained: TrainingResult) -> None:
        pod = pod_states.exited(
            attempt.pod,
            started=attempt.started,
            now=utc_now(),
            code=trained.code,
            result=trained.result,
            output=trained.output,
        )
        self._end_attempt(attempt, observe(pod, now=utc_now()))

    def _kill(self, attempt: SimulatedAttempt, why: Diagnosis) -> None:
        now = utc_now()
        pod = pod_states.killed(attempt.pod, started=attempt.started, now=now, why=why)
        self._end_attempt(attempt, observe(pod, now=now))

    def _end_attempt(self, attempt: SimulatedAttempt, seen: Observation) -> None:
        attempt.seen = seen
        self.logs[seen.number, seen.attempt] = attempt.log.decode("utf-8", "replace")
        attempt.over.set_result(seen)

    def _count_alive(self) -> None:
        alive = sum(not each.over.done() for each in self._attempts.values())
        self.most_alive = max(self.most_alive, alive)


def params_of(launch: Launch) -> dict[str, Any]:
    """The params of the attempt's trial."""
    params: dict[str, Any] = json.loads(launch.env["PODMAP_PARAMS"])
    return params


def in_a_pod(launch: Launch, *, result: str) -> Launch:
    """The attempt as a pod has it: with the pod's path for the result, and an image.

    Args:
        launch: The attempt.
        result: The path for its result on this machine.
    """
    template = launch.template or TrialTemplate()
    overlay = template.pod is not None and "containers" in template.pod.spec
    if template.image is None and not overlay:
        template = template.model_copy(update={"image": NO_IMAGE})

    def moved(texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(text.replace(result, RESULT_PATH) for text in texts)

    env = dict(zip(launch.env, moved(list(launch.env.values())), strict=True))
    return replace(
        launch,
        template=template,
        argv=moved(launch.argv),
        command=moved(launch.command),
        env=env,
    )


def _refusal(message: str) -> Diagnosis:
    answer: Mapping[str, Any] = {"reason": "Forbidden", "message": message}
    return diagnose_create_error(403, answer) or Diagnosis(Category.CREATE_ERROR, message)
