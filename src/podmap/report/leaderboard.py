"""The leaderboard: trials sorted by objective, and its columns on screen, in CSV and in JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.records import Record, TrialState
from podmap.report.busy import BusyTime, attempts_s, interrupted_attempts
from podmap.report.words import shard_texts
from podmap.spec.model import Objective

REASON_LENGTH = 200
SCREEN_METRICS = 6
_FORMULA = re.compile(r"[\s\0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212|%]|[\t\r\n]")


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial of a leaderboard. Names and values are kept apart to share the names.

    Attributes:
        number: The trial's number.
        state: Where it stands.
        objectives: The objectives' values in the objectives' order; None where a trial has
            none that counts.
        param_names: Names of `param_values`.
        param_values: Values of the params.
        metric_names: Names of `metric_values`.
        metric_values: Values of the metrics; None for NaN.
        duration_s: Seconds that its attempts ran, all together, so without the time between
            them; None if it has not ended.
        attempts: How many attempts it took.
        reason: Why it failed, or a warning, cut to one short line.
        shard: The URI of the piece of data that defines the trial; empty if none does.
        interrupted: How many of the attempts were ended from outside.
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
    def ranked(self) -> bool:
        """Whether the trial takes part in the ranking: complete, with all objectives."""
        return (
            self.state is TrialState.COMPLETE
            and bool(self.objectives)
            and None not in self.objectives
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
        }


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The trials of a run, best first.

    Attributes:
        objectives: What was sorted by; empty for runs without an objective.
        rows: Ranked trials best first (with several objectives: the Pareto front, then the
            others, each by the first objective), ties by number; then all others by number.
        best: The best row; None with several objectives, none at all, or no ranked trial.
        pareto: With several objectives, the rows that no other row beats in all of them.
        counts: State to number of trials, of those that have a record.
        param_names: All params' names, in the order they came up.
        metric_names: All metrics' names, in the order they came up.
        started: When the first attempt started, UTC ISO 8601; None before it.
        finished: When the last trial ended; None before it.
        gpu_seconds: GPUs times the seconds they were held, over all trials.
        left_out: Why records were left out, a line each: they cannot be understood.
        busy_s: Seconds in which trials were under way; None before the first has run.
    """

    objectives: tuple[Objective, ...]
    rows: tuple[TrialRow, ...]
    best: TrialRow | None
    pareto: tuple[TrialRow, ...]
    counts: Mapping[str, int]
    param_names: tuple[str, ...]
    metric_names: tuple[str, ...]
    started: str | None = None
    finished: str | None = None
    gpu_seconds: float = 0.0
    left_out: tuple[str, ...] = ()
    busy_s: float | None = None

    @classmethod
    def build(cls, records: Iterable[Record], objectives: Sequence[Objective]) -> Leaderboard:
        """The leaderboard of records, which are read once and not kept.

        Args:
            records: In any order.
            objectives: As the spec has them; NaN and infinity never count.
        """
        builder = _RowBuilder(tuple(objectives))
        rows = [builder.row(record) for record in records]
        ranked = [row for row in rows if row.ranked]
        others = sorted((row for row in rows if not row.ranked), key=lambda row: row.number)
        signs = [-1.0 if goal.direction == "maximize" else 1.0 for goal in objectives]
        ranked.sort(key=lambda row: (*_costs(row, signs), row.number))
        front: list[TrialRow] = []
        if len(objectives) > 1:
            places = pareto_front([_costs(row, signs) for row in ranked])
            front = [ranked[place] for place in places]
            in_front = set(places)
            rest = (row for place, row in enumerate(ranked) if place not in in_front)
            ranked = [*front, *rest]
        return cls(
            objectives=tuple(objectives),
            rows=(*ranked, *others),
            best=ranked[0] if ranked and len(objectives) == 1 else None,
            pareto=tuple(front),
            counts=dict(builder.counts),
            param_names=tuple(builder.param_names),
            metric_names=tuple(builder.metric_names),
            started=builder.started,
            finished=builder.finished,
            gpu_seconds=builder.gpu_seconds,
            busy_s=builder.busy.seconds(),
        )

    @property
    def has_shards(self) -> bool:
        """Whether pieces of data define the trials, so that there is a column for them."""
        return any(row.shard for row in self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table: `params.<name>` and `metrics.<name>` keep names apart."""
        goals = [goal.metric for goal in self.objectives]
        if len(goals) == 1:
            goals = ["objective"]
        elif goals:
            goals = [f"objective.{metric}" for metric in goals]
        return (
            "number",
            "state",
            *(["shard"] if self.has_shards else []),
            *goals,
            *(f"params.{name}" for name in self.param_names),
            *(f"metrics.{name}" for name in self.metric_names),
            "duration_s",
            "attempts",
            "reason",
        )

    def table(self) -> Iterator[tuple[Any, ...]]:
        """The values of each row, in the order of `columns`; None where a trial has none."""
        shards = self.has_shards
        for row in self.rows:
            params, metrics = row.params, row.metrics
            yield (
                row.number,
                row.state.value,
                *([row.shard or None] if shards else []),
                *(row.objectives or (None,) * len(self.objectives)),
                *(params.get(name) for name in self.param_names),
                *(metrics.get(name) for name in self.metric_names),
                row.duration_s,
                row.attempts,
                row.reason,
            )

    def short_table(
        self, rows: Sequence[TrialRow], *, duration_text: Callable[[float | None], str]
    ) -> tuple[list[str], list[list[Any]]]:
        """The heads and the rows of the table that `podmap results` prints.

        What says nothing is left out: params that are the same in all trials of the run, metrics
        beyond the first few, and the state where all shown trials have the same.

        Args:
            rows: The first rows of the leaderboard.
            duration_text: Shows seconds to a person.
        """
        goals = [goal.metric for goal in self.objectives]
        used = {name for row in rows for name in row.metric_names}
        metrics = [name for name in self.metric_names if name in used and name not in goals]
        metrics = metrics[:SCREEN_METRICS]
        same = self.same_params()
        params = [name for name in self.param_names if name not in same]
        shards = shard_texts(row.shard for row in self.rows)
        rank, state, shard = bool(goals), len({row.state for row in rows}) > 1, bool(shards)
        head = ["rank"] * rank + ["trial"] + ["state"] * state + ["shard"] * shard
        table = [
            [place if row.ranked else None] * rank
            + [row.number]
            + [row.state.value] * state
            + [shards.get(row.shard)] * shard
            + [*row.objectives, *map(row.metrics.get, metrics), *map(row.params.get, params)]
            + [duration_text(row.duration_s)]
            for place, row in enumerate(rows, start=1)
        ]
        return [*head, *goals, *metrics, *params, "took"], table

    def same_params(self) -> dict[str, Any]:
        """The params that have one value in all trials, where there are at least two trials."""
        if len(self.rows) < 2:
            return {}
        same = self.rows[0].params
        for row in self.rows:
            params = row.params
            same = {k: v for k, v in same.items() if k in params and _equal(params[k], v)}
        return same

    def to_csv(self) -> bytes:
        """The table as CSV in UTF-8 with a header.

        Numbers in shortest form, `true` and `false`, lists as JSON, nothing for None. Text that
        a spreadsheet would run as a formula gets an apostrophe in front.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([_cell(name) for name in self.columns])
        writer.writerows([_cell(value) for value in values] for values in self.table())
        return out.getvalue().encode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """The leaderboard as a JSON object; `best` and `pareto` are trials' numbers."""
        return {
            "objectives": [
                {"metric": goal.metric, "direction": goal.direction} for goal in self.objectives
            ],
            "counts": dict(self.counts),
            "best": self.best.number if self.best else None,
            "pareto": [row.number for row in self.pareto],
            "rows": [row.to_json() for row in self.rows],
        }


class _RowBuilder:
    """Turns records into rows that share what is equal: 20,000 rows stay near 10 MB."""

    def __init__(self, objectives: tuple[Objective, ...]) -> None:
        self._objectives = objectives
        self._shared: dict[Any, Any] = {}
        self.counts: Counter[str] = Counter()
        self.param_names: dict[str, None] = {}
        self.metric_names: dict[str, None] = {}
        self.started: str | None = None
        self.finished: str | None = None
        self.gpu_seconds = 0.0
        self.busy = BusyTime()

    def row(self, record: Record) -> TrialRow:
        self.counts[record.state.value] += 1
        self.gpu_seconds += record.gpu_seconds
        self.busy.add(record)
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


def pareto_front(costs: Sequence[tuple[float, ...]]) -> list[int]:
    """The places of the points that no other point beats, in ascending order.

    One point beats another if it is no worse in any cost and better in one; equal points do
    not beat each other.

    Args:
        costs: Points in ascending order (as tuples sort), smaller is better in each cost. So
            whatever beats a point comes before it, and looking at the front is enough.
    """
    front: list[int] = []
    for place, point in enumerate(costs):
        if not any(_beats(costs[other], point) for other in front):
            front.append(place)
    return front


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _costs(row: TrialRow, signs: Sequence[float]) -> tuple[float, ...]:
    return tuple(
        sign * value for sign, value in zip(signs, row.objectives, strict=True) if value is not None
    )


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _one_line(text: str) -> str:
    line = " ".join(text[: REASON_LENGTH * 2].split())
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 1] + "…"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = f"'{text}" if _FORMULA.match(text) else text
    # The csv module quotes a lone carriage return only from Python 3.13 on.
    return text.replace("\r", "\n")
