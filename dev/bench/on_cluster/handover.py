"""How long slots stand empty: pure functions on times."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How values spread.

    Attributes:
        median: Half of them are no larger.
        p95: 95 of 100 are no larger.
        largest: The largest.
        count: How many there are.
    """

    median: float
    p95: float
    largest: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread | None:
        """The spread of some values; None if there are none."""
        ordered = sorted(values)
        if not ordered:
            return None
        p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
        return cls(statistics.median(ordered), p95, ordered[-1], len(ordered))


def handovers(taken: Iterable[float], freed: Iterable[float], *, slots: int) -> list[float]:
    """Seconds from each freeing of a slot to when it is taken again.

    Slots are alike, so the one that was freed first is the one that is taken first: the k-th
    freeing belongs to the k-th taking after the first `slots` ones. A value below 0 means that
    more slots were taken than there are.

    Args:
        taken: When slots were taken, in any order.
        freed: When they were freed, in any order.
        slots: How many there are.
    """
    return [
        again - before for again, before in zip(sorted(taken)[slots:], sorted(freed), strict=False)
    ]


def most_at_once(spans: Iterable[Sequence[float]]) -> int:
    """How many of some spans (begin, end) overlap at most; one may begin when another ends."""
    steps = [step for begin, end in spans for step in ((begin, 1), (end, -1))]
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most
