"""The leaderboard: trials sorted by objective, and its columns on screen, in CSV and in JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.objective import ReachedTarget
from podmap.records import Record, TrialState
from podmap.report.repeats import merged_repeats
from podmap.report.rows import RowBuilder, TrialRow
from podmap.report.words import reason_pattern
from podmap.spec.model import Objective

_REPEATS = ("repeats.complete", "repeats.failed", "repeats.of")
_SIGN = r"[=+\-@|%\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
_BLANKS = r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2060\ufeff]*"
_FORMULA = re.compile(rf"{_BLANKS}{_SIGN}|[\t\r\n]")
# Where a spreadsheet splits cells at other signs than commas, a text is several cells.
_FORMULA_WITHIN = re.compile(rf"([;\t\r\n]{_BLANKS}\"?)(?={_SIGN})")


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The trials of a run, best first; with repeats the sets of params, each by its mean.

    Attributes:
        objectives: What was sorted by; empty for runs without an objective.
        rows: Ranked trials best first (with several objectives: the Pareto front, then the
            others, each by the first objective), ties by number; then all others by number.
            With repeats a row is a set of params, and one of which more trials are complete is
            ranked before one of which fewer are, whatever their means.
        best: The best row; None with several objectives, none at all, or no ranked trial.
        pareto: With several objectives, the rows that no other row beats in all of them.
        counts: State to number of trials, of those that have a record.
        param_names: All params' names, in the order they came up.
        metric_names: All metrics' names, in the order they came up.
        started: When the first attempt started, UTC ISO 8601; None before it.
        finished: When the last trial ended; None before it.
        gpu_seconds: GPUs times the seconds they were held, over all trials.
        trials: The single trials, by number, where the rows stand for several; else the rows.
        reached: Which trials have reached the objective's target; None if none have.
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
    trials: tuple[TrialRow, ...] = ()
    reached: ReachedTarget | None = None
    left_out: tuple[str, ...] = ()
    busy_s: float | None = None

    @classmethod
    def build(
        cls,
        records: Iterable[Record],
        objectives: Sequence[Objective],
        *,
        repeats: int = 1,
        each: bool = False,
    ) -> Leaderboard:
        """The leaderboard of records, which are read once and not kept.

        Args:
            records: In any order.
            objectives: As the spec has them; NaN and infinity never count.
            repeats: How many trials have the same params, as `search.repeats` says.
            each: Whether these are a row each all the same.
        """
        builder = RowBuilder(tuple(objectives), repeats=repeats)
        trials = [builder.row(record) for record in records]
        merges = repeats > 1 and not each
        ranked, front, others = rank_trials(trials, objectives, repeats=repeats if merges else 1)
        rows = [*ranked, *others]
        return cls(
            objectives=tuple(objectives),
            rows=tuple(rows),
            trials=tuple(sorted(trials, key=lambda row: row.number) if merges else rows),
            reached=builder.target.reached,
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

    def by_reason(self, *states: TrialState) -> list[list[TrialRow]]:
        """The trials in these states, grouped by the pattern of their reasons, largest first."""
        groups: dict[str, list[TrialRow]] = {}
        for row in self.trials:
            if row.state in states:
                groups.setdefault(reason_pattern(row.reason), []).append(row)
        return sorted(groups.values(), key=len, reverse=True)

    @property
    def missed(self) -> list[TrialRow]:
        """The rows that have a value and miss a limit of `objective.where`, by number."""
        return [row for row in self.rows if row.missed]

    @property
    def has_repeats(self) -> bool:
        """Whether rows stand for several trials."""
        return any(row.repeats for row in self.rows)

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
        several = self.has_repeats
        return (
            "number",
            "state",
            *(_REPEATS if several else ()),
            *(["shard"] if self.has_shards else []),
            *goals,
            *(f"std.{name}" for name in goals if several),
            *(f"params.{name}" for name in self.param_names),
            *(f"metrics.{name}" for name in self.metric_names),
            *(f"std.metrics.{name}" for name in self.metric_names if several),
            "duration_s",
            "attempts",
            "reason",
        )

    def table(self) -> Iterator[tuple[Any, ...]]:
        """The values of each row, in the order of `columns`; None where a trial has none."""
        shards = self.has_shards
        for row in self.rows:
            params, metrics, of = row.params, row.metrics, row.repeats
            stds = dict(zip(row.metric_names, of.metric_stds, strict=True)) if of else {}
            yield (
                row.number,
                row.state.value,
                *((of.complete, of.failed, of.of) if of else ()),
                *([row.shard or None] if shards else []),
                *(row.objectives or (None,) * len(self.objectives)),
                *(of.objective_stds if of else ()),
                *(params.get(name) for name in self.param_names),
                *(metrics.get(name) for name in self.metric_names),
                *(stds.get(name) for name in self.metric_names if of),
                row.duration_s,
                row.attempts,
                row.reason,
            )

    def same_params(self) -> dict[str, Any]:
        """The params that have one value in all trials, where there are at least two trials."""
        if len(self.rows) < 2:
            return {}
        same = self.rows[0].params
        for row in self.rows:
            params = row.params
            same = {k: v for k, v in same.items() if k in params and _equal(params[k], v)}
        return same

    def to_csv(self, columns: Sequence[str] | None = None) -> bytes:
        """The table as CSV in UTF-8 with a header.

        Numbers in shortest form, `true` and `false`, lists as JSON, nothing for None. Text that
        a spreadsheet would run as a formula gets an apostrophe in front.

        Args:
            columns: Which columns, in their order; None for all.
        """
        all_names = self.columns
        places = [all_names.index(name) for name in columns or all_names]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([_cell(all_names[place]) for place in places])
        writer.writerows([_cell(values[place]) for place in places] for values in self.table())
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


def rank_trials(
    trials: Sequence[TrialRow], objectives: Sequence[Objective], *, repeats: int = 1
) -> tuple[list[TrialRow], list[TrialRow], list[TrialRow]]:
    """The rows of a leaderboard: those ranked, best first; the Pareto front; the others by number.

    Args:
        trials: A row a trial, in any order.
        objectives: What to rank by.
        repeats: How many trials have the same params, and so become one row.
    """
    rows: Sequence[TrialRow] = trials
    if repeats > 1:
        rows = merged_repeats(trials, objectives, repeats=repeats)
    others = sorted((row for row in rows if not row.ranked), key=lambda row: row.number)
    ranked, front = _rank([row for row in rows if row.ranked], objectives)
    return ranked, front, others


def _rank(
    rows: list[TrialRow], objectives: Sequence[Objective]
) -> tuple[list[TrialRow], list[TrialRow]]:
    """The rows best first, and those of the Pareto front, if there are several objectives.

    Rows of which more trials are complete come first, and they alone can be of the front.
    """
    signs = [-1.0 if goal.direction == "maximize" else 1.0 for goal in objectives]
    rows.sort(key=lambda row: (-_complete(row), *_costs(row, signs), row.number))
    if len(objectives) < 2:
        return rows, []
    most = [row for row in rows if _complete(row) == _complete(rows[0])]
    places = pareto_front([_costs(row, signs) for row in most])
    front = [most[place] for place in places]
    in_front = set(places)
    return front + [row for place, row in enumerate(rows) if place not in in_front], front


def _complete(row: TrialRow) -> int:
    return row.repeats.complete if row.repeats else 1


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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = _FORMULA_WITHIN.sub(r"\1'", f"'{text}" if _FORMULA.match(text) else text)
    # The csv module quotes a lone carriage return only from Python 3.13 on.
    return text.replace("\r", "\n")
