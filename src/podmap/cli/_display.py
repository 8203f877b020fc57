"""Shows how far a run is: drawn in place on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from podmap.cli._console import Console
from podmap.cli._output import duration
from podmap.cli._progress import Progress
from podmap.cli._streams import safe, unfiltered

if TYPE_CHECKING:
    from rich.text import Text

LINE_EVERY_S = 10.0
LINE_EVERY_PART = 0.1
DRAWS_PER_S = 4
_BAR = 24
_LEAST_BAR = 5
_KINDS = 3
_FAILURE = "red"
"""Red is for failures, and for nothing else."""


class ProgressDisplay(Protocol):
    """Shows progress; a context manager around the run.

    Attributes:
        shows_failures: Whether the newest failures are shown, so that nobody else has to say them.
    """

    shows_failures: bool

    def __enter__(self) -> ProgressDisplay:
        """Begins to show."""
        ...

    def __exit__(self, *error: object) -> None:
        """Ends showing; the last state stays to be seen."""
        ...

    def update(self) -> None:
        """Shows the progress as it is now, or soon."""
        ...


class NoProgress:
    """Shows nothing."""

    shows_failures = False

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self) -> None:
        """Shows nothing."""


class ProgressLines:
    """A line every tenth of the trials, but not more often than every few seconds."""

    shows_failures = False

    def __init__(
        self, console: Console, progress: Progress, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._progress = console, progress
        self._clock = clock
        self._said_at = clock()
        self._said = 0

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self) -> None:
        """Says a line, if it is time for one."""
        progress = self._progress
        ended = progress.ended
        waited_s = self._clock() - self._said_at
        part = (ended - self._said) / max(progress.count, 1)
        if waited_s < LINE_EVERY_S or (part < LINE_EVERY_PART and waited_s < 6 * LINE_EVERY_S):
            return
        if ended == progress.count:
            return
        self._said, self._said_at = ended, self._clock()
        left = f"about {duration(progress.left_s)} left" if progress.left_s else ""
        parts = [
            f"{ended}/{progress.count} trials ended",
            f"{progress.running} running" if progress.running else "",
            *(progress.waiting_texts() if progress.phase() in ("paused", "stopping") else ()),
            *(speed_text(progress.per_s), left, progress.describe()),
        ]
        self._console.say(", ".join(filter(None, parts)))


def speed_text(per_s: float | None) -> str:
    """How many trials end in which time: `2.1 trials/s`, `14 trials/min`; empty if not known."""
    if per_s is None:
        return ""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_s * seconds >= 1:
            return f"{per_s * seconds:.3g} trials/{unit}"
    return f"{per_s * 3600:.3g} trials/h"


def draw_progress(progress: Progress, *, width: int, title: str = "", plain: bool = False) -> Text:
    """The lines of the display, none longer than the width.

    Args:
        progress: What to show.
        width: Characters of a line.
        title: Stands in a line of its own; none if empty.
        plain: Whether the bar is of ASCII characters.
    """
    from rich.text import Text

    with progress.lock:
        lines = [Text(title, "bold")] if title else []
        lines += [_bar_line(progress, width, plain=plain), *_facts(progress)]
    for line in lines:
        line.plain = safe(line.plain)
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _bar_line(progress: Progress, width: int, *, plain: bool) -> Text:
    from rich.text import Text

    ended, count = progress.ended, progress.count
    left = f", {duration(progress.left_s)} left" if progress.left_s else ""
    facts = f"{ended}/{count}  {duration(progress.seconds)}{left}"
    room = min(_BAR, width - len(facts) - 1)
    line = Text()
    if room >= _LEAST_BAR:
        done = room * ended // max(count, 1)
        line.append(("#" if plain else "━") * done, "cyan")
        line.append(("-" if plain else "━") * (room - done), "bright_black")
        line.append(" ")
    return line.append(facts)


def _facts(progress: Progress) -> list[Text]:
    from rich.text import Text

    parallelism = progress.state.parallelism or progress.parallelism
    ending = progress.ending_text()
    running = [f"{progress.running} of {parallelism}", speed_text(progress.per_s)]
    lines = [("running", ", ".join(filter(None, running)), "")]
    lines += [("waiting", each, "") for each in progress.waiting_texts() if not ending]
    lines += [("ending", ending, "bold")] if ending else []
    ended = Text("ended    ").append(progress.ended_text())
    failed = progress.failed_text()
    if failed:
        ended.append(", " if progress.ended_text() else "").append(failed, _FAILURE)
    best = progress.best_text().removeprefix("best ")
    texts = [Text(f"{name:8} ").append(value, style) for name, value, style in lines]
    texts += [ended] if progress.ended else []
    texts += [Text("best     ").append(best)] if best else []
    return texts + [Text(each, _FAILURE) for each in progress.failures.newest(_KINDS)]


class LiveProgress:
    """Drawn in place on a terminal, a few times a second, whatever happens."""

    shows_failures = True

    def __init__(
        self, console: Console | None, progress: Progress, *, stream: TextIO, title: str = ""
    ) -> None:
        """Nothing is drawn yet.

        Args:
            console: Whose lines are to stand above what is drawn; None if there are none.
            progress: What to show.
            stream: A terminal.
            title: Stands above the bar.
        """
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._console, self._progress, self.title = console, progress, title
        self._screen = RichConsole(
            file=unfiltered(stream), highlight=False, markup=False, emoji=False
        )
        self._live = Live(
            get_renderable=self._frame,
            console=self._screen,
            refresh_per_second=DRAWS_PER_S,
            # What is written there is made safe by the streams, not by what is drawn.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _frame(self) -> Text:
        plain = not self._screen.encoding.startswith("utf")
        width = self._screen.width - 1  # the last column makes some terminals wrap
        return draw_progress(self._progress, width=width, title=self.title, plain=plain)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        if self._console is not None:
            self._console.redirect(lambda line: self._screen.print(line, soft_wrap=True))
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()
        if self._console is not None:
            self._console.redirect(None)

    def update(self) -> None:
        """Nothing more: it is drawn a few times a second."""


def progress_display(console: Console, progress: Progress) -> ProgressDisplay:
    """What fits the place where messages go: drawn in place on a terminal, lines elsewhere.

    Args:
        console: Where it is shown; if quiet, nothing is.
        progress: What to show.
    """
    if console.quiet:
        return NoProgress()
    if console.on_terminal:
        return LiveProgress(console, progress, stream=sys.stderr)
    return ProgressLines(console, progress)
