"""The trials of a run as a search that learns is told of them, from records of all processes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence

from podmap.engine.planned import PlannedRun
from podmap.errors import RecordError
from podmap.ledger.store_errors import log_left_out
from podmap.objective import mean
from podmap.records import Record, TrialState
from podmap.search.adaptive.past import PastTrial
from podmap.search.adaptive.space import Space
from podmap.spec.model import Objective

_OPEN = frozenset({TrialState.WAITING, TrialState.RUNNING, TrialState.UNKNOWN})
_WITH_VALUE = frozenset({TrialState.COMPLETE, TrialState.PRUNED})


class Past:
    """What is known of a run's trials; `note` may be called from any thread, the rest from one.

    Attributes:
        places: Place in the search to what is known of it.
    """

    def __init__(self, planned: PlannedRun, space: Space, *, alone: bool) -> None:
        """Nothing is read yet.

        Args:
            planned: The run.
            space: Its search's.
            alone: Whether no other process can be at work on the run.
        """
        self.places: dict[int, tuple[PastTrial, ...]] = {}
        self._planned = planned
        self._space = space
        self._alone = alone
        self._begun = False
        self._records: dict[int, Record] = {}
        self._own: set[int] = set()
        self._noted: deque[Record] = deque()

    def note(self, record: Record) -> None:
        """Takes note of how a trial of this process stands; seen by the next `read`."""
        self._noted.append(record)

    def read(self) -> None:
        """Takes in what is new: all records at first, later those that others may change; blocks.

        Raises:
            StoreError: The ledger cannot be read.
        """
        ledger = self._planned.ledger
        if not self._begun:
            for record in ledger.records(on_broken=log_left_out):
                self._keep(record)
            self._begun = True
        while self._noted:
            record = self._noted.popleft()
            (self._own.discard if record.state.terminal else self._own.add)(record.number)
            self._keep(record)
        for number in () if self._alone else ledger.record_numbers():
            known = self._records.get(number)
            if number not in self._own and (known is None or not known.state.terminal):
                self._read(number)

    def _read(self, number: int) -> None:
        try:
            record = self._planned.ledger.read_record(number)
        except RecordError as error:
            log_left_out(error)
            return
        if record is not None:
            self._keep(record)

    def _keep(self, record: Record) -> None:
        self._records[record.number] = record
        repeats = self._planned.plan.repeats
        place = record.number // repeats
        siblings = range(place * repeats, (place + 1) * repeats)
        records = [self._records[each] for each in siblings if each in self._records]
        objectives = self._planned.sweep.objectives
        self.places[place] = tuple(past_trials(place, records, self._space, objectives))


def past_trials(
    place: int, records: Sequence[Record], space: Space, objectives: Sequence[Objective]
) -> list[PastTrial]:
    """What the records of one place in the search tell a sampler.

    Those with the same params, its repeats, are one point with the mean of their values. Records
    without params, with params that the search would never propose, and cancelled ones are left
    out: nothing is learnt of them.

    Args:
        place: The place.
        records: Of the trials that have it.
        space: The search's.
        objectives: Of the spec.
    """
    points: dict[tuple[tuple[str, float], ...], list[Record]] = {}
    for record in records:
        if record.params and record.state is not TrialState.CANCELLED:
            try:
                point = space.inner(record.params)
            except ValueError:
                continue
            points.setdefault(tuple(point.items()), []).append(record)
    return [_past_trial(place, dict(point), own, objectives) for point, own in points.items()]


def _past_trial(
    place: int, point: Mapping[str, float], own: Sequence[Record], objectives: Sequence[Objective]
) -> PastTrial:
    found = [values for one in own if (values := _values(one, objectives)) is not None]
    finished = max((one.finished or "" for one in own), default="")
    if found:
        values = tuple(mean(column) or 0.0 for column in zip(*found, strict=True))
        return PastTrial(place, point, "complete", values, finished=finished)
    if any(one.state in _OPEN for one in own):
        return PastTrial(place, point, "running")
    return PastTrial(place, point, "failed", finished=finished)


def _values(record: Record, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The objectives' values, turned so that less is better; None if it lacks one."""
    if record.state not in _WITH_VALUE:
        return None
    given = record.objective if isinstance(record.objective, list) else [record.objective]
    own = [one for one in given if one is not None and math.isfinite(one)]
    if len(own) != len(objectives):
        return None
    signs = [-1.0 if goal.direction == "maximize" else 1.0 for goal in objectives]
    return tuple(sign * one for sign, one in zip(signs, own, strict=True))
