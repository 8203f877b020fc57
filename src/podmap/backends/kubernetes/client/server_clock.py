"""The clock of an API server, by the `Date` of its answers: this host's own may be off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from podmap.clock import utc_now

_EVERY_S = 10.0


class ServerClock:
    """Tells the server's time, to a second or so, from its last answers and a monotonic clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Knows nothing yet.

        Args:
            monotonic: Tells seconds that pass.
        """
        self._monotonic = monotonic
        self._told: datetime | None = None
        self._told_at_s = 0.0

    def note(self, date: str | None) -> None:
        """Notes what an answer says that has just come.

        Args:
            date: Its header `Date`; None if it has none.
        """
        now_s = self._monotonic()
        if date is None or (self._told is not None and now_s - self._told_at_s < _EVERY_S):
            return
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        if told.tzinfo is not None:
            self._told, self._told_at_s = told.astimezone(timezone.utc), now_s

    def now(self) -> datetime:
        """The server's time in UTC; this host's as long as it has told none."""
        if self._told is None:
            return utc_now()
        return self._told + timedelta(seconds=self._monotonic() - self._told_at_s)
