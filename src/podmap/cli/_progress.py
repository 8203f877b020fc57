"""How far a run is, while it runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from podmap.cli._output import duration, text
from podmap.cli._talk import Talk
from podmap.records import Record, TrialState

if TYPE_CHECKING:
    from podmap.spec.model import Objective

LINE_EVERY_S = 10.0
LINE_EVERY_PART = 0.1


class Progress:
    """Counts the trials that end, and knows the best of them so far."""

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
        self._objective = objectives[0] if len(objectives) == 1 else None
        self._before = 0
        self._clock = clock
        self._began = clock()

    @property
    def ended(self) -> int:
        """How many trials have ended."""
        return sum(self.counts.values())

    @property
    def left_s(self) -> float | None:
        """Seconds until all have ended, if it goes on so; None if there is nothing to tell."""
        here = self.ended - self._before
        if here <= 0:
            return None
        return (self._clock() - self._began) / here * (self.count - self.ended)

    def take(self, record: Record) -> None:
        """Takes note of a trial; one that has not ended counts for nothing."""
        if not record.state.terminal:
            return
        self.counts[record.state.value] += 1
        value = record.objective
        if self._objective is None or record.state is not TrialState.COMPLETE:
            return
        if isinstance(value, int | float) and (self.best is None or self._better(value)):
            self.best = record

    def take_earlier(self, record: Record) -> None:
        """As `take`, for a trial that had ended before: it says nothing of the speed."""
        self._before += 1
        self.take(record)

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


class Display(Protocol):
    """Shows progress; a context manager around the run."""

    def __enter__(self) -> Display:
        """Begins to show."""
        ...

    def __exit__(self, *error: object) -> None:
        """Ends showing; the last state stays to be seen."""
        ...

    def update(self, progress: Progress) -> None:
        """Shows the progress as it is now, or soon."""
        ...


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, progress: Progress) -> None:
        """Shows nothing."""


class Lines:
    """A line every tenth of the trials, but not more often than every few seconds."""

    def __init__(self, talk: Talk, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._talk = talk
        self._clock = clock
        self._said_at = clock()
        self._said = 0

    def __enter__(self) -> Lines:
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
        self._talk.say(f"{ended}/{progress.count} trials ended{left}{f', {more}' if more else ''}")


class Bar:
    """A bar on a terminal, with the time left and the best so far."""

    def __init__(self, talk: Talk, *, count: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
        )
        from rich.progress import Progress as RichProgress

        self._talk = talk
        self._bar = RichProgress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[more]}", markup=False),
            console=Console(stderr=True, highlight=False, markup=False, emoji=False),
            refresh_per_second=5,
        )
        self._task = self._bar.add_task("", total=count, more="")

    def __enter__(self) -> Bar:
        self._bar.start()
        self._talk.through(lambda line: self._bar.console.print(line, soft_wrap=True))
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        self._talk.through(None)

    def update(self, progress: Progress) -> None:
        """Moves the bar; it is drawn a few times a second."""
        left = progress.left_s
        parts = [f"{duration(left)} left"] if left else []
        more: Any = ", ".join([*parts, progress.describe()]).strip(", ")
        self._bar.update(self._task, completed=progress.ended, more=more)


def display(talk: Talk, *, count: int) -> Display:
    """What fits the place where the talk goes."""
    if talk.quiet:
        return Silence()
    return Bar(talk, count=count) if talk.on_terminal else Lines(talk)
