"""A try of `TrialPodOperator` in the worker of its task, whose code is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from podmap.airflow.connections import planned_target
from podmap.airflow.operator.attempt import PodAttempt, cancel_trial
from podmap.airflow.operator.trial import OperatorTrial
from podmap.airflow.trial_log import TrialLog
from podmap.backends.connect import connect, connected
from podmap.backends.kubernetes.pauses import Pauses
from podmap.engine.timing import TIMING

T = TypeVar("T")


class PodTry:
    """A try in the worker of its task, whose code is not asynchronous.

    podmap's backend has an event loop here that runs only while something is waited for.

    Attributes:
        attempt: The attempt.
        trial_log: The trial's part of the task's log.
    """

    def __init__(
        self, run: Mapping[str, str], trial: OperatorTrial, *, last_try: bool, log: Any
    ) -> None:
        """Connects; nothing is asked yet.

        Args:
            run: The XCom `run` of `plan`.
            trial: The trial.
            last_try: Whether Airflow would not try the task again.
            log: Of the task.
        """
        # What cannot be had at once is asked for by a later try: no worker is held by waiting.
        pauses = Pauses(quota_patience_s=0.0, list_limit_s=5.0)
        options = {"run_id": trial.planned.manifest.run_id, "pauses": pauses}
        self._target = replace(planned_target(run), options=options)
        self._loop = asyncio.new_event_loop()
        self._backend = connect(self._target)
        self.attempt = PodAttempt(trial, self._backend, last_try=last_try)
        self.trial_log = TrialLog(log, trial.number)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns."""
        return self._loop.run_until_complete(coroutine)

    def close(self) -> None:
        """Closes the connection; the pod goes on."""
        self.wait(self._backend.close())
        self.wait(_cancel_others())
        self.wait(self._loop.shutdown_asyncgens())
        self.wait(self._loop.shutdown_default_executor())
        self._loop.close()

    def cancel_trial(self, reason: str, *, grace_s: float | None) -> None:
        """As the function; on a connection of its own, since this one may just be waited for."""

        async def cancel() -> None:
            async with connected(self._target) as backend:
                await cancel_trial(
                    backend,
                    self.attempt.trial,
                    reason=reason,
                    grace_s=TIMING.kill_grace_s if grace_s is None else grace_s,
                    attempt=self.attempt.number,
                )

        asyncio.run(cancel())


async def _cancel_others() -> None:
    """Ends what a signal has interrupted."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
