"""The lanes of a timeline: attempts in so few lines that no two of a line are there at once."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence


def lanes(spans: Sequence[tuple[float | None, float | None]]) -> list[int]:
    """The lane of each attempt, from 0.

    Each is put into the lowest lane that is free when it begins, so that lanes look like slots:
    what follows in a lane has taken the place of what ended there.

    Args:
        spans: From when to when; an end of None goes on. What has no begin is in lane 0.
    """
    found = [0] * len(spans)
    begun = [(start, place) for place, (start, _) in enumerate(spans) if start is not None]
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    count = 0
    for start, place in sorted(begun):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else count
        count = max(count, lane + 1)
        end = spans[place][1]
        heapq.heappush(busy, (math.inf if end is None else max(start, end), lane))
        found[place] = lane
    return found
