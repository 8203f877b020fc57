"""Which of several points no other point beats."""

from __future__ import annotations

from collections.abc import Sequence


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
