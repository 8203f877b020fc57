"""How far a run is while it runs: its trials by state, the best one, the failures by reason."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from podmap.cli._console import Console
from podmap.cli._output import text
from podmap.ledger.run_state import RunState
from podmap.objective import missed_limits
from podmap.records import Record, TrialState
from podmap.report.phase import run_phase, waiting_for
from podmap.report.words import counts_text, reason_pattern

if TYPE_CHECKING:
    from podmap.spec.model import Objective

_NUMBERS_KEPT = 8
_GROUPS_KEPT = 1000
_GROUPS_SHOWN = 5
_REASON_CHARS = 300
_SPEED_OF = 100
"""Of how many of the last trials the speed is told."""
_OTHERS = "other reasons"


class Progress:
    """Counts the trials that end, and knows the best of them and why others failed.

    Attributes:
        count: How many trials are planned.
        parallelism: How many attempts may be alive at once, unless `state` says otherwise.
        state: What was decided for the run.
        pending: Of how many trials an attempt was created that has not started.
        lock: Held while something changes, and by who shows it.
        counts: State to number of trials that have ended.
        best: The best of them; None if there is none, or not exactly one objective.
        failures: Why trials failed.
    """

    def __init__(
        self,
        *,
        count: int,
        objectives: Sequence[Objective],
        parallelism: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing has ended yet.

        Args:
            count: How many trials are planned.
            objectives: What counts as good; the best is known for exactly one.
            parallelism: How many attempts may be alive at once, by the spec.
            clock: Gives seconds.
        """
        self.count = count
        self.parallelism = parallelism
        self.state = RunState()
        self.lock = threading.RLock()
        self._alive: set[int] = set()
        self._kill_at: float | None = None
        self.pending = 0
        self.counts: Counter[str] = Counter()
        self.best: Record | None = None
        self.failures = FailureReasons()
        self._lost: dict[int, Record] = {}
        self._objective = objectives[0] if len(objectives) == 1 else None
        self._earlier = 0
        self._clock = clock
        self._began = clock()
        self._ends: deque[float] = deque(maxlen=_SPEED_OF)

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(self.counts.values())

    @property
    def left_s(self) -> float | None:
        """Seconds until all have ended, if it goes on so; None if there is nothing to tell."""
        ended_now = self.ended - self._earlier
        if ended_now <= 0:
            return None
        return (self._clock() - self._began) / ended_now * (self.count - self.ended)

    def note_run(self, *, count: int, state: RunState) -> None:
        """Notes how many trials there are, and what was decided for the run."""
        with self.lock:
            self.count, self.state = count, state

    def begin(self, number: int) -> None:
        """Counts a trial as one that runs, or is about to."""
        with self.lock:
            self._alive.add(number)

    def end_attempt(self, number: int) -> None:
        """Counts a trial as one that waits, until it begins or is known to have ended."""
        with self.lock:
            self._alive.discard(number)

    def add(self, record: Record, *, earlier: bool = False) -> bool:
        """Counts a trial that has ended.

        Args:
            record: Its record; one that has not ended counts for nothing.
            earlier: Whether it had ended before the command began, so says nothing of the speed.

        Returns:
            Whether it has failed as none had before.
        """
        if not record.state.terminal:
            return False
        with self.lock:
            return self._add(record, earlier=earlier)

    def _add(self, record: Record, *, earlier: bool) -> bool:
        self._alive.discard(record.number)
        self.forget(record.number)
        self.counts[record.state.value] += 1
        self._earlier += earlier
        if not earlier:
            self._ends.append(self._clock())
        new_kind = record.state is TrialState.FAILED and self.failures.add(record)
        if record.state in (TrialState.FAILED, TrialState.CANCELLED):
            self._lost[record.number] = record
        if self._counts_as_best(record):
            self.best = record
        return new_kind

    def _counts_as_best(self, record: Record) -> bool:
        value = record.objective
        if self._objective is None or record.state is not TrialState.COMPLETE:
            return False
        if missed_limits(record.metrics, [self._objective]) is not None:
            return False
        return isinstance(value, int | float) and (self.best is None or self._better(value))

    def forget(self, number: int) -> None:
        """Counts a trial that is run again as one that has not ended, if it was lost."""
        with self.lock:
            record = self._lost.pop(number, None)
            if record is not None:
                self.counts[record.state.value] -= 1
                if record.state is TrialState.FAILED:
                    self.failures.forget(record)

    @property
    def seconds(self) -> float:
        """How long the command has been at it."""
        return self._clock() - self._began

    @property
    def per_s(self) -> float | None:
        """How many trials have ended a second of late; None before the first has."""
        if not self._ends:
            return None
        began = self._began if len(self._ends) < _SPEED_OF else self._ends[0]
        return len(self._ends) / max(self._clock() - began, 1e-9)

    @property
    def running(self) -> int:
        """How many trials run."""
        return max(0, len(self._alive) - self.pending)

    @property
    def waiting(self) -> int:
        """How many trials have neither ended nor begun to run."""
        return max(0, self.count - self.ended - self.running)

    def phase(self) -> str:
        """Where the run stands, in one word."""
        return run_phase(self._all_counts(), self.state)[0]

    def waiting_texts(self) -> list[str]:
        """What trials wait for, and how many: `93 for a slot: 16 run at once`."""
        phase, reason = run_phase(self._all_counts(), self.state)
        found = waiting_for(
            "running" if phase == "waiting" else phase,
            reason,
            unstarted=self.waiting - self.pending,
            pending=self.pending,
            parallelism=self.state.parallelism or self.parallelism,
        )
        return [f"{each['count']} for {each['text']}" for each in found]

    def expect_kill(self, seconds: float) -> None:
        """Notes that all trials were told to end, and are killed after so many seconds."""
        self._kill_at = self._clock() + seconds

    @property
    def kill_left_s(self) -> float | None:
        """Seconds until trials are killed that do not end by themselves; None if none are."""
        return None if self._kill_at is None else max(0.0, self._kill_at - self._clock())

    def ending_text(self) -> str:
        """How many trials were told to end and have not, and when they are killed, if any."""
        left_s, count = self.kill_left_s, len(self._alive)
        if left_s is None or not count:
            return ""
        # The seconds first: a narrow line may lose its end.
        trials = "1 trial that still runs" if count == 1 else f"{count} trials that still run"
        return f"killed in {left_s:.0f}s: {trials}" if left_s >= 1 else f"being killed: {trials}"

    def _all_counts(self) -> dict[str, int]:
        open_ones = {TrialState.RUNNING.value: self.running, TrialState.WAITING.value: self.waiting}
        return {**self.counts, **open_ones}

    def _better(self, value: float) -> bool:
        best = self.best.objective if self.best else None
        if self._objective is None or not isinstance(best, int | float):
            return True
        return value > best if self._objective.direction == "maximize" else value < best

    def ended_text(self) -> str:
        """How many trials have ended, by state; failed ones apart, see `failed_text`."""
        return counts_text({k: v for k, v in self.counts.items() if k != TrialState.FAILED.value})

    def failed_text(self) -> str:
        """How many trials have failed; empty if none has."""
        return counts_text({TrialState.FAILED.value: self.counts[TrialState.FAILED.value]})

    def best_text(self) -> str:
        """The best value so far, and whose it is; empty if there is none."""
        if self.best is None or self._objective is None:
            return ""
        value = text(self.best.objective)
        return f"best {self._objective.metric} {value} (trial {self.best.number})"

    def describe(self) -> str:
        """How many did not go well, and the best so far."""
        parts = [self.failed_text()]
        if self.counts[TrialState.CANCELLED.value]:
            parts.append(f"{self.counts[TrialState.CANCELLED.value]} cancelled")
        return ", ".join(filter(None, [*parts, self.best_text()]))


class FailureReasons:
    """Counts failed trials by reason; memory does not grow with the trials.

    Reasons that differ only in numbers are one group, known by the first of them.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, list[int]] = {}
        self._said: set[str] = set()

    def forget(self, record: Record) -> None:
        """Counts a trial that failed no more: it is run again."""
        reason = self._reasons.get(reason_pattern(_cut(record)), _OTHERS)
        if self._counts.get(reason):
            self._counts[reason] -= 1
            self._numbers[reason] = [n for n in self._numbers[reason] if n != record.number]
        if self._counts.get(reason) == 0:
            del self._counts[reason], self._numbers[reason]
            self._reasons = {key: text for key, text in self._reasons.items() if text != reason}

    def add(self, record: Record) -> bool:
        """Counts a trial that failed; whether it is the first of its kind."""
        reason = _cut(record)
        pattern = reason_pattern(reason)
        if pattern not in self._reasons and len(self._reasons) >= _GROUPS_KEPT:
            pattern = reason = _OTHERS
        reason = self._reasons.setdefault(pattern, reason)
        # The newest kind is the last one of the dict.
        self._counts[reason] = self._counts.pop(reason, 0) + 1
        numbers = self._numbers.setdefault(reason, [])
        if len(numbers) < _NUMBERS_KEPT:
            numbers.append(record.number)
        return self._counts[reason] == 1

    def newest(self, most: int) -> list[str]:
        """The kinds that have failed last, the last first: how many, and the reason."""
        kinds = list(reversed(self._counts.items()))[:most]
        return [f"{count} failed: {reason}" for reason, count in kinds]

    def note_said(self, reason: str) -> None:
        """Notes that a reason was said, so that it is not said whole again at the end."""
        self._said.add(reason[:_REASON_CHARS])

    def to_json(self) -> list[dict[str, Any]]:
        """Each reason with how many trials and the first of their numbers, most first."""
        ordered = sorted(self._counts.items(), key=lambda pair: (-pair[1], self._numbers[pair[0]]))
        return [
            {"reason": reason, "count": count, "trials": sorted(self._numbers[reason])}
            for reason, count in ordered
        ]

    def say(self, console: Console, run: str) -> None:
        """Says the reasons, and how to see more; nothing if no trial failed."""
        groups = self.to_json()
        for group in groups[:_GROUPS_SHOWN]:
            count, numbers = group["count"], ", ".join(map(str, group["trials"]))
            more = ", …" if count > len(group["trials"]) else ""
            trials = f"trial {numbers}" if count == 1 else f"{count} trials ({numbers}{more})"
            if group["reason"] not in self._said:
                console.warn(f"{trials} failed: {group['reason']}")
            elif count > 1:
                console.warn(f"{trials} failed like the first of them, see above")
        if len(groups) > _GROUPS_SHOWN:
            console.warn(f"… and {len(groups) - _GROUPS_SHOWN} other reasons")
        if groups:
            console.warn(f"see why: podmap logs {run} {groups[0]['trials'][0]}")


def _cut(record: Record) -> str:
    return record.reason[:_REASON_CHARS] or "no reason is known"
