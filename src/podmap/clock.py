"""The time in UTC and its text; a test may put a clock of its own in its place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime, timezone

_clock: ContextVar[Callable[[], datetime] | None] = ContextVar("podmap_clock", default=None)


def utc_now() -> datetime:
    """The time now, in UTC; in a body of `time_from`, what its clock says."""
    clock = _clock.get()
    return datetime.now(timezone.utc) if clock is None else clock()


def clock_here() -> Callable[[], datetime]:
    """What tells the time here, for use in tasks that have nothing of their caller's context."""
    return _clock.get() or utc_now


@contextlib.contextmanager
def time_from(clock: Callable[[], datetime]) -> Iterator[None]:
    """Has `utc_now` ask a clock of one's own in the body, and in the tasks that begin there.

    Args:
        clock: Tells the time in UTC.
    """
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def iso(moment: datetime) -> str:
    """A time as UTC ISO 8601 with milliseconds, for example `2026-11-01T09:30:00.125Z`."""
    text = moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """The time in a text made by `iso`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
