"""One trial's part of the ledger: where the trial stands, and what is written of it."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from podmap.backends.base import Observation
from podmap.backends.launch import Launch
from podmap.clock import iso, utc_now
from podmap.engine.attempt import EndedAttempt
from podmap.engine.launch import Launcher, ResultPath
from podmap.engine.objective_steps import with_reported
from podmap.engine.planned import PlannedRun
from podmap.engine.reports import kept_reports
from podmap.engine.result import Outcome, judge_attempt
from podmap.engine.reuse import (
    completed_record,
    read_left_result,
    rescored_record,
    result_uri,
    reused_record,
)
from podmap.engine.settlement import (
    Rules,
    Settlement,
    end_record,
    ended_attempt,
    record_of_trial,
    record_with_wait,
    settle_attempt,
    time_left_s,
)
from podmap.errors import AttemptExistsError, StoreError, SupersededError
from podmap.names import is_older_epoch
from podmap.records import Attempt, Category, Diagnosis, Record, Trial, TrialState
from podmap.retries import memory_of_next
from podmap.spec.model import TrialTemplate
from podmap.spec.template import gpus_of, is_own_template, memory_of, with_memory

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a trial stands.

    Attributes:
        settled: The record that settles it; None if it is not settled.
        attempt: The attempt to wait for; None if there is none.
        launch: What to create now; None if not now.
        leftovers: Attempts that are to be removed, before anything is created.
        unproposed: Whether a slot is at hand and the search is to be asked for the trial's params.
    """

    settled: Record | None = None
    attempt: Observation | None = None
    launch: Launch | None = None
    leftovers: Sequence[str] = ()
    unproposed: bool = False


class TrialLedger:
    """What one epoch reads and writes of one trial.

    All its methods block and are called off the event loop, one at a time. Each raises
    `StoreError` when the store could not be asked, and leaves things so that it can be called
    again.

    Attributes:
        record: The trial's record as this process last saw or wrote it.
        rules: What the trial may cost.
        shows_waiting: Whether the ledger need not be told that the trial waits: it says so
            already, has no record, or one that must stay until the trial is run.
    """

    def __init__(
        self,
        planned: PlannedRun,
        number: int,
        epoch: str,
        *,
        result_path: ResultPath,
        alone: bool = False,
        learnt_bytes: Callable[[int], int] = lambda base_bytes: 0,
    ) -> None:
        """Nothing is read yet.

        Args:
            planned: The run.
            number: The trial's number.
            epoch: Which asking this is.
            result_path: Knows where attempts write their results.
            alone: Whether no other process can be at work on the run.
            learnt_bytes: The memory that a trial gives itself to what trials like it are known
                to need by now; 0 if nothing is known.
        """
        self._planned = planned
        self._launcher = Launcher.of(planned, result_path)
        self._alone = alone
        self._learnt_bytes = learnt_bytes
        self._number = number
        self._epoch = epoch
        self._asked = time.monotonic()
        self._shows_running = False
        self._ran_since: str | None = None
        self.shows_waiting = False
        self.record = Record(number=number, key="", epoch=epoch, state=TrialState.WAITING)
        self.set_trial(planned.trial(number))

    @property
    def trial(self) -> Trial:
        """The trial, as far as it is known by now: a search that learns says its params late."""
        return self._trial

    def set_trial(self, trial: Trial) -> None:
        """Takes the trial for what it is from now on; nothing is written.

        An example gives no params to the record.
        """
        sweep, template = self._planned.sweep, self._planned.template(trial)
        self._trial, self._template = trial, template
        self.rules = Rules(
            retries=sweep.retries,
            exit_codes=template.exit_codes,
            deadline_s=template.deadline,
            timeout_s=template.timeout,
            gpus=gpus_of(template),
            own_template=is_own_template(sweep.trial, template),
        )
        self.record = record_of_trial(self.record, trial)

    def read_standing(
        self, found: Sequence[Observation], *, start: bool = False, claims: bool = True
    ) -> Standing:
        """Where the trial stands.

        Args:
            found: Its attempts, listed before this call.
            start: Whether a slot is at hand: then the next attempt is prepared, if one is due,
                and the record says RUNNING.
            claims: Whether the trial becomes this epoch's, if it is not. Else nothing is written,
                and the attempts of other epochs are none of the caller's business.

        Raises:
            SupersededError: The trial was asked for anew, by another epoch; not if `claims` is
                False.
        """
        record = self._planned.ledger.read_record(self._number)
        trial = self._planned.as_recorded(self._trial, record)
        if trial != self._trial:
            self.set_trial(trial)
        if not claims:
            found = [seen for seen in found if seen.epoch == self._epoch]
        newer = [seen for seen in found if is_older_epoch(self._epoch, seen.epoch)]
        settled = self._settled_by(record, claims=claims)
        if settled is not None:
            return Standing(
                settled=settled, leftovers=[seen.name for seen in found if seen not in newer]
            )
        if newer or (claims and record and is_older_epoch(self._epoch, record.epoch)):
            raise self._superseded()
        ours = record is not None and record.epoch == self._epoch
        self.shows_waiting = ours or record is None or record.state is TrialState.COMPLETE
        if record is not None and ours:
            self._continue_record(record)
        done = {attempt.number for attempt in self.record.attempts}
        own = [seen for seen in found if seen.epoch == self._epoch and seen.attempt not in done]
        mine = max(own, key=lambda seen: seen.attempt, default=None)
        leftovers = [seen.name for seen in found if seen is not mine]
        if mine is None and start and self._trial.example:
            return Standing(leftovers=leftovers, unproposed=True)
        if mine is None and start:
            return self._prepare_attempt(found, leftovers, kept=record.attempts if record else ())
        if found and not ours and claims:
            self.write_waiting()  # before leftovers are removed: they may be newer than this asking
            self._write_leftovers(seen for seen in found if seen is not mine)
        return Standing(attempt=mine, leftovers=leftovers)

    def _continue_record(self, record: Record) -> None:
        """Goes on from a record of this epoch."""
        # Of an attempt that vanished before anyone saw its end, this time is all that is left.
        self._ran_since = record.started
        started = record.started if record.attempts else None
        record = replace(record, state=TrialState.WAITING, reason="", started=started)
        self.record = record_of_trial(record, self._trial)

    def is_still_due(self, attempt: int) -> bool:
        """Whether an attempt is still to be started, now that nobody else can start it."""
        return not self._is_settled(attempt)

    def write_waiting(self) -> bool:
        """Writes that the trial waits; False if a record of this epoch stands.

        Raises:
            SupersededError: The trial was asked for anew, by another epoch.
        """
        return self._write_record(self.record)

    def settle_end(
        self, ended: EndedAttempt, *, interrupted: bool = False, most_s: float = math.inf
    ) -> Settlement:
        """What an attempt that ended, or is gone, makes of the record; nothing is written.

        Args:
            ended: What is left of it.
            interrupted: Whether one that was cancelled leaves the trial open for a resume.
            most_s: As `ended_attempt` takes it.
        """
        outcome = judge_attempt(ended, objectives=self._planned.objectives)
        ledger = self._planned.ledger
        log_uri = ledger.log_uri(self._number, ended.seen.attempt) if ended.tail else ""
        attempt = ended_attempt(ended.seen, outcome.diagnosis, log_uri=log_uri, most_s=most_s)
        known, names = self.record.reports, self._planned.objectives
        reports = kept_reports(known, ended.messages.reports, objectives=names)
        self.record = replace(self.record, reports=reports)
        outcome = with_reported(outcome, reports, self._planned.sweep.objectives)
        return self._settle(attempt, outcome, tail=ended.tail, interrupted=interrupted)

    def settle_refusal(
        self, launch: Launch, diagnosis: Diagnosis, *, interrupted: bool = False
    ) -> Settlement:
        """What an attempt that can never be created makes of the record; nothing is written."""
        attempt = Attempt(launch.attempt, launch.name, finished=iso(utc_now()), diagnosis=diagnosis)
        outcome = Outcome(TrialState.FAILED, diagnosis=diagnosis)
        return self._settle(attempt, outcome, tail=b"", interrupted=interrupted)

    def _settle(
        self, attempt: Attempt, outcome: Outcome, *, tail: bytes, interrupted: bool
    ) -> Settlement:
        record = record_with_wait(self.record, attempt, asked_for=self._ran_since)
        return settle_attempt(
            record, attempt, outcome, tail=tail, rules=self.rules, interrupted=interrupted
        )

    def write_settlement(self, settlement: Settlement, tail: bytes, *, gone: bool) -> bool:
        """Writes what an attempt left: log, attempt and record.

        Args:
            settlement: What is to be written.
            tail: The end of its output; may be empty.
            gone: Whether the attempt's end was not seen.

        Returns:
            False if the record that stands says otherwise: another process has settled the
            attempt, and perhaps more.
        """
        ledger, attempt = self._planned.ledger, settlement.attempt
        has_result = settlement.record.state in (TrialState.COMPLETE, TrialState.PRUNED)
        others = gone or not (has_result or self._alone)
        if others and self._is_settled(attempt.number):
            return False
        if not ledger.write_end(attempt, settlement.record, tail or None):
            return False
        self.record, self._shows_running = settlement.record, False
        self._add_key()
        return True

    def write_cancelled(self, reason: str, *, resumable: bool) -> Record:
        """The record of a trial that is not run any more; one that stands is kept.

        Args:
            reason: Why.
            resumable: Whether it stays open, to be run by a resume.
        """
        if resumable:
            record = replace(self.record, state=TrialState.WAITING, reason=reason)
            if self._shows_running:
                self._planned.ledger.write_record(record)
            return record
        record = end_record(self.record, TrialState.CANCELLED, reason)
        if self._planned.ledger.write_record(record, claims=False):
            return record
        standing = self._planned.ledger.read_record(self._number)
        return self._settled_by(standing, claims=False) or record

    def _is_settled(self, attempt: int) -> bool:
        """Whether the standing record tells of the attempt's end, or of another asking."""
        standing = self._planned.ledger.read_record(self._number)
        if standing is None:
            return False
        ours = standing.epoch == self._epoch and not standing.state.terminal
        return not ours or any(a.number == attempt for a in standing.attempts)

    def _write_leftovers(self, leftovers: Iterable[Observation]) -> None:
        """Writes attempts that are removed before their end, so that no number is used again."""
        for seen in leftovers:
            diagnosis = Diagnosis(Category.CANCELLED, "its trial was asked for anew")
            with contextlib.suppress(AttemptExistsError):
                self._planned.ledger.write_attempt(
                    self._number, ended_attempt(seen, diagnosis, log_uri="")
                )

    def _settled_by(self, record: Record | None, *, claims: bool) -> Record | None:
        """The record to emit again instead of running the trial; None if it has to be run."""
        if record is None:
            return None
        if record.epoch == self._epoch:
            return record if record.state.terminal else None
        complete = record.state is TrialState.COMPLETE and record.key == self._trial.key
        if not complete or self._planned.sweep.reuse == "none":
            return None
        usable = rescored_record(record, self._planned.objectives)
        if usable is None or usable is record:
            return usable
        usable = replace(usable, epoch=self._epoch)
        return usable if not claims or self._write_record(usable) else None

    def _write_record(self, record: Record) -> bool:
        ledger = self._planned.ledger
        if ledger.write_record(record):
            self._shows_running = record.state is TrialState.RUNNING
            self.shows_waiting = True
            return True
        standing = ledger.read_record(self._number)
        if standing is None or standing.epoch == self._epoch:
            return False
        raise self._superseded()

    def _superseded(self) -> SupersededError:
        return SupersededError(f"trial {self._number} was asked for anew meanwhile")

    def _add_key(self) -> None:
        keys, record = self._planned.keys, self.record
        if keys is not None and record.state is TrialState.COMPLETE:
            try:
                keys.add_record(record, record_uri=self._planned.ledger.record_uri(self._number))
            except StoreError as error:
                log.warning("other runs cannot reuse trial %d: %s", self._number, error)

    def _prepare_attempt(
        self, found: Sequence[Observation], leftovers: Sequence[str], *, kept: Sequence[Attempt]
    ) -> Standing:
        """The next attempt, or a record that makes it needless."""
        free = self._planned.ledger.next_attempt_number(self._number, kept=kept)
        launch = self._make_launch(max([free, *(seen.attempt + 1 for seen in found)]))
        done = self._record_without_attempt(launch.checkpoint)
        if done is not None:
            if not self._write_record(done):
                return Standing()
            self.record = done
            self._add_key()
            return Standing(settled=done, leftovers=leftovers)
        if self.record.queued_s is None:
            queued_s = round(time.monotonic() - self._asked, 3)
            self.record = replace(self.record, queued_s=queued_s)
        self._ran_since = self._ran_since or iso(utc_now())
        started = self.record.started or self._ran_since
        if not self._write_record(replace(self.record, state=TrialState.RUNNING, started=started)):
            return Standing()
        self._write_leftovers(seen for seen in found if seen.epoch != self._epoch)
        return Standing(launch=launch, leftovers=leftovers)

    def _record_without_attempt(self, checkpoint: str | None) -> Record | None:
        """The record of a trial that needs no attempt, or may have none any more."""
        planned, record = self._planned, self.record
        since = record.started or self._ran_since
        if checkpoint and since:
            uri = result_uri(checkpoint, self._trial.key, folder=planned.manifest.folder)
            left = read_left_result(uri, objectives=planned.objectives, since=since)
            if left is not None:
                left = with_reported(left, record.reports, planned.sweep.objectives)
                return completed_record(record, left, reason=f"the result was found at {uri}")
        if not record.attempts:
            return reused_record(planned.keys, record, planned.objectives) if planned.keys else None
        left_s = time_left_s(record, self.rules.deadline_s)
        if left_s is not None and left_s <= 0:
            reason = f"user_timeout: the deadline of {self.rules.deadline_s:g} s is over"
            return end_record(record, TrialState.FAILED, reason)
        return None

    def _make_launch(self, attempt: int) -> Launch:
        return self._launcher.make_launch(
            self._trial,
            epoch=self._epoch,
            attempt=attempt,
            template=self._sized(),
            left_s=time_left_s(self.record, self.rules.deadline_s),
        )

    def _sized(self) -> TrialTemplate:
        """The trial's template with the memory that its next attempt gets."""
        base = memory_of(self._template)
        wanted = memory_of_next(
            self.record.attempts,
            base_bytes=base,
            learnt_bytes=self._learnt_bytes(base) if base is not None else 0,
            oom=self.rules.retries.oom,
        )
        return self._template if wanted in (None, base) else with_memory(self._template, wanted)
