"""One try of `TrialPodOperator`: an attempt's pod in the cluster, and its trial in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from podmap.airflow.operator.api import COULD_NOT_ASK, PodApi, seen_now
from podmap.airflow.operator.run import stopped
from podmap.airflow.operator.trial import PodTrial, overdue
from podmap.backends.base import Launch, LaunchError, Observation, Phase
from podmap.backends.kubernetes.diagnosis.observe import observe
from podmap.backends.kubernetes.diagnosis.waiting import waiting_reason
from podmap.backends.kubernetes.pod import build
from podmap.backends.kubernetes.pod.fields import (
    PodJson,
    containers_ended,
    deletion_asked,
    epoch_of,
)
from podmap.engine.attempt import EndedAttempt, Messages
from podmap.errors import BackendError, SpecError, SupersededError, UnreachableError
from podmap.records import Attempt, Category, Diagnosis

__all__ = ["COULD_NOT_ASK", "PodAttempt", "PodOver", "SupersededError", "UnreachableError"]


class PodOver(Exception):
    """Leads out of the provider's flow: the pod has ended, is gone, or was never made."""


class PodAttempt:
    """The attempt that a try makes, or takes over.

    Attributes:
        trial: Its trial.
        name: The pod's name, once there is one.
        last: The pod as it was last read.
    """

    def __init__(self, trial: PodTrial, api: PodApi, *, last_try: bool) -> None:
        """Nothing is asked yet.

        Args:
            trial: The trial.
            api: The cluster.
            last_try: Whether Airflow would not try the task again.
        """
        self.trial = trial
        self.name: str | None = None
        self.last: PodJson | None = None
        self._api = api
        self._last_try = last_try
        self._launch: Launch | None = None

    def begin(self) -> bool:
        """Whether there is something to run: a new attempt, or one that runs and is taken over.

        Raises:
            UnreachableError: Another process writes the trial's record in this very moment, or
                the run is paused.
        """
        found = self._api.find(self.trial.run.manifest.run_id, self.trial.number)
        seen = [observe(pod) for pod in found]
        standing = self.trial.look(seen, start=False)
        if standing.settled is None and standing.attempt is None:
            reason = stopped(self.trial.run, anew=self.trial.anew)
            if reason:
                self.trial.cancel(reason)
                return False
            standing = self.trial.look(seen, start=True)
        for name in standing.leftovers:
            self._api.delete(name)
        if standing.settled is not None:
            return False
        if standing.attempt is None and standing.launch is None:
            raise UnreachableError(f"the record of trial {self.trial.number} changes all the time")
        self._launch = standing.launch
        if standing.attempt is not None:
            self.name = standing.attempt.name
        return True

    def wanted(self, namespace: str) -> dict[str, Any]:
        """The pod that is to be created, with the trial's container first.

        Raises:
            PodOver: The spec gives no pod; the record says so.
        """
        launch = self._new()
        try:
            body = build.build_pod(launch, gated=False, namespace=namespace)
        except SpecError as error:
            self._refuse(launch, Diagnosis(Category.CREATE_ERROR, str(error)))
            raise PodOver from error
        body["spec"]["containers"].sort(key=lambda each: each["name"] != build.CONTAINER)
        return body

    def create(self, body: dict[str, Any]) -> PodJson:
        """The pod, created.

        Raises:
            PodOver: It can never be created; the record says why.
            BackendError: It cannot be created now.
        """
        try:
            raw = self._api.create(body)
        except LaunchError as error:
            self._refuse(self._new(), error.diagnosis)
            raise PodOver from error
        name = raw["metadata"]["name"]
        if epoch_of(raw) != self.trial.epoch or deletion_asked(raw) is not None:
            raise BackendError(f"an older pod {name} is still there")
        self.name, self.last = name, raw
        return raw

    def read(self) -> PodJson | None:
        """The pod as it is now; None if it is gone."""
        raw = self._api.read(self.name) if self.name else None
        if raw is not None:
            self.last = raw
        return raw

    def look(self) -> Observation:
        """What is seen of the attempt now."""
        return seen_now(self.read(), name=self.name or "", last=self.last)

    def is_over(self) -> bool:
        """Whether it has ended now, or is gone."""
        return _is_over(self.look())

    def never_started(self) -> bool:
        """Whether it is over without its container having run, so that there is no output."""
        seen = self.look()
        return _is_over(seen) and seen.started is None

    def wait_for_start(self, say: Callable[[str], None], *, every_s: float) -> None:
        """Returns once it does not wait any more, for as long as that takes.

        Args:
            say: Gets what the pod waits for.
            every_s: How often to look.
        """
        told = ""
        while self.look().phase is Phase.PENDING:
            reason = waiting_reason(self.last or {})
            if reason and reason != told:
                say(reason)
                told = reason
            time.sleep(every_s)

    def end_if_overdue(self, *, killed: bool) -> bool:
        """Has the pod ended if it has run for longer than it may; whether that was asked for.

        Args:
            killed: Whether it was before.
        """
        if killed or self.name is None or self.last is None:
            return killed
        reason = overdue(self.last, observe(self.last))
        if reason is not None:
            self._api.kill(self.name, reason)
        return reason is not None

    def settled(self) -> Attempt | None:
        """The attempt as the record has it; None before its end is there."""
        return None if self.name is None else self.trial.settled(self.name)

    def settle(self) -> Attempt | None:
        """Writes what it left, if it is over; the attempt as the record then has it."""
        if self.name is not None and self.settled() is None:
            seen = self.look()
            if not _is_over(seen):
                return None
            self.trial.settle(self._api.leavings(seen), last_try=self._last_try)
        return self.settled()

    def delete(self) -> None:
        """Removes the pod; without grace if nothing of it runs."""
        if self.name is not None:
            stopped = self.last is not None and containers_ended(self.last)
            self._api.delete(self.name, grace_s=0 if stopped else None)

    def keep(self) -> None:
        """Leaves the ended pod to whoever wants to look at it."""
        if self.name is not None:
            self._api.keep(self.name)

    def cancel(self, reason: str, *, grace_s: int | None) -> None:
        """Deletes the pod, and records the trial as cancelled."""
        if self.name is None:
            return
        self._api.delete(self.name, grace_s=grace_s)
        seen = seen_now(self.last, name=self.name, last=None)
        diagnosis = Diagnosis(Category.CANCELLED, reason)
        seen = replace(seen, phase=Phase.ENDED, diagnosis=diagnosis)
        self.trial.settle(EndedAttempt(seen, Messages(), b""), last_try=True)

    def _new(self) -> Launch:
        if self._launch is None:
            raise BackendError(f"trial {self.trial.number} has no attempt to begin")
        return self._launch

    def _refuse(self, launch: Launch, diagnosis: Diagnosis) -> None:
        self.trial.refuse(launch, diagnosis, last_try=self._last_try)


def _is_over(seen: Observation) -> bool:
    return seen.phase in (Phase.ENDED, Phase.GONE)
