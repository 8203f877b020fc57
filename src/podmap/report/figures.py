"""What the report's figures show, as plain data: trials as dots, and axes with round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podmap.records import TrialState
from podmap.report.leaderboard import Leaderboard
from podmap.report.rows import TrialRow

HISTORY_POINTS = 1200
SCATTER_POINTS = 500
SCATTERS = 12
MISSES = 300
CATEGORIES = 10
_MOST = 1e300
_MOST_BINS = 6
_LOG_DECADES = 2.0
_LEAST_LOG = 1e-290
_OUTLIERS = 3.0
_SAME = 1e-9
_FEWEST_TICKS = 4
_HIGHEST = 1e308
"""Beyond it a float has no room for the margin of an axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis.

    Attributes:
        low: The value at its start.
        high: The value at its end, above `low`.
        log: Whether it is logarithmic.
        ticks: Values to mark, ascending.
    """

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Where a value is, from 0 at `low` to 1 at `high`; what is beyond them is held there."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            at = math.log10(value) if value > 0 else low
        else:
            low, high, at = self.low, self.high, value
        return min(1.0, max(0.0, (at - low) / (high - low)))


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial in a figure.

    Attributes:
        number: The trial's number.
        x: Its place along the x axis, in the axis' own values.
        y: Its objective, or its second objective.
        mark: Whether it stands out: it is the best, or on the Pareto front.
    """

    number: int
    x: float
    y: float
    mark: bool = False


@dataclass(frozen=True, slots=True)
class HistoryInfo:
    """The objective of each trial, and the best so far.

    Attributes:
        metric: The objective.
        maximize: Whether larger is better.
        dots: The trials, thinned out evenly where there are too many; all records are kept.
        best: (number, value) of each trial that was better than all before it.
        misses: (number, state) of trials that ended without a value, thinned out.
        total: How many trials have a value.
        x: The axis of trials' numbers.
        y: The axis of the objective.
    """

    metric: str
    maximize: bool
    dots: tuple[Dot, ...]
    best: tuple[tuple[int, float], ...]
    misses: tuple[tuple[int, TrialState], ...]
    total: int
    x: Axis
    y: Axis

    @property
    def clipped(self) -> bool:
        """Whether outliers lie on the edge instead of where they belong."""
        return any(dot.y < self.y.low or dot.y > self.y.high for dot in self.dots)


@dataclass(frozen=True, slots=True)
class ScatterInfo:
    """The objective against one param, or against another objective.

    Attributes:
        x_name: What is along the x axis.
        y_name: What is along the y axis.
        dots: The trials, thinned out evenly.
        categories: For choices: what x = 0, 1, 2 … stand for; empty for numbers.
        strength: How much of the ranking the param explains on its own, from 0 to 1.
        x: The x axis.
        y: The y axis.
        front: Whether the marked dots are a Pareto front, to be joined by a line.
    """

    x_name: str
    y_name: str
    dots: tuple[Dot, ...]
    categories: tuple[str, ...]
    strength: float
    x: Axis
    y: Axis
    front: bool = False


def get_history_info(board: Leaderboard, *, goal: int = 0) -> HistoryInfo | None:
    """The history of one objective; None if no trial has a value for it.

    Args:
        board: The leaderboard.
        goal: Which of its objectives.
    """
    rows = sorted((row for row in board.rows if row.ranked), key=lambda row: row.number)
    if not rows:
        return None
    objective = board.objectives[goal]
    maximize = objective.direction == "maximize"
    values = [(row.number, _value(row, goal)) for row in rows]
    best: list[tuple[int, float]] = []
    for number, value in values:
        if not best or (value > best[-1][1] if maximize else value < best[-1][1]):
            best.append((number, value))
    kept = {number for number, _ in best}
    dots = _thin([pair for pair in values if pair[0] not in kept], HISTORY_POINTS)
    marked = best[-1][0]
    misses = [
        (row.number, row.state) for row in board.rows if row.state.terminal and not row.ranked
    ]
    last = max(row.number for row in board.rows)
    span = within_reach([value for _, value in values], maximize=maximize)
    return HistoryInfo(
        metric=objective.metric,
        maximize=maximize,
        dots=tuple(Dot(n, n, v, n == marked) for n, v in sorted([*dots, *best])),
        best=tuple(_thin(best, HISTORY_POINTS)),
        misses=tuple(_thin(sorted(misses), MISSES)),
        total=len(values),
        x=make_axis([0, last], whole=True),
        y=make_axis(span),
    )


def get_scatter_infos(board: Leaderboard) -> list[ScatterInfo]:
    """The first objective against each param that varies, those that matter most first."""
    rows = [row for row in board.rows if row.ranked]
    if not rows:
        return []
    found = [_scatter(board, rows, name) for name in board.param_names]
    infos = [info for info in found if info is not None]
    return sorted(infos, key=lambda info: -info.strength)[:SCATTERS]


def get_pareto_info(board: Leaderboard) -> ScatterInfo | None:
    """The first two objectives against each other; None with fewer, or without trials."""
    rows = [row for row in board.rows if row.ranked]
    if len(board.objectives) < 2 or not rows:
        return None
    front = {row.number for row in board.pareto}
    thin = _thin([row for row in rows if row.number not in front], SCATTER_POINTS)
    shown = [*thin, *_thin(list(board.pareto), SCATTER_POINTS)]
    dots = [Dot(r.number, _value(r, 0), _value(r, 1), r.number in front) for r in shown]
    reach = [
        within_reach([_value(row, goal) for row in rows], maximize=_maximizes(board, goal))
        for goal in (0, 1)
    ]
    return ScatterInfo(
        x_name=board.objectives[0].metric,
        y_name=board.objectives[1].metric,
        dots=tuple(dots),
        categories=(),
        strength=0.0,
        x=make_axis(reach[0]),
        y=make_axis(reach[1]),
        front=len(board.objectives) == 2,
    )


def make_axis(values: Sequence[float], *, whole: bool = False) -> Axis:
    """An axis on which all the values are seen.

    It is logarithmic if they are positive and far apart.

    Args:
        values: Finite numbers; may be empty.
        whole: Whether only whole numbers make sense as ticks.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if _is_log(low, high):
        return _log_axis(low, high)
    spread = high - low
    same = spread <= max(abs(low), abs(high)) * _SAME
    margin = abs(low) * 0.1 or 1.0 if same else spread * 0.05
    low, high = low - margin, high + margin
    return Axis(low, high, False, _linear_ticks(low, high, whole=whole))


def within_reach(values: Sequence[float], *, maximize: bool) -> tuple[float, float]:
    """The span worth drawing: a few far outliers on the worse side are left out of it.

    Args:
        values: Finite numbers, at least one.
        maximize: Whether the larger ones are the better ones.
    """
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    lower, upper = ordered[len(ordered) // 10], ordered[len(ordered) * 9 // 10]
    # Far is meant as it is drawn: on a logarithmic axis, in decades.
    if _is_log(low, high):
        low, lower, upper, high = map(math.log10, (low, lower, upper, high))
        low, high = _without_outliers(low, lower, upper, high, maximize=maximize)
        return 10.0**low, 10.0**high
    return _without_outliers(low, lower, upper, high, maximize=maximize)


def _scatter(board: Leaderboard, rows: Sequence[TrialRow], name: str) -> ScatterInfo | None:
    known = [(row, row.params[name]) for row in rows if row.params.get(name) is not None]
    xs, categories = _along([value for _, value in known])
    if len(set(xs)) < 2:
        return None
    best = board.best.number if board.best else None
    ys = [_value(row, 0) for row, _ in known]
    dots = [
        Dot(row.number, x, y, row.number == best)
        for (row, _), x, y in zip(known, xs, ys, strict=True)
    ]
    shown = _thin([dot for dot in dots if not dot.mark], SCATTER_POINTS)
    whole = all(isinstance(value, int) for _, value in known)
    return ScatterInfo(
        x_name=name,
        y_name=board.objectives[0].metric,
        dots=(*shown, *(dot for dot in dots if dot.mark)),
        categories=categories,
        strength=_strength(xs, ys, groups=bool(categories)),
        x=_category_axis(len(categories)) if categories else make_axis(xs, whole=whole),
        y=make_axis(within_reach(ys, maximize=_maximizes(board, 0))),
    )


def _along(values: Sequence[Any]) -> tuple[list[float], tuple[str, ...]]:
    """The values as numbers, and what these stand for if the values are choices."""
    if all(_is_number(value) for value in values):
        return [float(value) for value in values], ()
    texts = [_text(value) for value in values]
    categories = tuple(sorted(set(texts)))
    if len(categories) > CATEGORIES:
        return [], ()
    return [float(categories.index(text)) for text in texts], categories


def _category_axis(count: int) -> Axis:
    return Axis(-0.5, count - 0.5, False, ())


def _strength(xs: Sequence[float], ys: Sequence[float], *, groups: bool) -> float:
    """How much of the variance of the ranks of `ys` lies between groups of `xs`, adjusted.

    Numbers are put into groups of about equal size, so a peak in the middle counts as well as
    a slope, and neither a logarithmic scale nor an outlier changes the answer.
    """
    places = xs if groups else _bins(xs)
    ranks = _ranks(ys)
    mean = sum(ranks) / len(ranks)
    total = sum((rank - mean) ** 2 for rank in ranks)
    members: dict[float, list[float]] = {}
    for place, rank in zip(places, ranks, strict=True):
        members.setdefault(place, []).append(rank)
    free = len(ranks) - len(members)
    if not total or free <= 0:
        return 0.0
    between = sum(len(of) * (sum(of) / len(of) - mean) ** 2 for of in members.values())
    return max(0.0, 1 - (1 - between / total) * (len(ranks) - 1) / free)


def _bins(xs: Sequence[float]) -> list[float]:
    count = max(2, min(_MOST_BINS, len(xs) // 8))
    ranks = _ranks(xs)
    return [float(int(rank * count / len(xs))) for rank in ranks]


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + end - 1) / 2
        start = end
    return ranks


def _thin(items: Sequence[Any], limit: int) -> list[Any]:
    if len(items) <= limit:
        return list(items)
    return [items[place * len(items) // limit] for place in range(limit)]


def _value(row: TrialRow, goal: int) -> float:
    value = row.objectives[goal]
    return math.nan if value is None else float(value)


def _maximizes(board: Leaderboard, goal: int) -> bool:
    return board.objectives[goal].direction == "maximize"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= _MOST


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_outliers(
    low: float, lower: float, upper: float, high: float, *, maximize: bool
) -> tuple[float, float]:
    middle = upper - lower
    if middle > 0 and maximize and lower - low > _OUTLIERS * middle:
        low = lower - middle
    if middle > 0 and not maximize and high - upper > _OUTLIERS * middle:
        high = upper + middle
    return low, high


def _is_log(low: float, high: float) -> bool:
    return low >= _LEAST_LOG and math.log10(high) - math.log10(low) >= _LOG_DECADES


def _log_axis(low: float, high: float) -> Axis:
    span = (math.log10(high) - math.log10(low)) * 0.04
    low, high = low / 10**span, min(high * 10**span, _HIGHEST)
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, (last - first) // 5)
    return Axis(low, high, True, tuple(10.0**power for power in range(first, last + 1, step)))


def _linear_ticks(low: float, high: float, *, whole: bool) -> tuple[float, ...]:
    most = (high - low) / _FEWEST_TICKS
    size = 10.0 ** math.floor(math.log10(most))
    step = max(size * part for part in (1, 2, 5) if size * part <= most)
    if whole:
        step = max(1.0, round(step))
    first = math.ceil(low / step)
    count = math.floor(high / step) - first + 1
    digits = 2 - math.floor(math.log10(step))
    return tuple(round((first + place) * step, digits) for place in range(max(0, count)))
