"""A trial's record after one more attempt, and whether another one follows. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from podmap.backends.base import Observation
from podmap.clock import iso, parse_iso, utc_now
from podmap.engine.attempt import RECORD_TAIL_BYTES
from podmap.engine.result import Outcome
from podmap.records import Attempt, Category, Diagnosis, Record, Trial, TrialState
from podmap.retries import NextStep, Payer, next_step, payer_of, why_no_more_memory
from podmap.spec.model import Retries

OUTGROWN = "made anew, since trials like it need more memory"
"""Why an attempt is ended that waits at a gate when that becomes known."""
_ROUNDING_S = 0.01  # times are kept in milliseconds
_CLOCKS_DIFFER_S = 2.0  # a cluster tells whole seconds, and a clock is set right by little steps


@dataclass(frozen=True, slots=True)
class Rules:
    """What one trial may cost.

    Attributes:
        retries: The budgets for new attempts.
        exit_codes: Exit code to "fail", "retry" or "infra".
        deadline_s: Seconds that all attempts together may take; None for no limit.
        timeout_s: Seconds that one attempt may take; None for no limit but the deadline.
        gpus: How many GPUs each attempt holds.
        own_template: Whether what runs the trial is not what runs all others: then an image or a
            command that is no good is this trial's fault alone.
    """

    retries: Retries
    exit_codes: Mapping[int, str]
    deadline_s: float | None = None
    timeout_s: float | None = None
    gpus: int = 0
    own_template: bool = False


@dataclass(frozen=True, slots=True)
class Settlement:
    """A record after an attempt.

    Attributes:
        record: The record to be kept.
        attempt: The attempt, as it stands last in the record.
        again: Whether another attempt follows now.
        stops_run: Whether no other trial of the run could do better.
    """

    record: Record
    attempt: Attempt
    again: bool = False
    stops_run: bool = False

    @property
    def stop_reason(self) -> str:
        """Why the run stops, where it does with this attempt."""
        diagnosis = self.attempt.diagnosis
        return f"trial {self.record.number} cannot run: {diagnosis.summary if diagnosis else ''}"


def ended_attempt(
    seen: Observation, diagnosis: Diagnosis | None, *, log_uri: str, most_s: float = math.inf
) -> Attempt:
    """What is kept of an attempt that ended or is gone.

    Args:
        seen: The attempt at its end.
        diagnosis: Why it failed; None if it did not.
        log_uri: Where its output is kept; may be empty.
        most_s: Seconds by a monotonic clock that it cannot have taken more than: where the wall
            clock jumped meanwhile, they count.
    """
    finished = seen.finished or iso(utc_now())
    if seen.started is not None:
        took_s = _span_s(seen.started, finished)
        if took_s < 0 or took_s > most_s + _CLOCKS_DIFFER_S:
            # Back to before the start: what is known of the length is its limit.
            took_s = most_s if math.isfinite(most_s) else 0.0
            finished = iso(parse_iso(seen.started) + timedelta(seconds=took_s))
    return Attempt(
        number=seen.attempt,
        pod=seen.name,
        node=seen.node,
        image_id=seen.image_id,
        started=seen.started,
        finished=finished,
        exit_code=seen.exit_code,
        diagnosis=diagnosis,
        memory_bytes=seen.memory_bytes,
        log_uri=log_uri,
    )


def settle_attempt(
    record: Record,
    attempt: Attempt,
    outcome: Outcome,
    *,
    tail: bytes,
    rules: Rules,
    interrupted: bool,
) -> Settlement:
    """The record after one more attempt, and what comes next.

    Args:
        record: The trial's record before it.
        attempt: The attempt that ended.
        outcome: What it amounts to.
        tail: The end of its output.
        rules: What the trial may cost.
        interrupted: Whether an attempt that was cancelled leaves the trial open for a resume.
    """
    attempt = _with_own_fault(attempt, rules)
    record = replace(
        record,
        attempts=(*record.attempts, attempt),
        started=record.started or attempt.started,
        gpu_seconds=record.gpu_seconds + rules.gpus * took_s(attempt),
        log_tail=tail[-RECORD_TAIL_BYTES:].decode("utf-8", "replace"),
    )
    if attempt.diagnosis is None:
        done = replace(
            record, metrics=outcome.metrics, objective=outcome.objective, outputs=outcome.outputs
        )
        return Settlement(
            end_record(done, outcome.state, outcome.warning, attempt.finished), attempt
        )
    if attempt.diagnosis.category is Category.CANCELLED:
        reason = attempt.diagnosis.summary
        again = reason == OUTGROWN and not interrupted
        if interrupted or again:
            waiting = replace(record, state=TrialState.WAITING, reason=reason)
            return Settlement(waiting, attempt, again=again)
        return Settlement(
            end_record(record, TrialState.CANCELLED, reason, attempt.finished), attempt
        )
    kept = replace(record, metrics=outcome.metrics, outputs=outcome.outputs)
    return _after_failure(kept, attempt, attempt.diagnosis, rules)


def _with_own_fault(attempt: Attempt, rules: Rules) -> Attempt:
    """The attempt; what would stop the run is marked as its own where the others run otherwise."""
    diagnosis = attempt.diagnosis
    if diagnosis is None or not rules.own_template:
        return attempt
    if payer_of(attempt, rules.exit_codes) is not Payer.SWEEP:
        return attempt
    return replace(attempt, diagnosis=replace(diagnosis, own=True))


def _after_failure(
    record: Record, attempt: Attempt, diagnosis: Diagnosis, rules: Rules
) -> Settlement:
    following = next_step(record.attempts, retries=rules.retries, exit_codes=rules.exit_codes)
    reason = reason_of(diagnosis)
    if following is NextStep.FAIL and diagnosis.category is Category.OOM:
        reason += f"; {why_no_more_memory(record.attempts, rules.retries.oom)}"
    if _is_deadline_over(record, attempt, diagnosis, rules) and following is not NextStep.STOP:
        following = NextStep.FAIL
        reason += f"; the deadline of {rules.deadline_s:g} s for all attempts is over"
    if following is NextStep.RETRY:
        waiting = replace(record, state=TrialState.WAITING, reason=reason)
        return Settlement(waiting, attempt, again=True)
    failed = end_record(record, TrialState.FAILED, reason, attempt.finished)
    return Settlement(failed, attempt, stops_run=following is NextStep.STOP)


def carry_on(record: Record, former: Record) -> Record:
    """A record of a new epoch that has had the attempts of the epoch before, and pays for them.

    Args:
        record: The new record, without any attempt.
        former: The record that it follows, of a trial that was cancelled but is not asked for anew.
    """
    return replace(
        record,
        attempts=former.attempts,
        started=former.started if former.attempts else None,
        queued_s=former.queued_s,
        gpu_seconds=former.gpu_seconds,
    )


def record_with_wait(record: Record, attempt: Attempt, *, asked_for: str | None) -> Record:
    """A record whose `queued_s` reaches to the first start, now that it is known.

    Args:
        record: The trial's record; its `queued_s` reaches to when the first attempt was asked for.
        attempt: The attempt that ended.
        asked_for: UTC ISO 8601 of when that was; None if it is not known.
    """
    if record.started or attempt.started is None or asked_for is None:
        return record
    waited_s = max(0.0, (record.queued_s or 0.0) + _span_s(asked_for, attempt.started))
    return replace(record, queued_s=round(waited_s, 3))


def end_record(
    record: Record, state: TrialState, reason: str, finished: str | None = None
) -> Record:
    """The record of a trial that ends.

    Args:
        record: The record so far.
        state: A terminal state.
        reason: For a person: why it failed, or what to be warned of.
        finished: UTC ISO 8601; None for now.
    """
    finished = finished or iso(utc_now())
    duration_s = None
    if record.started:
        duration_s = round(max(0.0, _span_s(record.started, finished)), 3)
    return replace(
        record,
        state=state,
        finished=finished,
        duration_s=duration_s,
        queued_s=record.queued_s if record.started else None,
        reason=reason,
    )


def reason_of(diagnosis: Diagnosis) -> str:
    """A diagnosis as a record's reason: its category and summary."""
    return f"{diagnosis.category.value}: {diagnosis.summary}"


def _is_deadline_over(record: Record, attempt: Attempt, diagnosis: Diagnosis, rules: Rules) -> bool:
    """Whether no time is left for another attempt."""
    left_s = time_left_s(record, rules.deadline_s)
    if left_s is None or left_s <= _ROUNDING_S:
        return left_s is not None
    # It was ended by what was left of the deadline, whatever its own clock says.
    limit_s = math.inf if rules.timeout_s is None else rules.timeout_s
    return diagnosis.category is Category.USER_TIMEOUT and left_s + took_s(attempt) < limit_s


def time_left_s(record: Record, deadline_s: float | None) -> float | None:
    """What is left of the deadline after the attempts so far; None if there is no deadline."""
    return None if deadline_s is None else deadline_s - sum(map(took_s, record.attempts))


def took_s(attempt: Attempt) -> float:
    """Seconds from an attempt's start to its end; 0 if it has not started."""
    if attempt.started is None or attempt.finished is None:
        return 0.0
    return max(0.0, _span_s(attempt.started, attempt.finished))


def _span_s(start: str, end: str) -> float:
    return (parse_iso(end) - parse_iso(start)).total_seconds()


def record_of_trial(record: Record, trial: Trial) -> Record:
    """The record with what its trial is; an example tells nothing."""
    if trial.example:
        return replace(record, key="", params={}, repeat=trial.repeat)
    return replace(
        record,
        key=trial.key,
        params=trial.params,
        seed=trial.seed,
        repeat=trial.repeat,
        shard=trial.shard,
    )
