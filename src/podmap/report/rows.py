"""The rows of a leaderboard, and how they are made of records."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.objective import TargetTally, missed_limits
from podmap.records import Record, TrialState
from podmap.report.busy import BusyTime, attempts_s, interrupted_attempts
from podmap.spec.model import Objective

REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Repeats:
    """The trials of one set of params, which a row of a leaderboard stands for.

    Attributes:
        numbers: Their numbers, as far as they have records.
        of: How many there are to be.
        complete: How many are COMPLETE, with all objectives: the row's values are their means.
        failed: How many are FAILED.
        objective_stds: The sample standard deviations of the objectives, in the objectives' order;
            None where fewer than two trials have a value.
        metric_stds: Those of the metrics, in the order of the row's metrics.
    """

    numbers: tuple[int, ...]
    of: int
    complete: int
    failed: int
    objective_stds: tuple[float | None, ...]
    metric_stds: tuple[float | None, ...]

    @property
    def text(self) -> str:
        """How many count, and of how many: `4/5`."""
        return f"{self.complete}/{self.of}"


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial of a leaderboard, or all trials of a set of params, as one row.

    Names and values are kept apart to share the names.

    Attributes:
        number: The trial's number. Of several, that of the one with the best objective.
        state: Where it stands.
        objectives: The objectives' values in the objectives' order; None where a trial has
            none that counts.
        param_names: Names of `param_values`.
        param_values: Values of the params.
        metric_names: Names of `metric_values`.
        metric_values: Values of the metrics; None for NaN.
        duration_s: Seconds that its attempts ran, all together, so without the time between
            them; None if it has not ended. Of several trials the mean.
        attempts: How many attempts it took.
        reason: Why it failed, or a warning, cut to one short line.
        shard: The URI of the piece of data that defines the trial; empty if none does.
        interrupted: How many of the attempts were ended from outside.
        repeat: Which of the trials with these params it is, from 0.
        repeats: What the row is made of, where it stands for several trials; else None.
        missed: Which limit of `objective.where` it misses; empty if none.
    """

    number: int
    state: TrialState
    objectives: tuple[float | None, ...]
    param_names: tuple[str, ...]
    param_values: tuple[Any, ...]
    metric_names: tuple[str, ...]
    metric_values: tuple[float | None, ...]
    duration_s: float | None
    attempts: int
    reason: str
    shard: str = ""
    interrupted: int = 0
    repeat: int = 0
    repeats: Repeats | None = None
    missed: str = ""

    @property
    def params(self) -> dict[str, Any]:
        """Param name to value."""
        return dict(zip(self.param_names, self.param_values, strict=True))

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metric name to value."""
        return dict(zip(self.metric_names, self.metric_values, strict=True))

    @property
    def objective(self) -> float | list[float | None] | None:
        """The objective's value; a list where there are several; None if there is none."""
        if len(self.objectives) > 1:
            return list(self.objectives)
        return self.objectives[0] if self.objectives else None

    @property
    def goals(self) -> list[float | None]:
        """The objectives' values, each followed by its spread where the row has one."""
        if self.repeats is None:
            return list(self.objectives)
        pairs = zip(self.objectives, self.repeats.objective_stds, strict=True)
        return [each for pair in pairs for each in pair]

    @property
    def ranked(self) -> bool:
        """Whether the row takes part in the ranking: complete, with all objectives, in its limits.

        A row of several trials does as soon as one of them is.
        """
        return (
            (self.state is TrialState.COMPLETE or self.repeats is not None)
            and bool(self.objectives)
            and None not in self.objectives
            and not self.missed
        )

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "number": self.number,
            "state": self.state.value,
            "objective": self.objective,
            **({"shard": self.shard} if self.shard else {}),
            "params": self.params,
            "metrics": self.metrics,
            "duration_s": self.duration_s,
            "attempts": self.attempts,
            "reason": self.reason,
            **({"missed": self.missed} if self.missed else {}),
            **({"repeats": self.repeats_json()} if self.repeats else {}),
        }

    def repeats_json(self) -> dict[str, Any] | None:
        """What the row is made of, as a JSON object; None if it stands for one trial."""
        if self.repeats is None:
            return None
        stds = self.repeats.objective_stds
        return {
            "complete": self.repeats.complete,
            "failed": self.repeats.failed,
            "of": self.repeats.of,
            "trials": list(self.repeats.numbers),
            "objective_std": list(stds) if len(stds) > 1 else stds[0] if stds else None,
            "metric_stds": dict(zip(self.metric_names, self.repeats.metric_stds, strict=True)),
        }


class RowBuilder:
    """Turns records into rows that share what is equal: 20,000 rows stay near 10 MB."""

    def __init__(self, objectives: tuple[Objective, ...], *, repeats: int = 1) -> None:
        self._objectives = objectives
        self.target = TargetTally(objectives, repeats=repeats)
        self._shared: dict[Any, Any] = {}
        self.counts: Counter[str] = Counter()
        self.param_names: dict[str, None] = {}
        self.metric_names: dict[str, None] = {}
        self.started: str | None = None
        self.finished: str | None = None
        self.gpu_seconds = 0.0
        self.busy = BusyTime()

    def row(self, record: Record) -> TrialRow:
        """A trial's row."""
        self.counts[record.state.value] += 1
        self.gpu_seconds += record.gpu_seconds
        self.busy.add(record)
        self.target.count_record(record)
        self._note_times(record)
        return TrialRow(
            number=record.number,
            state=record.state,
            objectives=self._objective_values(record),
            param_names=self._names(record.params, self.param_names),
            param_values=tuple(map(self._share, record.params.values())),
            metric_names=self._names(record.metrics, self.metric_names),
            metric_values=tuple(record.metrics.values()),
            duration_s=attempts_s(record),
            attempts=len(record.attempts),
            reason=self._share(_one_line(record.reason)),
            shard=record.shard.uri if record.shard else "",
            interrupted=interrupted_attempts(record),
            repeat=record.repeat,
            missed=missed_text(record.metrics, self._objectives, record.state),
        )

    def _note_times(self, record: Record) -> None:
        # ISO 8601 times of one form sort as text.
        if record.started and (self.started is None or record.started < self.started):
            self.started = record.started
        if record.finished and (self.finished is None or record.finished > self.finished):
            self.finished = record.finished

    def _objective_values(self, record: Record) -> tuple[float | None, ...]:
        values: Sequence[float | None]
        if isinstance(record.objective, (list, tuple)):
            values = record.objective
        else:
            values = (record.objective,)
        if len(values) != len(self._objectives) or None in values:
            values = tuple(record.metrics.get(goal.metric) for goal in self._objectives)
        return tuple(
            value if value is not None and math.isfinite(value) else None for value in values
        )

    def _names(self, values: Mapping[str, Any], all_names: dict[str, None]) -> tuple[str, ...]:
        names = tuple(values)
        known = self._shared.get(names)
        if known is None:
            known = self._shared[names] = tuple(map(sys.intern, names))
            all_names.update(dict.fromkeys(known))
        return tuple(known)

    def _share(self, value: Any) -> Any:
        return self._shared.setdefault(value, value) if isinstance(value, str) else value


def missed_text(
    metrics: Mapping[str, float | None], objectives: Sequence[Objective], state: TrialState
) -> str:
    """Which limit a COMPLETE trial misses; empty if none, and of all others."""
    missed = missed_limits(metrics, objectives) if state is TrialState.COMPLETE else None
    return missed.text if missed else ""


def _one_line(text: str) -> str:
    line = " ".join(text[: REASON_LENGTH * 2].split())
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 1] + "…"
