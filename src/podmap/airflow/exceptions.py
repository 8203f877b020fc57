"""Why a trial's attempt failed, as exceptions of Airflow tasks, and the retry policy for them.

`quota` has none: a pod waits for it, and no attempt ends.

TrialFailed
├── UserError            the training code's own failures, paid by retries.user
│   ├── UserExit             user_exit
│   ├── UserTimeout          user_timeout
│   ├── NoResult             no_result
│   └── BadResult            bad_result
├── OutOfMemory          oom, paid by retries.oom
├── Unschedulable        unschedulable, paid by retries.unschedulable
├── InfrastructureError  paid by retries.infra
│   ├── Evicted              evicted
│   ├── Preempted            preempted
│   ├── NodeLost             node_lost: the node, or the pod, is gone
│   └── NodeRejected         node_rejected
├── CannotStart          no other attempt would do better
│   ├── ImagePull            image_pull
│   └── CreateError          create_error
└── TrialCancelled       cancelled
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException

from podmap.records import Category, Diagnosis

if TYPE_CHECKING:
    from airflow.sdk import Context


class TrialFailed(AirflowException):  # it says what happened, as Airflow's own do
    """An attempt of a trial failed.

    Attributes:
        number: The trial.
        attempt: The attempt that failed, from 1.
        diagnosis: Category, summary, detail and resolution.
        again: Whether podmap's budgets allow another attempt.
        paid_by: The budget that this failure counts against: "user", "infra", "oom",
            "unschedulable", or another word where none does.
        others: Other trials of the same task instance that failed, too.
    """

    def __init__(
        self,
        number: int,
        attempt: int,
        diagnosis: Diagnosis,
        *,
        again: bool = False,
        paid_by: str = "none",
        others: Sequence[int] = (),
    ) -> None:
        self.number = number
        self.attempt = attempt
        self.diagnosis = diagnosis
        self.again = again
        self.paid_by = paid_by
        self.others = tuple(others)
        super().__init__(number, attempt, diagnosis)

    def __str__(self) -> str:
        head = (
            f"trial {self.number}, attempt {self.attempt}: {self.diagnosis.category.value}: "
            f"{self.diagnosis.summary}"
        )
        numbers = ", ".join(map(str, self.others))
        others = f"of the same task instance these trials failed, too: {numbers}" if numbers else ""
        texts = (head, self.diagnosis.detail, self.diagnosis.resolution, others)
        return "\n".join(text for text in texts if text)


class UserError(TrialFailed):
    """The training code's own failure."""


class UserExit(UserError):
    """It ended with an exit code."""


class UserTimeout(UserError):
    """It took longer than it may."""


class NoResult(UserError):
    """It ended well, but left no result."""


class BadResult(UserError):
    """It left a result that cannot be used."""


class OutOfMemory(TrialFailed):
    """It was killed for memory."""


class Unschedulable(TrialFailed):
    """Its pod had not started in the time that it may wait."""


class InfrastructureError(TrialFailed):
    """Not the trial's fault."""


class Evicted(InfrastructureError):
    """Its node, or somebody through the API, put the pod out."""


class Preempted(InfrastructureError):
    """It made room for a pod of higher priority."""


class NodeLost(InfrastructureError):
    """Its node is lost, or its pod disappeared before its end was seen."""


class NodeRejected(InfrastructureError):
    """The node refused the pod."""


class CannotStart(TrialFailed):
    """No attempt of this trial can start as the spec is."""


class ImagePull(CannotStart):
    """Its image cannot be pulled."""


class CreateError(CannotStart):
    """The pod, or its container, cannot be created."""


class TrialCancelled(TrialFailed):
    """It was ended on purpose."""


_CLASSES: dict[Category, type[TrialFailed]] = {
    Category.USER_EXIT: UserExit,
    Category.USER_TIMEOUT: UserTimeout,
    Category.OOM: OutOfMemory,
    Category.UNSCHEDULABLE: Unschedulable,
    Category.EVICTED: Evicted,
    Category.PREEMPTED: Preempted,
    Category.NODE_LOST: NodeLost,
    Category.NODE_REJECTED: NodeRejected,
    Category.IMAGE_PULL: ImagePull,
    Category.CREATE_ERROR: CreateError,
    Category.NO_RESULT: NoResult,
    Category.BAD_RESULT: BadResult,
    Category.CANCELLED: TrialCancelled,
}


def failure_class(category: Category) -> type[TrialFailed]:
    """The exception of a category by which an attempt can end."""
    return _CLASSES[category]


class TrialRetryPolicy(RetryPolicy):
    """Spends the spec's `retries`, whatever the task's own count is, up to that count.

    What the infrastructure did, and what more memory may help, is tried again at once; the
    training code's own failures after the task's `retry_delay`; what no attempt can do better is
    not tried again. All that is not an attempt's failure is left to Airflow.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Retry or fail, for the reason that the exception carries."""
        if not isinstance(exception, TrialFailed):
            return RetryDecision.default()
        paid_by, category = exception.paid_by, exception.diagnosis.category.value
        if not exception.again:
            return RetryDecision.fail(f"{category}: no attempt is left")
        delay = None if paid_by == "user" else timedelta(0)
        return RetryDecision.retry(delay, f"{category}: paid by retries.{paid_by}")

    def serialize(self) -> dict[str, Any]:
        """There is nothing to be set."""
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> TrialRetryPolicy:
        """The policy; it has no settings."""
        return cls()
