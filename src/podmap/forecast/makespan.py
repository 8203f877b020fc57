"""Plays a sweep many times: slots, start-up, attempts that fail and are tried again."""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TIMES = 20
"""How often it is played: the spread of the mean is then below that of any single run."""
MOST_ATTEMPTS = 200_000
"""Attempts of all plays together: large sweeps vary little, and are played less often."""
_LOW, _HIGH = 0.1, 0.9

Draw = Callable[[int, random.Random], float]
"""Seconds of one attempt of the trial of a number."""


@dataclass(frozen=True, slots=True)
class Play:
    """How trials go.

    Attributes:
        count: How many trials there are.
        at_once: How many attempts run at once.
        took: How long an attempt takes that ends well.
        failed: How long one takes that fails.
        failing: The part of attempts that fails, from 0 to 1.
        retries: How often a trial that fails is tried again.
        start_s: Seconds in a slot from one end to the next start.
        first_s: Seconds before the first start.
    """

    count: int
    at_once: int
    took: Draw
    failed: Draw
    failing: float = 0.0
    retries: int = 0
    start_s: float = 0.0
    first_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """How it went, over all plays.

    Attributes:
        makespan_s: The mean of the seconds from the planning to the last end.
        low_s: What one play in ten stayed below.
        high_s: What one play in ten went beyond.
        attempts: The mean number of attempts.
        busy_s: By trial, the mean of the seconds of all its attempts.
    """

    makespan_s: float
    low_s: float
    high_s: float
    attempts: float
    busy_s: Sequence[float]


def play_sweep(play: Play) -> Course:
    """What becomes of a sweep; the same for the same arguments.

    Args:
        play: How trials go.
    """
    times = max(1, min(TIMES, MOST_ATTEMPTS // max(1, play.count)))
    if not play.count:
        return Course(0.0, 0.0, 0.0, 0.0, ())
    busy_s = [0.0] * play.count
    ends, attempts = [], 0
    for seed in range(times):
        end_s, tried = _play_once(play, random.Random(seed), busy_s)
        ends.append(end_s)
        attempts += tried
    ends.sort()
    return Course(
        makespan_s=statistics.fmean(ends),
        low_s=ends[int(_LOW * (times - 1))],
        high_s=ends[round(_HIGH * (times - 1))],
        attempts=attempts / times,
        busy_s=[seconds / times for seconds in busy_s],
    )


def _play_once(play: Play, rng: random.Random, busy_s: list[float]) -> tuple[float, int]:
    """The end of one play and its attempts; adds what each trial took to `busy_s`."""
    slots = [play.first_s] * min(play.at_once, play.count)
    waiting = [(0.0, number, play.retries) for number in range(play.count)]
    last_s, attempts, started = 0.0, 0, 0
    heapq.heapify(waiting)  # by when they may start
    while waiting:
        since_s, number, left = heapq.heappop(waiting)
        free_s = slots[0]
        begin_s = max(free_s, since_s) + (play.start_s if started >= len(slots) else 0.0)
        started += 1
        fails = play.failing > 0 and rng.random() < play.failing
        took_s = (play.failed if fails else play.took)(number, rng)
        heapq.heapreplace(slots, begin_s + took_s)
        busy_s[number] += took_s
        last_s, attempts = max(last_s, begin_s + took_s), attempts + 1
        if fails and left:
            heapq.heappush(waiting, (begin_s + took_s, number, left - 1))
    return last_s, attempts
