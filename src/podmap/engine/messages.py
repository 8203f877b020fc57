"""What an attempt says to podmap in its output: reports, a result, that it was pruned."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap.engine.lines import LineSplitter
from podmap.engine.plain_metrics import PlainMetrics
from podmap.engine.reports import finite, is_metric, reported_values
from podmap.spec.model import Objective, Sweep
from podmap.spec.patterns import make_pattern

ReportHandler = Callable[[int, Mapping[str, Any]], None]

PREFIX = "podmap:"
MOST_REPORTS = 10_000


@dataclass(slots=True)
class Reports:
    """What an attempt has reported: step to values, in bounded memory.

    Beyond `most` steps every second one is dropped, and of the steps that come later as many, so
    that those that stay cover the whole attempt evenly. The steps with the least and with the
    greatest value of what is `watched` stay all the same.
    """

    most: int = MOST_REPORTS
    watched: Sequence[str] = ()
    _values: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    _extremes: dict[str, list[tuple[float, int, Mapping[str, Any]]]] = field(default_factory=dict)
    _every: int = 1
    _steps: int = 0

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Adds a report, or replaces that of the same step."""
        for name in self.watched:
            self._watch(name, step, values)
        if step not in self._values:
            self._steps += 1
            if (self._steps - 1) % self._every:
                return
        self._values[step] = values
        if len(self._values) > self.most:
            self._values = dict(sorted(self._values.items())[::2])
            self._every *= 2

    def _watch(self, name: str, step: int, values: Mapping[str, Any]) -> None:
        value = finite(values.get(name)) if is_metric(values.get(name)) else None
        if value is None:
            return
        this = (value, step, values)
        least, greatest = self._extremes.setdefault(name, [this, this])
        if value < least[0]:
            self._extremes[name][0] = this
        elif value > greatest[0]:
            self._extremes[name][1] = this

    def __iter__(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Steps with their values, by step."""
        kept = {step: values for pair in self._extremes.values() for _, step, values in pair}
        return iter(sorted({**kept, **self._values}.items()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(slots=True)
class Messages:
    """What one attempt has said so far.

    Attributes:
        final: The last `{"final": {...}}`; None if there was none.
        pruned: Whether it said `{"pruned": true}`.
        last_report: The report with the highest step; empty if there was none.
        reports: All reports, as far as they are kept.
        plain: Reads metrics from lines that are no messages; None if the spec names none.
        objectives: Of the spec; reports count for those with `from`.
        on_report: Called with step and values of each report, as it is read.
    """

    final: Mapping[str, Any] | None = None
    pruned: bool = False
    last_report: Mapping[str, Any] = field(default_factory=dict)
    reports: Reports = field(default_factory=Reports)
    plain: PlainMetrics | None = field(default=None, compare=False)
    objectives: Sequence[Objective] = ()
    on_report: ReportHandler = field(default=lambda step, values: None, compare=False, repr=False)

    def read_line(self, line: str) -> bool:
        """Reads one line; returns whether it was a message of podmap's.

        Of a line that is none, metrics are read by the patterns. What stands before the prefix
        is left out: a progress bar on stderr that has not ended its line shares it with the
        message that comes after.
        """
        if self._read_message(line):
            return True
        found = self.plain.read_line(line) if self.plain is not None else None
        if found is not None:
            self._add_report(found[0], {"step": found[0], **found[1]})
        return False

    def _read_message(self, line: str) -> bool:
        start = line.find(PREFIX)
        if start < 0:
            return False
        try:
            message = json.loads(line[start + len(PREFIX) :])
        except (ValueError, RecursionError):
            return False
        return isinstance(message, dict) and self._add_message(message)

    @property
    def printed(self) -> Mapping[str, float | None]:
        """Metrics that count without a result: of patterns, and of reports where `from` says so."""
        plain = self.plain.last if self.plain is not None else {}
        return {**plain, **reported_values(self.reports, self.objectives)}

    def _add_message(self, message: dict[str, Any]) -> bool:
        step = message.get("step")
        if isinstance(message.get("final"), dict):
            self.final = message["final"]
        elif message.get("pruned") is True:
            self.pruned = True
        elif isinstance(step, int) and not isinstance(step, bool):
            self._add_report(step, message)
        else:
            return False
        return True

    def _add_report(self, step: int, message: dict[str, Any]) -> None:
        if step >= self.last_report.get("step", -math.inf):
            self.last_report = message
        values = {name: value for name, value in message.items() if name != "step"}
        self.reports.add(step, values)
        self.on_report(step, values)


def read_messages(output: bytes, *, make: Callable[[], Messages] = Messages) -> Messages:
    """What the messages in a piece of output say.

    Args:
        output: The piece.
        make: Makes what reads them.
    """
    messages = make()
    if PREFIX.encode() in output or messages.plain is not None:
        splitter = LineSplitter()
        for line in (*splitter.feed(output), *splitter.finish()):
            messages.read_line(line)
    return messages


def make_messages(sweep: Sweep) -> Messages:
    """What reads the messages in the output of one attempt of a sweep."""
    patterns = [make_pattern(name, text) for name, text in sweep.metrics.items()]
    watched = [objective.metric for objective in sweep.objectives]
    plain = PlainMetrics(patterns) if patterns else None
    return Messages(
        reports=Reports(watched=watched), plain=plain, objectives=tuple(sweep.objectives)
    )


def must_follow(sweep: Sweep) -> bool:
    """Whether output must be read while it comes, shown or not."""
    from_steps = any(objective.from_ for objective in sweep.objectives)
    whole = sweep.log_rules.keep == "full"
    return sweep.prune is not None or bool(sweep.metrics) or from_steps or whole
