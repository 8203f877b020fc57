"""What a run of a sweep under test came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from podmap.records import Record

Pod = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class RunResult:
    """What a run came to. Its times are the run's own, which begin with the year 2026.

    Attributes:
        run_uri: Where its ledger is; `podmap results` and `podmap report` take it, too.
        count: How many trials were planned.
        counts: State to number of trials, for example `{"COMPLETE": 3, "FAILED": 1}`.
        records: What is kept of each trial, in order of numbers.
        best: `{number, params, metrics, outputs, record_uri}`, as in Airflow; None if no trial has
            a result, or there are several objectives. With `search.repeats` the best set of
            params, with the means of its metrics, and `repeats`.
        pareto: With several objectives, the trials that no other one beats in all of them.
        reached: Which trials have reached `objective.target`, in words; empty if none have.
        verdict: Why the run counts as failed, as `podmap run` has it; empty if it does not.
        stopped_reason: Why trials were left out; empty if none were.
        most_alive: The most attempts that were alive at the same time.
        duration_s: Seconds of the run's own time, from the first start to the last end.
        logs: Trial and attempt to what the attempt printed.
        sent_pods: Trial and attempt to the pod that a cluster would have been sent.
    """

    run_uri: str
    count: int
    counts: Mapping[str, int]
    records: tuple[Record, ...]
    best: Mapping[str, Any] | None
    pareto: tuple[Mapping[str, Any], ...]
    reached: str
    verdict: str
    stopped_reason: str
    most_alive: int
    duration_s: float
    logs: Mapping[tuple[int, int], str] = field(repr=False)
    sent_pods: Mapping[tuple[int, int], Pod] = field(repr=False)

    def record(self, number: int) -> Record:
        """What is kept of a trial.

        Raises:
            AssertionError: The trial was never begun, or there is none of that number.
        """
        for record in self.records:
            if record.number == number:
                return record
        raise AssertionError(
            f"trial {number} has no record: {self.stopped_reason or f'there are {self.count}'}"
        )

    def story(self, number: int) -> list[str]:
        """How each attempt of a trial ended, for example `["preempted", "oom", "complete"]`.

        An attempt that did not end well stands as its diagnosis' category, the last one otherwise
        as the trial's state.
        """
        record = self.record(number)
        return [
            attempt.diagnosis.category.value if attempt.diagnosis else record.state.value.lower()
            for attempt in record.attempts
        ]

    def pod(self, number: int, *, attempt: int = 1) -> Pod:
        """The pod of an attempt, as a cluster would have been sent it.

        Raises:
            AssertionError: There was no such attempt.
        """
        return _of_attempt(self.sent_pods, number, attempt)

    def log(self, number: int, *, attempt: int = 1) -> str:
        """What an attempt printed.

        Raises:
            AssertionError: There was no such attempt.
        """
        return _of_attempt(self.logs, number, attempt)


def _of_attempt(kept: Mapping[tuple[int, int], T], number: int, attempt: int) -> T:
    if (number, attempt) not in kept:
        made = sum(key[0] == number for key in kept)
        raise AssertionError(f"trial {number} had {made} attempts, and no attempt {attempt}")
    return kept[number, attempt]
