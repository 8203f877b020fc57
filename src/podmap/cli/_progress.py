"""How far a run is while it runs: the bar or the lines, the best trial, the failures by reason."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from podmap.cli._console import Console
from podmap.cli._output import duration, text
from podmap.cli._streams import safe, unfiltered
from podmap.objective import missed_limits
from podmap.records import Record, TrialState
from podmap.report.words import reason_pattern

if TYPE_CHECKING:
    from podmap.spec.model import Objective

LINE_EVERY_S = 10.0
LINE_EVERY_PART = 0.1
_NUMBERS_KEPT = 8
_GROUPS_KEPT = 1000
_GROUPS_SHOWN = 5
_REASON_CHARS = 300
_OTHERS = "other reasons"


class Progress:
    """Counts the trials that end, and knows the best of them and why others failed."""

    def __init__(
        self,
        *,
        count: int,
        objectives: Sequence[Objective],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing has ended yet.

        Args:
            count: How many trials are planned.
            objectives: What counts as good; the best is known for exactly one.
            clock: Gives seconds.
        """
        self.count = count
        self.counts: Counter[str] = Counter()
        self.best: Record | None = None
        self.failures = FailureReasons()
        self._lost: dict[int, Record] = {}
        self._objective = objectives[0] if len(objectives) == 1 else None
        self._earlier = 0
        self._clock = clock
        self._began = clock()

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

    def add(self, record: Record, *, earlier: bool = False) -> None:
        """Counts a trial that has ended.

        Args:
            record: Its record; one that has not ended counts for nothing.
            earlier: Whether it had ended before the command began, so says nothing of the speed.
        """
        if not record.state.terminal:
            return
        self.forget(record.number)
        self.counts[record.state.value] += 1
        self._earlier += earlier
        if record.state is TrialState.FAILED:
            self.failures.add(record)
        if record.state in (TrialState.FAILED, TrialState.CANCELLED):
            self._lost[record.number] = record
        value = record.objective
        if self._objective is None or record.state is not TrialState.COMPLETE:
            return
        if missed_limits(record.metrics, [self._objective]) is not None:
            return
        if isinstance(value, int | float) and (self.best is None or self._better(value)):
            self.best = record

    def forget(self, number: int) -> None:
        """Counts a trial that is run again as one that has not ended, if it was lost."""
        record = self._lost.pop(number, None)
        if record is not None:
            self.counts[record.state.value] -= 1
            if record.state is TrialState.FAILED:
                self.failures.forget(record)

    def _better(self, value: float) -> bool:
        best = self.best.objective if self.best else None
        if self._objective is None or not isinstance(best, int | float):
            return True
        return value > best if self._objective.direction == "maximize" else value < best

    def describe(self) -> str:
        """What the bar cannot show: how many failed, and the best so far."""
        parts = []
        for state, word in ((TrialState.FAILED, "failed"), (TrialState.CANCELLED, "cancelled")):
            if self.counts[state.value]:
                parts.append(f"{self.counts[state.value]} {word}")
        if self.best is not None and self._objective is not None:
            metric, value = self._objective.metric, text(self.best.objective)
            parts.append(f"best {metric} {value} (trial {self.best.number})")
        return ", ".join(parts)


class FailureReasons:
    """Counts failed trials by reason; memory does not grow with the trials.

    Reasons that differ only in numbers are one group, known by the first of them.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, list[int]] = {}

    def forget(self, record: Record) -> None:
        """Counts a trial that failed no more: it is run again."""
        reason = self._reasons.get(reason_pattern(_cut(record)), _OTHERS)
        if self._counts.get(reason):
            self._counts[reason] -= 1
            self._numbers[reason] = [n for n in self._numbers[reason] if n != record.number]
        if self._counts.get(reason) == 0:
            del self._counts[reason], self._numbers[reason]
            self._reasons = {key: text for key, text in self._reasons.items() if text != reason}

    def add(self, record: Record) -> None:
        """Counts a trial that failed."""
        reason = _cut(record)
        pattern = reason_pattern(reason)
        if pattern not in self._reasons and len(self._reasons) >= _GROUPS_KEPT:
            pattern = reason = _OTHERS
        reason = self._reasons.setdefault(pattern, reason)
        self._counts[reason] = self._counts.get(reason, 0) + 1
        numbers = self._numbers.setdefault(reason, [])
        if len(numbers) < _NUMBERS_KEPT:
            numbers.append(record.number)

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
            console.warn(f"{trials} failed: {group['reason']}")
        if len(groups) > _GROUPS_SHOWN:
            console.warn(f"… and {len(groups) - _GROUPS_SHOWN} other reasons")
        if groups:
            console.warn(f"see why: podmap logs {run} {groups[0]['trials'][0]}")


def _cut(record: Record) -> str:
    return record.reason[:_REASON_CHARS] or "no reason is known"


class ProgressDisplay(Protocol):
    """Shows progress; a context manager around the run."""

    def __enter__(self) -> ProgressDisplay:
        """Begins to show."""
        ...

    def __exit__(self, *error: object) -> None:
        """Ends showing; the last state stays to be seen."""
        ...

    def update(self, progress: Progress) -> None:
        """Shows the progress as it is now, or soon."""
        ...


class NoProgress:
    """Shows nothing."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, progress: Progress) -> None:
        """Shows nothing."""


class ProgressLines:
    """A line every tenth of the trials, but not more often than every few seconds."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._said_at = clock()
        self._said = 0

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, progress: Progress) -> None:
        """Says a line, if it is time for one."""
        ended = progress.ended
        waited_s = self._clock() - self._said_at
        part = (ended - self._said) / progress.count
        if waited_s < LINE_EVERY_S or (part < LINE_EVERY_PART and waited_s < 6 * LINE_EVERY_S):
            return
        if ended == progress.count:
            return
        self._said, self._said_at = ended, self._clock()
        more = progress.describe()
        left = f", about {duration(progress.left_s)} left" if progress.left_s else ""
        self._console.say(
            f"{ended}/{progress.count} trials ended{left}{f', {more}' if more else ''}"
        )


class ProgressBar:
    """A bar on a terminal, with the time left and the best so far."""

    def __init__(self, console: Console, *, count: int) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import Progress as RichProgress

        self._console = console
        self._bar = RichProgress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[more]}", markup=False),
            console=RichConsole(
                file=unfiltered(sys.stderr), highlight=False, markup=False, emoji=False
            ),
            refresh_per_second=5,
            # What is written there is made safe by the streams, not by the bar.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=count, more="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        self._console.redirect(lambda line: self._bar.console.print(line, soft_wrap=True))
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._console.redirect(None)

    def update(self, progress: Progress) -> None:
        """Moves the bar; it is drawn a few times a second."""
        left = progress.left_s
        parts = [f"{duration(left)} left"] if left else []
        more: Any = ", ".join([*parts, progress.describe()]).strip(", ")
        self._bar.update(
            self._task, total=progress.count, completed=progress.ended, more=safe(more)
        )


def progress_display(console: Console, *, count: int) -> ProgressDisplay:
    """What fits the place where messages go: a bar on a terminal, lines elsewhere.

    Args:
        console: Where it is shown; if quiet, nothing is.
        count: How many trials are planned.
    """
    if console.quiet:
        return NoProgress()
    if console.on_terminal:
        return ProgressBar(console, count=count)
    return ProgressLines(console)
