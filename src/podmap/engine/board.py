"""Keeps the snapshot of a run while it goes on: whoever is in charge of the run does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from podmap.engine.coordinator import Coordinator
from podmap.engine.events import RecordSettled, RunEvent, RunEvents
from podmap.engine.gatekeeper import Role
from podmap.engine.planned import PlannedRun
from podmap.errors import PodmapError
from podmap.ledger.snapshot import LEAST_TRIALS, Board

log = logging.getLogger(__name__)

SHARE = 20
"""At most one part in so many of the time is spent on it."""
LEAST_S = 5.0


class BoardKeeper:
    """A subscriber that writes the snapshot again and again, once trials have settled."""

    def __init__(
        self,
        board: Board,
        *,
        in_charge: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet.

        Args:
            board: Of the run; nobody else's.
            in_charge: Whether it is this process that decides for the run now.
            clock: Gives seconds.
        """
        self._board = board
        self._in_charge = in_charge
        self._clock = clock
        self._due = clock() + LEAST_S
        self._trouble = ""

    def note(self, event: RunEvent) -> None:
        """Writes the snapshot, if it is time to."""
        began = self._clock()
        if not isinstance(event, RecordSettled) or began < self._due or not self._in_charge():
            return
        try:
            self._board.write()
            self._trouble = ""
        except PodmapError as error:
            if str(error) != self._trouble:
                log.warning("the snapshot of the run is not written: %s", error)
            self._trouble = str(error)
        now = self._clock()
        self._due = now + max(LEAST_S, (SHARE - 1) * (now - began))


def keep_board(events: RunEvents, planned: PlannedRun, coordinator: Coordinator) -> None:
    """Has a run's snapshot kept while its trials settle, unless it has few trials."""

    def in_charge() -> bool:
        return coordinator.gates is None or coordinator.gates.role is Role.COORDINATOR

    if planned.plan.count >= LEAST_TRIALS:
        events.subscribe(BoardKeeper(planned.ledger.board(), in_charge=in_charge).note)
