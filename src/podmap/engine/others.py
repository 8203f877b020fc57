"""The trials that other processes run: how they have ended, read from the ledger."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable

from podmap.errors import RecordError
from podmap.ledger.ledger import Ledger
from podmap.records import Record

log = logging.getLogger(__name__)

_TRIES = 5
"""So often a record is read that does not list its last attempt: that one is written first."""


class OtherTrials:
    """Finds the records that tell something new, at one reading for each attempt.

    `read_new` blocks and is called off the event loop, one call at a time.
    """

    def __init__(self, ledger: Ledger, known: dict[int, int], *, share: int = 1) -> None:
        """Asks nothing yet.

        Args:
            ledger: The run's records.
            known: Trial number to the number of the last attempt that is no news.
            share: Reading takes at most one part in so many of the time.
        """
        self._ledger = ledger
        self._known = known
        self._share = share
        self._due = 0.0
        self._tried: Counter[tuple[int, int]] = Counter()

    def mark_seen(self, record: Record) -> None:
        """Leaves out a record that this process has seen already."""
        if record.attempts:
            self._known[record.number] = record.attempts[-1].number

    def read_new(self, *, own: Collection[int], again: Iterable[int] = ()) -> list[Record]:
        """The records of trials of which attempts have ended since the last call; none too soon.

        Args:
            own: The numbers of this process's trials, which need not be read.
            again: Numbers of trials whose records are read although there is no new attempt.

        Raises:
            StoreError: The store could not be asked.
        """
        began = time.monotonic()
        if began < self._due:
            return []
        last = self._ledger.last_attempts()
        due = {number for number, last_one in last.items() if last_one > self._known.get(number, 0)}
        records = []
        for number in sorted(due.union(again).difference(own)):
            record = self._read(number)
            if record is not None:
                records.append(record)
            if number in due:
                self._mark_told(number, last[number], record)
        now = time.monotonic()
        self._due = now + (self._share - 1) * (now - began)
        return records

    def _mark_told(self, number: int, attempt: int, record: Record | None) -> None:
        told = record is not None and (
            record.state.terminal or any(each.number >= attempt for each in record.attempts)
        )
        self._tried[number, attempt] += 1
        if told or self._tried[number, attempt] >= _TRIES:
            del self._tried[number, attempt]
            self._known[number] = attempt

    def _read(self, number: int) -> Record | None:
        try:
            return self._ledger.read_record(number)
        except RecordError as error:
            log.warning("not counted: %s", error)
            return None
