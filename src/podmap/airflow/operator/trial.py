"""A trial whose pods an Airflow operator makes: its record, and whether its run still goes on.

The ledger, the judgement and the budgets are those of podmap's own trigger; only who makes the pod,
and who waits for it, differs. There is no coordinator here: what is decided for a run (`run.json`)
is read before each attempt, and what one trial's failure means for the others is written there.
Everything here blocks, and may be called by any process at any time: what another one has written
stands.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.claims import claim_of
from podmap.airflow.exceptions import TrialFailed, failure_class
from podmap.backends.base import Observation, Phase
from podmap.backends.kubernetes.pod.build import RESULT_PATH
from podmap.backends.launch import Launch
from podmap.clock import iso, utc_now
from podmap.engine.attempt import EndedAttempt
from podmap.engine.budget_tally import BudgetTally
from podmap.engine.planned import PlannedRun
from podmap.engine.proposals import Learner
from podmap.engine.settlement import Settlement, carry_on, end_record
from podmap.engine.tally import TIME_IS_OVER, Stop, Tally, reached_by, with_stop
from podmap.engine.trial_ledger import Standing, TrialLedger
from podmap.errors import UnreachableError
from podmap.ledger.claim import RunClaim
from podmap.ledger.run_state import Decisions, RunState
from podmap.ledger.store_errors import log_left_out
from podmap.names import epoch_time
from podmap.records import Attempt, Diagnosis, Record, TrialState
from podmap.retries import payer_of

EPOCH_PREFIX = "op-"
"""Tells the askings of this runtime apart: pods of another one may wait at a gate for ever."""
_LOST = (TrialState.FAILED, TrialState.CANCELLED)
_opening = threading.Lock()


class PausedError(UnreachableError):
    """The run is paused, or has as many attempts as it may: ask again later."""


def open_planned(run: Mapping[str, str], owner: Mapping[str, str]) -> PlannedRun:
    """The run that `plan` has left, read once a process and plan.

    Args:
        run: The XCom `run` of `plan`.
        owner: Who it must belong to, as `owner_of` gives it.

    Raises:
        StoreError: The ledger cannot be read.
        UsageError: There is no such run.
        RecordError: Its manifest is not the one that `plan` has left.
        OwnerError: It is another's.
    """
    uris.use_policy(settings.uri_policy)
    with _opening:
        return _open(claim_of(run, owner))


@functools.lru_cache(maxsize=64)
def _open(claim: RunClaim) -> PlannedRun:
    return PlannedRun.open(claim)


class OperatorTrial:
    """One trial, in one asking: from its first try to its end, or until it is cleared.

    Airflow gives a task instance a new id for every try, so the asking is the one of the record
    that is still open. It is that of a record that is closed, too, where Airflow tries again by
    itself, as it does when a worker's last word comes late; else it begins with this try. Where
    Airflow tries again after it has stopped a worker, which cancels the trial, an asking begins
    that goes on from the one before: its attempts stay in the record, and count.

    Attributes:
        planned: The run.
        number: The trial's number.
        definition: What the trial is; of a search that learns perhaps an example, until it starts.
        epoch: The asking.
    """

    def __init__(
        self,
        planned: PlannedRun,
        number: int,
        *,
        ti_id: str = "",
        retried: bool = False,
        epoch: str | None = None,
    ) -> None:
        """Reads the trial's record.

        Args:
            planned: The run.
            number: The trial's number.
            ti_id: Airflow's id of the task instance.
            retried: Whether this is not the first try since the task was cleared.
            epoch: The asking, where it is known already.

        Raises:
            StoreError: The ledger cannot be read.
        """
        self.planned = planned
        self.number = number
        record = planned.ledger.read_record(number)
        self.definition = planned.trial(number, record)
        self.epoch = epoch or _epoch(record, ti_id, retried=retried)
        before = record if record is not None and record.epoch != self.epoch else None
        lost = before is not None and before.state in _LOST
        self._cleared = lost and not retried
        self._trial_ledger = TrialLedger(
            planned, number, self.epoch, result_path=lambda _: RESULT_PATH
        )
        if before is not None and lost and retried:
            self._trial_ledger.record = carry_on(self._trial_ledger.record, before)
        self._learner = Learner(planned) if planned.plan.learns else None

    def read_standing(self, found: Sequence[Observation]) -> Standing:
        """Where the trial stands, with its next attempt if one is due; perhaps it is cancelled.

        Args:
            found: The attempts of the run, of all its trials.

        Raises:
            PausedError: The run is paused, or as many attempts are alive as there may be.
        """
        own = [seen for seen in found if seen.number == self.number]
        standing = self._trial_ledger.read_standing(own, start=False)
        if standing.settled is not None:
            self._end_run_if_reached(standing.settled)
        if standing.settled is not None or standing.attempt is not None:
            return standing
        alive = [seen for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING)]
        stop = self._stop_reason(len(alive)) or self._spent(found).reason
        if stop:
            return Standing(settled=self.cancel(stop))
        standing = self._trial_ledger.read_standing(own, start=True)
        if standing.unproposed and self._learner is not None:
            self._trial_ledger.set_trial(self._learner.propose(self.number))
            self._learner.close()
            standing = self._trial_ledger.read_standing(own, start=True)
        self.definition = self._trial_ledger.trial
        return standing

    def written_end(self, pod: str) -> Attempt | None:
        """The attempt of this pod, if its end is in the record already."""
        record = self.planned.ledger.read_record(self.number)
        if record is None or record.epoch != self.epoch:
            return None
        return next((attempt for attempt in record.attempts if attempt.pod == pod), None)

    def is_past(self, attempt: int, found: Sequence[Observation]) -> bool:
        """Whether an attempt has ended, as the record has it, or a later one is there.

        Args:
            attempt: Its number.
            found: The attempts of the trial.
        """
        record = self.planned.ledger.read_record(self.number)
        ours = record is not None and record.epoch == self.epoch
        ended = [each.number for each in record.attempts] if record is not None and ours else []
        there = [seen.attempt for seen in found if seen.epoch == self.epoch]
        return max([*ended, 0]) >= attempt or max([*there, 0]) > attempt

    def write_end(
        self, ended: EndedAttempt, *, last_try: bool, found: Sequence[Observation]
    ) -> Stop | None:
        """Writes what an attempt left, unless another process has done so.

        Args:
            ended: What is left of it.
            last_try: Whether Airflow would not try the task again.
            found: The attempts of the run, of all its trials.

        Returns:
            The stop of the run that ends what runs, if this end has led to it.
        """
        if not self._lacks_end(ended.seen.attempt):
            return None
        gone = ended.seen.phase is Phase.GONE
        settlement = self._trial_ledger.settle_end(ended)
        self._write(settlement, ended.tail, gone=gone, last_try=last_try)
        return self._end_run_if_reached(settlement.record) or self._end_run_if_spent(found)

    def write_refusal(self, launch: Launch, diagnosis: Diagnosis, *, last_try: bool) -> None:
        """Writes that an attempt could never be made."""
        if self._lacks_end(launch.attempt):
            settlement = self._trial_ledger.settle_refusal(launch, diagnosis)
            self._write(settlement, b"", gone=False, last_try=last_try)

    def cancel(self, reason: str) -> Record:
        """Writes that the trial is not run any more, unless it has ended; its record."""
        self._trial_ledger.read_standing((), claims=False)
        return self._trial_ledger.write_cancelled(reason, resumable=False)

    def record(self) -> Record:
        """The trial's record as it stands."""
        return self.planned.ledger.read_record(self.number) or self._trial_ledger.record

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

    def _lacks_end(self, attempt: int) -> bool:
        """Whether the record, read anew, does not tell of an attempt's end."""
        standing = self._trial_ledger.read_standing((), claims=False)
        known = {each.number for each in self._trial_ledger.record.attempts}
        return standing.settled is None and attempt not in known

    def _write(self, settlement: Settlement, tail: bytes, *, gone: bool, last_try: bool) -> None:
        if settlement.again and last_try:
            settlement = _at_the_last_try(settlement)
        if self._trial_ledger.write_settlement(settlement, tail, gone=gone):
            self._stop_run(settlement)

    def _stop_reason(self, alive: int) -> str:
        """Why the run starts no more attempts; empty while it does.

        Args:
            alive: How many attempts of the run are alive.

        Raises:
            PausedError: It starts none for now.
        """
        ledger, at = self.planned.ledger, self.planned.manifest.planned
        state = ledger.read_state(on_broken=log_left_out)
        if state.stopped is not None:
            return state.stopped or "the run was stopped"
        if state.decided.stop and state.decided.planned == at:
            made = epoch_time(self.epoch.removeprefix(EPOCH_PREFIX))
            asked = iso(made or utc_now())
            lasts = state.decided.lasts or Stop.published(state.decided).holds(asked)
            if lasts or not self._cleared:
                return state.decided.stop
            # Whoever clears a trial knows of the stop: it, and what led to it, counts no more.
            lifted = replace(with_stop(state.decided, None), since=asked)
            ledger.update_state(decided=lifted)
        left_s = self.planned.time_left_s
        if left_s is not None and left_s < 0:
            return TIME_IS_OVER
        if state.paused:
            raise PausedError("the run is paused")
        if state.parallelism is not None and alive >= state.parallelism:
            raise PausedError(f"{alive} attempts run, and parallelism is {state.parallelism} now")
        return ""

    def _stop_run(self, settlement: Settlement) -> None:
        """Stops the run if the end of one of its trials means that for the others."""
        record, ledger = settlement.record, self.planned.ledger
        if record.state is not TrialState.FAILED:
            return
        if settlement.stops_run:
            stop: Stop | None = Stop(settlement.stop_reason, at=iso(utc_now()))
        else:
            tally = Tally.of_run(self.planned, ledger.read_state(on_broken=log_left_out))
            tally.count_record(record)
            stop = tally.stop
        self._publish_stop(stop)

    def _end_run_if_reached(self, record: Record) -> Stop | None:
        """Stops the run if a trial has reached the objective's target; the stop."""
        complete = record.state is TrialState.COMPLETE
        stop = reached_by(self.planned, record) if complete else None
        self._publish_stop(stop)
        return stop

    def _spent(self, found: Sequence[Observation]) -> BudgetTally:
        """What the run's attempts have spent of its budget, where that is limited."""
        gpus = BudgetTally.of_run(self.planned)
        if gpus.given:
            for record in self.planned.ledger.board().records():
                gpus.count_record(record)
            gpus.count_running(found, now_s=time.monotonic())
        return gpus

    def _end_run_if_spent(self, found: Sequence[Observation]) -> Stop | None:
        """Ends what runs where the budget is spent and the budget says so; the stop."""
        budget = self.planned.sweep.budget
        if budget is None or budget.on_exceed != "cancel":
            return None
        gpus = self._spent(found)
        if not gpus.reason:
            return None
        stop = Stop(gpus.reason, gpus.cancel, gpus.spent_at, lasts=True)
        self._publish_stop(stop)
        return stop

    def _publish_stop(self, stop: Stop | None) -> None:
        at = self.planned.manifest.planned

        def change(state: RunState) -> Mapping[str, Any]:
            there = state.decided if state.decided.planned == at else Decisions(at)
            if stop is None or there.stop or state.decided.planned > at:
                return {}
            return {"decided": with_stop(there, stop)}

        if stop is not None:
            self.planned.ledger.change_state(change)


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
