"""What a search that learns is told: the trials before, each as a point of the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, Protocol

from podmap.search.adaptive.space import Point, Space

PastState = Literal["running", "complete", "failed"]
FailedTrials = Literal["avoid", "ignore", "worst"]


@dataclass(frozen=True, slots=True)
class PastTrial:
    """One set of params that was tried, or is being tried.

    Attributes:
        number: Its place in the search; with repeats, of all the trials that have it.
        point: SearchAxis to inner value, as `Space` has them; axes that do not apply are missing.
        state: Whether there is a value; a failed one has none and never will.
        values: Of each objective the value, so turned that less is better; empty without one.
        violation: By how much the limits of `objective.where` are missed, summed; 0 if met.
        finished: When it ended, UTC ISO 8601; empty while it runs.
    """

    number: int
    point: Point
    state: PastState
    values: tuple[float, ...] = ()
    violation: float = 0.0
    finished: str = ""

    def to_json(self) -> list[Any]:
        """The trial as a JSON array."""
        point = dict(self.point)
        return [self.number, point, self.state, self.values, self.violation, self.finished]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> PastTrial:
        """The trial in an array made by `to_json`."""
        number, point, state, values, violation, finished = data
        return cls(number, dict(point), state, tuple(values), violation, finished)


@dataclass(frozen=True, slots=True)
class SamplerSetting:
    """What a sampler is made of; it never changes in a run.

    Attributes:
        space: The axes.
        seed: The search's seed.
        objectives: How many there are; of each, less is better.
        failed: What trials that failed are to the sampler.
        constraints: As the spec has them; what a sampler makes of them is its own affair, since
            what breaks one is asked for again.
    """

    space: Space
    seed: int
    objectives: int = 1
    failed: FailedTrials = "avoid"
    constraints: tuple[str, ...] = ()


class Sampler(Protocol):
    """Suggests the params of a trial.

    A suggestion is a function of the setting, the number and the *set* of past trials: it depends
    neither on earlier calls nor on the order of `past`. What a sampler keeps between calls may
    make it faster and nothing else.
    """

    def suggest(self, number: int, past: Sequence[PastTrial]) -> Mapping[str, float]:
        """The point of a trial: axis to inner value.

        Args:
            number: Its place in the search, from 0.
            past: All others that are known, in any order.
        """
        ...


def in_order(past: Sequence[PastTrial]) -> list[PastTrial]:
    """The trials by number; those of one number, which two processes made, by their points."""
    found = sorted(past, key=attrgetter("number"))
    if len({one.number for one in found}) < len(found):
        found.sort(key=lambda one: (one.number, sorted(one.point.items())))
    return found


def by_end(past: Sequence[PastTrial]) -> list[PastTrial]:
    """Those that have ended, in the order of their ends."""
    ended = [one for one in past if one.state != "running"]
    ended.sort(key=lambda one: (one.finished, one.number))
    return ended


def as_told(past: Sequence[PastTrial], failed: FailedTrials) -> list[PastTrial]:
    """The trials in order, the failed ones as the user wants them told.

    With `avoid` they stay as they are; with `ignore` they are left out; with `worst` each is
    complete, with the worst values there are, or left out while there are none.
    """
    found = in_order(past)
    if failed == "avoid":
        return found
    values = [one.values for one in found if one.state == "complete"]
    if failed == "ignore" or not values:
        return [one for one in found if one.state != "failed"]
    worst = tuple(map(max, zip(*values, strict=True)))
    return [
        PastTrial(one.number, one.point, "complete", worst, one.violation, one.finished)
        if one.state == "failed"
        else one
        for one in found
    ]
