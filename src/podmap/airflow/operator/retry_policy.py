"""When Airflow tries a failed trial again: as podmap's budgets have it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from podmap.airflow.exceptions import TrialFailed

if TYPE_CHECKING:
    from airflow.sdk import Context


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
