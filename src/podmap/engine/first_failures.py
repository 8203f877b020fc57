"""The first failures of a run: whether all its trials fail in one and the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

WELL = (TrialState.COMPLETE, TrialState.PRUNED)
"""The states that show that the set-up is right."""
_BAD_USAGE = 2
_BAD_USAGE_HELP = (
    "Exit code 2 is what programs end with that do not know an argument: see trial.command and "
    "trial.args; `podmap render` shows the command, to run it by hand."
)


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a trial failed: two of one kind say that it is not their params."""

    kind: tuple[str, int | bool | None]
    diagnosis: Diagnosis
    finished: str


class FirstFailures:
    """Tells when a run is to stop since its first trials have all failed in the same way.

    What counts speaks of the set-up: the exit code of the command, no result, a result that cannot
    be read or lacks the objective. What depends on params or on the cluster (NaN, memory, time,
    nodes) counts neither for it nor against it, nor do trials that were cancelled. One trial that
    was COMPLETE or PRUNED shows that the set-up is right.

    Attributes:
        reason: Why the run stops, with what to change; empty while it does not.
        at: UTC ISO 8601 of the failure that decided it.
    """

    def __init__(
        self,
        limit: int,
        *,
        objectives: Sequence[str] = (),
        exit_codes: Callable[[int], Mapping[int, str]] = lambda number: {},
    ) -> None:
        """Begins to count.

        Args:
            limit: After so many; 0 for never.
            objectives: Names of the objective's metrics.
            exit_codes: What exit codes mean to the trial of a number, as `payer_of` takes it.
        """
        self._limit = limit
        self._former: dict[int, str] = {}
        self._objectives = objectives
        self._exit_codes = exit_codes
        self._failed: dict[int, _Failure] = {}
        self._one_went_well = False
        self.reason = ""
        self.at = ""

    @property
    def undecided(self) -> bool:
        """Whether it still matters how trials end."""
        return self._limit > 0 and not self._one_went_well

    def count_record(self, record: Record) -> None:
        """Counts how a trial stands; a trial that is told again counts once."""
        self._failed.pop(record.number, None)
        if record.state in WELL:
            self._one_went_well = True
        if record.state is not TrialState.FAILED or not self.undecided:
            return
        failure = self._failure(record)
        if failure is not None and self._former.get(record.number) != failure.finished:
            self._failed[record.number] = failure
            self._decide(failure)

    def pass_over(self, record: Record) -> None:
        """Never counts a failure that whoever asks for the run knows of."""
        if record.state is TrialState.FAILED:
            self._former[record.number] = record.finished or ""

    def reopen_trial(self, number: int) -> None:
        """Counts a trial no more that is run again: whoever asks for it knows of its failure."""
        if self._failed.pop(number, None) is not None:
            self.reason = self.at = ""

    def forgive(self, before: str) -> None:
        """Counts no failure any more from before a time, UTC ISO 8601."""
        late = (each for each in self._failed.items() if each[1].finished >= before)
        self._failed = dict(late)
        if self.at < before:
            self.reason = self.at = ""

    def _decide(self, last: _Failure) -> None:
        kinds = {failure.kind for failure in self._failed.values()}
        if self.reason or len(self._failed) < self._limit or len(kinds) > 1:
            return
        count, diagnosis = len(self._failed), last.diagnosis
        which = "trial" if count == 1 else f"{count} trials"
        cure = _BAD_USAGE_HELP if last.kind[1] == _BAD_USAGE else diagnosis.resolution
        self.at = max(failure.finished for failure in self._failed.values())
        self.reason = (
            f"the first {which} failed in the same way, and none has a result (failures.same): "
            f"{diagnosis.category.value}: {diagnosis.summary}. {cure}"
        ).strip()

    def _failure(self, record: Record) -> _Failure | None:
        """How a trial failed; None if that says nothing of the others."""
        last = record.attempts[-1] if record.attempts else None
        if last is None or last.diagnosis is None or last.diagnosis.own:
            return None
        kind = self._kind(record, last, last.diagnosis.category)
        return None if kind is None else _Failure(kind, last.diagnosis, record.finished or "")

    def _kind(
        self, record: Record, last: Attempt, category: Category
    ) -> tuple[str, int | bool | None] | None:
        if category is Category.USER_EXIT:
            codes = self._exit_codes(record.number)
            passing = last.exit_code is not None and codes.get(last.exit_code) == "infra"
            return None if passing else (category.value, last.exit_code)
        if category is Category.NO_RESULT:
            return category.value, None
        if category is Category.BAD_RESULT:
            diverged = any(record.metrics.get(name, 0.0) is None for name in self._objectives)
            return None if diverged else (category.value, bool(record.metrics))
        return None
