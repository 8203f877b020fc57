"""How long a container has run for, by clocks that may be off."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from podmap.backends.kubernetes.timeouts import ran_s

NOW = datetime(2026, 11, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("started", "placed", "expected"),
    [
        (600, 610, 600),
        (600, None, 600),
        (0, 0, 0),
        (-2, 3, 0),
        (-600, 3, 0),
        (600, 3, 0),
        (6, 3, 6),
    ],
    ids=["both", "unplaced", "just now", "seconds", "ahead", "behind", "rounded"],
)
def test_a_start_counts_where_it_can_be_right(
    started: float, placed: float | None, expected: float
) -> None:
    """Started and placed so many seconds ago."""
    at = None if placed is None else NOW - timedelta(seconds=placed)
    assert expected == ran_s(NOW - timedelta(seconds=started), placed=at, now=NOW)
