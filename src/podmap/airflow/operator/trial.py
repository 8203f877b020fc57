"""A trial whose pods an Airflow operator makes, as the ledger has it.

The same ledger, judgement and budgets as for podmap's own trigger; only who makes the pod, and who
waits for it, differs. Everything here blocks, and may be called by any process at any time: what
another has settled stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from podmap.airflow.exceptions import TrialFailed, failure_class
from podmap.airflow.operator.run import note_end
from podmap.backends.base import Launch, Observation, Phase, timed_out
from podmap.backends.kubernetes.pod.build import RESULT_PATH, TIMEOUT_ANNOTATION
from podmap.backends.kubernetes.pod.fields import PodJson
from podmap.clock import iso, parse_iso, utc_now
from podmap.engine.attempt import EndedAttempt
from podmap.engine.planned import PlannedRun
from podmap.engine.result import Outcome, judge
from podmap.engine.settlement import Settlement, end_record, ended_attempt, settle_attempt
from podmap.engine.trial_ledger import Standing, TrialLedger
from podmap.records import Attempt, Diagnosis, Record, TrialState
from podmap.retries import payer_of

EPOCH_PREFIX = "op-"
"""Tells the askings of this runtime apart: pods of another one may wait at a gate for ever."""


_LOST = (TrialState.FAILED, TrialState.CANCELLED)


class PodTrial:
    """One trial, in one asking: from its first try to its end, or until it is cleared.

    Airflow gives a task instance a new id for every try, so the asking is the one of the record
    that is still open. It is that of a record that is closed, too, where Airflow tries again by
    itself, as it does when a worker's last word comes late; else it begins with this try.

    Attributes:
        epoch: The asking.
        anew: Whether the trial had failed or was cancelled before, and was cleared.
    """

    def __init__(
        self,
        run: PlannedRun,
        number: int,
        *,
        ti_id: str,
        retried: bool = False,
        epoch: str | None = None,
    ) -> None:
        """Reads the trial's record.

        Args:
            run: The run.
            number: The trial's number.
            ti_id: Airflow's id of the task instance.
            retried: Whether this is not the first try since the task was cleared.
            epoch: The asking, where it is known already.

        Raises:
            StoreError: The ledger cannot be read.
        """
        self.run = run
        self.number = number
        record = run.ledger.read_record(number)
        self.epoch = epoch or _epoch(record, ti_id, retried=retried)
        lost = record is not None and record.state in _LOST
        self.anew = lost and record is not None and record.epoch != self.epoch
        self._trial_ledger = TrialLedger(run, number, self.epoch, result_path=lambda _: RESULT_PATH)

    @property
    def params(self) -> str:
        """The trial's params, as one line."""
        trial = self.run.plan.trial(self.number)
        text = " ".join(f"{name}={value}" for name, value in trial.params.items())
        return f"{trial.shard.uri} {text}" if trial.shard else text

    def look(self, found: Sequence[Observation], *, start: bool) -> Standing:
        """As `TrialLedger.read_standing`."""
        return self._trial_ledger.read_standing(found, start=start)

    def settled(self, pod: str) -> Attempt | None:
        """The attempt of this pod, if its end is in the record already."""
        record = self.run.ledger.read_record(self.number)
        if record is None or record.epoch != self.epoch:
            return None
        return next((attempt for attempt in record.attempts if attempt.pod == pod), None)

    def settle(self, ended: EndedAttempt, *, last_try: bool) -> None:
        """Keeps what an attempt left, unless another process has done so.

        Args:
            ended: What is left of it.
            last_try: Whether Airflow would not try the task again.
        """
        tail = ended.tail
        outcome = judge(
            ended.seen,
            ended.messages,
            objectives=self.run.objectives,
            tail=tail.decode("utf-8", "replace"),
        )
        log_uri = self.run.ledger.log_uri(self.number, ended.seen.attempt) if tail else ""
        attempt = ended_attempt(ended.seen, outcome.diagnosis, log_uri=log_uri)
        gone = ended.seen.phase is Phase.GONE
        self._keep(attempt, outcome, tail=tail, gone=gone, last_try=last_try)

    def refuse(self, launch: Launch, diagnosis: Diagnosis, *, last_try: bool) -> None:
        """Keeps that an attempt could never be made."""
        attempt = Attempt(launch.attempt, launch.name, finished=iso(utc_now()), diagnosis=diagnosis)
        outcome = Outcome(TrialState.FAILED, diagnosis=diagnosis)
        self._keep(attempt, outcome, tail=b"", gone=False, last_try=last_try)

    def cancel(self, reason: str) -> Record:
        """Records that the trial is not run any more, unless it has ended."""
        self._trial_ledger.read_standing((), start=False)
        return self._trial_ledger.write_cancelled(reason, resumable=False)

    def record(self) -> Record:
        """The trial's record as it stands."""
        return self.run.ledger.read_record(self.number) or self._trial_ledger.record

    def failure(self, record: Record) -> TrialFailed | None:
        """Why the last attempt of a record failed, and what follows; None if it did not."""
        last = record.attempts[-1] if record.attempts else None
        if last is None or last.diagnosis is None:
            return None
        if record.state not in (TrialState.WAITING, TrialState.FAILED):
            return None
        return failure_class(last.diagnosis.category)(
            self.number,
            last.number,
            last.diagnosis,
            again=record.state is TrialState.WAITING,
            paid_by=payer_of(last, self._trial_ledger.rules.exit_codes).value,
        )

    def _keep(
        self, attempt: Attempt, outcome: Outcome, *, tail: bytes, gone: bool, last_try: bool
    ) -> None:
        standing = self._trial_ledger.read_standing((), start=False)
        known = {each.number for each in self._trial_ledger.record.attempts}
        if standing.settled is not None or attempt.number in known:
            return
        settlement = settle_attempt(
            self._trial_ledger.record,
            attempt,
            outcome,
            tail=tail,
            rules=self._trial_ledger.rules,
            interrupted=False,
        )
        if settlement.again and last_try:
            settlement = _at_the_last_try(settlement)
        if self._trial_ledger.write_settlement(settlement, tail, gone=gone):
            note_end(self.run, settlement)


def overdue(pod: PodJson, seen: Observation) -> Diagnosis | None:
    """Why a pod is to be ended: its container has run for longer than it may.

    Args:
        pod: As the API gives it; its annotation holds its timeout.
        seen: The same as an observation.
    """
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    timeout_s = float(annotations.get(TIMEOUT_ANNOTATION, math.inf))
    if seen.started is None:
        return None
    if (utc_now() - parse_iso(seen.started)).total_seconds() <= timeout_s:
        return None
    return timed_out(timeout_s)


def _at_the_last_try(settlement: Settlement) -> Settlement:
    """A record that would wait for another attempt, where Airflow makes none."""
    reason = f"{settlement.record.reason}; the task has no retries left in Airflow"
    finished = settlement.attempt.finished
    record = end_record(settlement.record, TrialState.FAILED, reason, finished)
    return replace(settlement, record=record, again=False)


def _epoch(record: Record | None, ti_id: str, *, retried: bool) -> str:
    if record is not None and record.epoch.startswith(EPOCH_PREFIX):
        # A worker that is told to stop cancels its trial, and the next try is to run it.
        closed = record.state.terminal and record.state is not TrialState.CANCELLED
        if not record.state.terminal or (closed and retried):
            return record.epoch
    return f"{EPOCH_PREFIX}{ti_id}"
