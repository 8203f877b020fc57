"""The trials of a run as a search that learns is told of them, from records of all processes."""

from __future__ import annotations

import contextlib
from collections import deque

from podmap.engine.past_points import past_trials
from podmap.engine.planned import PlannedRun
from podmap.errors import RecordError
from podmap.ledger.store_errors import log_left_out
from podmap.records import Record
from podmap.search.adaptive.past import PastState, PastTrial
from podmap.search.adaptive.space import Space


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
            self._keep_learnt()
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

    def _keep_learnt(self) -> None:
        """What was learnt from other runs, at places before the first."""
        for index, one in enumerate(self._planned.plan.learnt):
            place = -1 - index
            state: PastState = "complete" if one.values else "failed"
            with contextlib.suppress(ValueError):  # the space has been changed since
                point = self._space.inner(one.params)
                self.places[place] = (PastTrial(place, point, state, one.values),)

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
