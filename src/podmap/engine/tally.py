"""The tally of a run: how many trials failed, what memory they need, whether its target is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from podmap.engine.budget_tally import BudgetTally
from podmap.engine.first_failures import WELL, FirstFailures
from podmap.ledger.run_state import Decisions, RunState
from podmap.objective import TargetTally
from podmap.records import Category, Record, TrialState
from podmap.retries import Payer, more_memory, payer_of
from podmap.spec.model import OomRetries, Sweep
from podmap.spec.template import memory_of

if TYPE_CHECKING:
    from podmap.engine.planned import PlannedRun

TIME_IS_OVER = "the run's time is over (budget.wall)"

ENOUGH_TO_LEARN = 2
"""Of trials of one size that ran out of memory: a single one may leak, or be an odd one."""


@dataclass(frozen=True, slots=True)
class Stop:
    """That a run starts no more attempts.

    Attributes:
        reason: Why, for a person.
        cancel: Whether the attempts that run are ended, too.
        at: UTC ISO 8601 of the decision; empty for long ago.
        lasts: Whether it holds also for trials that are asked for after it.
        by_user: Whether a user has said so.
    """

    reason: str
    cancel: bool = False
    at: str = ""
    lasts: bool = False
    by_user: bool = False

    @classmethod
    def published(cls, decisions: Decisions) -> Stop:
        """The stop that `run.json` tells of."""
        return cls(decisions.stop, decisions.cancel, decisions.at, decisions.lasts)

    @classmethod
    def steered(cls, state: RunState) -> Stop | None:
        """The stop that a user has put into `run.json`; None if nobody has."""
        if state.stopped is None:
            return None
        reason = state.stopped or "the run was stopped"
        return cls(reason, state.cancel, lasts=True, by_user=True)

    def holds(self, asked: str) -> bool:
        """Whether it holds for a trial that was asked for at a time, UTC ISO 8601."""
        return self.lasts or self.at >= asked


def decided_about(state: RunState, planned: str, *, lifted: str) -> Decisions:
    """What was decided about a planning.

    Args:
        state: The run's.
        planned: The planning, as in the manifest.
        lifted: UTC ISO 8601 of the last lifting of stops that is known; empty for none.
    """
    decided = state.decided
    if decided.planned != planned:
        return Decisions(planned)
    since = max(decided.since, lifted)
    if decided.at < since:  # it was read, or written, by one who did not know of the lifting
        return replace(with_stop(decided, None), since=since)
    return decided


def with_stop(decisions: Decisions, stop: Stop | None) -> Decisions:
    """What is to be published, with this stop in it, or none."""
    if stop is None:
        return replace(decisions, stop="", cancel=False, at="", lasts=False)
    return replace(decisions, stop=stop.reason, cancel=stop.cancel, at=stop.at, lasts=stop.lasts)


class Tally:
    """The failures of a run, the memory that its trials need, and whether its target is reached.

    Records may be counted more than once and in any order: what counts is how a trial stands.

    Attributes:
        memory: Memory that trials were given to what trials like them are known to need, both in
            bytes. It never gets less.
        gpus: What they have spent of the budget: GPU-hours, and money.
    """

    def __init__(
        self,
        *,
        allowed_failures: int | Callable[[], int] | None = None,
        cancel: bool = False,
        failed: Mapping[int, str] = MappingProxyType({}),
        first: FirstFailures | None = None,
        oom: OomRetries | None = None,
        memory_of: Callable[[int], int | None] = lambda number: None,
        target: TargetTally | None = None,
        gpus: BudgetTally | None = None,
    ) -> None:
        """Begins to count.

        Args:
            allowed_failures: Trials that may end FAILED, or what says how many may by now; None for
                any number.
            cancel: Whether running attempts are ended when more fail.
            failed: Numbers of the trials that have ended FAILED already, and when.
            first: Whether the first trials fail in the same way; None not to care.
            oom: The memory ladder; None if there is none.
            memory_of: The memory that the spec gives the trial of a number, in bytes.
            target: Which trials have reached the objective's target; None if there is none.
            gpus: What they spend of the budget; None if that is not limited.
        """
        self.gpus = gpus or BudgetTally()
        self._target = target or TargetTally(())
        self._allowance = allowed_failures
        self._cancel = cancel
        self._since = ""
        self._failed = dict(failed)
        self._first = first or FirstFailures(0)
        self._oom = oom if oom is not None and oom.times else None
        self._memory_of = memory_of
        self._short: dict[tuple[int, int], set[int]] = {}
        self.memory: Mapping[int, int] = {}

    @classmethod
    def of_run(cls, planned: PlannedRun, state: RunState, *, asked_anew: bool = False) -> Tally:
        """The tally of a run as its records have it; blocks.

        Trials that failed before the run was planned, or before a time that was forgiven, do not
        count.

        Args:
            planned: The run.
            state: What is decided for it.
            asked_anew: Whether all trials are asked for just now: then failures from before are
                no reason to stop for failing in the same way.

        Raises:
            StoreError: The ledger cannot be read.
            RecordError: A record cannot be understood.
        """
        plan, failures = planned.plan, planned.sweep.failures
        allow = failures.allow
        target = target_of(planned)
        at, decided = planned.manifest.planned, state.decided
        since = max(at, decided.since if decided.planned == at else "")
        tally = cls(
            allowed_failures=(lambda: allow.limit(plan.count)) if allow else None,
            cancel=failures.on_exceed == "cancel",
            first=FirstFailures(
                failures.same,
                objectives=planned.objectives,
                exit_codes=lambda number: planned.template(planned.trial(number)).exit_codes,
            ),
            target=target,
            gpus=BudgetTally.of_run(planned),
            oom=planned.sweep.retries.oom,
            memory_of=lambda number: memory_of(planned.template(planned.trial(number))),
        )
        for record in tally._former_records(planned, asked_anew=asked_anew):
            tally.gpus.count_record(record)
            if target.given and _is_kept(record, planned):
                target.count_record(record)
            if record.state.terminal:
                if asked_anew:
                    tally._first.pass_over(record)
                tally._count_failure(record, since)
            if not tally._counts and not tally._counts_all:
                break
        return tally

    def _former_records(self, planned: PlannedRun, *, asked_anew: bool) -> Iterable[Record]:
        """What is to be counted at first, from the run's snapshot where that has what it takes.

        That one trial went well counts before all others: who failed before it, nobody can tell.
        """
        if not self._counts and not self._counts_all:
            return ()
        known = list(planned.ledger.board().records())
        well = next((one for one in known if one.state in WELL), None)
        if well is not None:
            self._first.count_record(well)
        if not self._counts and not self._counts_all:
            return ()
        in_full = self._target.given or (self._first.undecided and not asked_anew)
        return planned.ledger.records() if known and in_full else known

    @property
    def needs_other_trials(self) -> bool:
        """Whether it matters how the trials of other processes end."""
        return self._counts or self._oom is not None or self._counts_all

    @property
    def _counts(self) -> bool:
        """Whether it matters which trials fail."""
        return self._allowance is not None or self._first.undecided

    @property
    def _counts_all(self) -> bool:
        """Whether it matters what every trial comes to."""
        return self._target.given or self.gpus.given

    @property
    def _allowed(self) -> int | None:
        """How many trials may fail, of those that the run has by now."""
        allowance = self._allowance
        return allowance() if callable(allowance) else allowance

    @property
    def failed(self) -> Set[int]:
        """The numbers of the trials that failed."""
        return self._failed.keys()

    @property
    def reached(self) -> Stop | None:
        """The stop for a reached target; None while it is not."""
        return _stop_of(self._target)

    @property
    def spent(self) -> Stop | None:
        """The stop for a budget that is spent; None while there is something left."""
        reason, gpus = self.gpus.reason, self.gpus
        return Stop(reason, gpus.cancel, gpus.spent_at, lasts=True) if reason else None

    @property
    def stop(self) -> Stop | None:
        """The stop for a reached target, a spent budget, too many or too similar failures."""
        if self.reached is not None or self.gpus.reason:
            return self.reached or self.spent
        allowed = self._allowed
        if allowed is None or len(self._failed) <= allowed:
            reason, at = self._first.reason, self._first.at
            return Stop(reason, self._cancel, at) if reason else None
        failed = f"{len(self._failed)} trials failed, {allowed} were allowed"
        return Stop(f"{failed} (failures.allow)", self._cancel, max(self._failed.values()))

    def memory_for(self, base_bytes: int) -> int:
        """The memory that a trial of this base is known to need; 0 if nothing is known."""
        return self.memory.get(base_bytes, 0)

    def memory_needed(self, number: int) -> int:
        """As `memory_for`, for the trial of a number."""
        base = self._memory_of(number) if self.memory else None
        return 0 if base is None else self.memory_for(base)

    def count_record(self, record: Record) -> None:
        """Counts how a trial stands."""
        self._target.count_record(record)
        self.gpus.count_record(record)
        self._count_failure(record, self._since)
        if self._oom is not None:
            self._learn_from(record, self._oom)

    def _count_failure(self, record: Record, since: str) -> None:
        finished, failed = record.finished or "", record.state is TrialState.FAILED
        # A cluster tells whole seconds: it may have ended at any moment of that one.
        late = finished.replace(".000Z", ".999Z") >= since
        if failed and late:
            self._failed[record.number] = finished
        else:
            self._failed.pop(record.number, None)
        if late or not failed:
            self._first.count_record(record)

    def reopen_trial(self, number: int) -> None:
        """Counts a trial that is run again as one that has not failed, nor reached anything."""
        self._failed.pop(number, None)
        self._target.forget_trial(number)
        self._first.reopen_trial(number)

    def forgive_failures(self, before: str) -> None:
        """Counts no trial any more that failed before a time, UTC ISO 8601."""
        self._since = max(self._since, before)
        self._failed = {
            number: finished for number, finished in self._failed.items() if finished >= before
        }
        self._first.forgive(before)

    def learn_memory(self, memory: Mapping[int, int]) -> None:
        """Adds what others have learnt, in the form of `memory`."""
        known = {base: max(self.memory.get(base, 0), learnt) for base, learnt in memory.items()}
        if self._oom is not None:
            self.memory = {**self.memory, **known}  # another thread may be reading the old one

    def _learn_from(self, record: Record, oom: OomRetries) -> None:
        short = [
            attempt.memory_bytes
            for attempt in record.attempts
            if attempt.diagnosis is not None
            and attempt.diagnosis.category is Category.OOM
            and attempt.memory_bytes is not None
        ]
        base = self._memory_of(record.number) if short else None
        if base is None:
            return
        for size in short:
            trials = self._short.setdefault((base, size), set())
            trials.add(record.number)
            more = more_memory(size, oom)
            if more is not None and len(trials) >= ENOUGH_TO_LEARN:
                self.learn_memory({base: more})
        rescued = record.attempts[-1].memory_bytes
        if rescued is not None and record.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self.learn_memory({base: rescued})


def target_of(planned: PlannedRun) -> TargetTally:
    """The tally of a run's target, with nothing counted yet."""
    return TargetTally(planned.sweep.objectives, repeats=planned.plan.repeats)


def reached_by(planned: PlannedRun, record: Record) -> Stop | None:
    """The stop for a target that a trial has reached, with its repeats if it has some; blocks.

    Raises:
        StoreError: The ledger cannot be read.
        RecordError: A record cannot be understood.
    """
    target = target_of(planned)
    for number in target.siblings(record) if target.given else ():
        found = record if number == record.number else planned.ledger.read_record(number)
        if found is not None and _is_kept(found, planned):
            target.count_record(found)
    return _stop_of(target)


def _stop_of(target: TargetTally) -> Stop | None:
    found = target.reached
    return Stop(found.text, cancel=True, at=found.at, lasts=True) if found else None


def _is_kept(record: Record, planned: PlannedRun) -> bool:
    """Whether a COMPLETE record counts for this planning, so that its trial is not run again."""
    if record.state is not TrialState.COMPLETE or record.number >= planned.plan.count:
        return False
    if planned.sweep.reuse == "none" and (record.finished or "") < planned.manifest.planned:
        return False
    return record.key == planned.trial(record.number, record).key


def verdict(
    counts: Mapping[str, int],
    sweep: Sweep,
    *,
    planned: int,
    forgive_by_default: bool,
    reached: str = "",
) -> str:
    """Why the run counts as failed; empty if it does not.

    Args:
        counts: State to number of trials.
        sweep: The spec; its `failures.allow` is the allowance.
        planned: How many trials were planned.
        forgive_by_default: Without `failures.allow` in the spec, whether some failed trials are
            forgiven as long as another one has a result. Airflow shows each failed trial as a
            failed task already, so there `collect` goes on; a command's exit code is all it has.
        reached: Which trials have reached the objective's target, in words: then the run has what
            it was for; empty if none have.
    """
    failed = counts.get(TrialState.FAILED.value, 0)
    ended_well = counts.get(TrialState.COMPLETE.value, 0) + counts.get(TrialState.PRUNED.value, 0)
    if ended_well == 0 and planned > 0:
        return f"no trial has a result: {failed} of {planned} failed"
    if sweep.failures.allow is not None:
        allowed = sweep.failures.allow.limit(planned)
        if failed > allowed:
            return f"{failed} of {planned} trials failed; failures.allow is {allowed}"
    elif failed and not forgive_by_default and not reached:
        return f"{failed} of {planned} trials failed; failures.allow in the spec can forgive some"
    return ""


def why_none_can_run(record: Record) -> str:
    """Why no trial of the run can run at all, as a failed trial shows; empty if it does not."""
    last = record.attempts[-1] if record.attempts else None
    if last and last.diagnosis and payer_of(last, {}) is Payer.SWEEP:
        return f"trial {record.number} cannot run: {last.diagnosis.summary}"
    return ""
