from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from podmap.backends.kubernetes.client.server_clock import ServerClock
from podmap.clock import time_from

OURS = datetime(2026, 1, 1, tzinfo=timezone.utc)
THEIRS = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)
DATE = "Sun, 01 Nov 2026 12:00:00 GMT"


def test_time_goes_on_from_what_the_server_told_last() -> None:
    at_s = [100.0]
    clock = ServerClock(lambda: at_s[0])
    with time_from(lambda: OURS):
        assert OURS == clock.now()
        clock.note(DATE)
        at_s[0] += 5
        assert THEIRS + timedelta(seconds=5) == clock.now()
        at_s[0] += 60
        clock.note(DATE)  # it was set back
        assert THEIRS == clock.now()


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 01 Nov 2026 12:00:00"])
def test_a_date_that_tells_nothing_is_left_out(date: str | None) -> None:
    clock = ServerClock()
    clock.note(date)
    with time_from(lambda: OURS):
        assert OURS == clock.now()
