"""The events of a run while it goes on, and those who subscribe to them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podmap.ledger.run_state import RunState
from podmap.records import Attempt, Record

log = logging.getLogger(__name__)

MOST_REPORTS_WAITING = 1_000
MOST_EVENTS_WAITING = 50_000
FLUSH_S = 5.0
IDLE_S = 1.0
BATCH_S = 0.05
MOST_IN_BATCH = 200


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt was created; it may still wait for its slot, a node or its image."""

    number: int
    attempt: int
    name: str


@dataclass(frozen=True, slots=True)
class AttemptReported:
    """An attempt reported a step: told at once where output is streamed, else at its end.

    What is told at the end may lack steps: it is what can be read in the last of the output. A step
    may be told again.
    """

    number: int
    attempt: int
    step: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt has ended, and the ledger says how."""

    number: int
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RecordSettled:
    """It is known what a trial came to, or has come to before; open still after an interrupt."""

    record: Record


@dataclass(frozen=True, slots=True)
class RunEnded:
    """All trials have ended, or the run was interrupted; why some were left out, if any were."""

    stopped_reason: str


@dataclass(frozen=True, slots=True)
class RunPublished:
    """The leaderboard and the report are in the ledger; `summary` is the run's."""

    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunSteered:
    """A user has changed how the run goes on, and this process obeys: `run.json` as it is now."""

    state: RunState


RunEvent = (
    AttemptStarted
    | AttemptReported
    | AttemptEnded
    | RecordSettled
    | RunSteered
    | RunEnded
    | RunPublished
)


class RunEvents:
    """Tells subscribers what happens in a run.

    Each subscriber is called in a thread of its own, with one event at a time, in order. It may
    block: then its events wait for it, and nothing else does. If very many wait it misses reports,
    and at last other events, too. What it raises is logged once. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._subscribers: list[_Subscriber] = []

    def subscribe(self, callback: Callable[[RunEvent], None]) -> None:
        """Has the callback called with each event from now on."""
        self._subscribers.append(_Subscriber(callback))

    def emit(self, event: RunEvent) -> None:
        """Tells all subscribers; returns at once."""
        for subscriber in self._subscribers:
            subscriber.add(event)

    def flush(self, limit_s: float = FLUSH_S) -> bool:
        """Whether all subscribers have been called with all events; waits until they have.

        Args:
            limit_s: For how long, at most.
        """
        ends = time.monotonic() + limit_s
        marks = [subscriber.add_mark() for subscriber in self._subscribers]
        return all([mark.wait(max(0.0, ends - time.monotonic())) for mark in marks])


class _Subscriber:
    """A callback, the events that wait for it, and the thread that calls it while there are any.

    The thread takes what has come within `BATCH_S` together: to wake it for each event would cost
    a run of short trials more than all else that is done for events.
    """

    def __init__(self, callback: Callable[[RunEvent], None]) -> None:
        self._callback = callback
        self._waiting: deque[RunEvent | threading.Event] = deque()
        self._changed = threading.Condition()
        self._has_thread = False
        self._is_idle = False
        self._is_flushed = False
        self._failed = False
        self._missed = False

    def add(self, event: RunEvent) -> None:
        most = MOST_REPORTS_WAITING if isinstance(event, AttemptReported) else MOST_EVENTS_WAITING
        if len(self._waiting) < most:
            self._add(event)
        elif not self._missed:
            self._missed = True
            log.warning("%s is too slow for all events of the run: it misses some", self)

    def add_mark(self) -> threading.Event:
        """What is set once the callback was called with all events before it."""
        mark = threading.Event()
        self._add(mark)
        return mark

    def _add(self, item: RunEvent | threading.Event) -> None:
        with self._changed:
            self._waiting.append(item)
            self._is_flushed = self._is_flushed or isinstance(item, threading.Event)
            if self._is_idle or self._is_flushed:
                self._changed.notify()
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._run, name="podmap-events", daemon=True).start()

    def _run(self) -> None:
        while batch := self._next_batch():
            for item in batch:
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._call(item)

    def _next_batch(self) -> Sequence[RunEvent | threading.Event]:
        """What waits; empty, and no thread any more, if nothing has come for a while."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_flushed, BATCH_S)
            if not self._waiting:
                self._is_idle = True
                self._changed.wait_for(lambda: self._waiting, IDLE_S)
                self._is_idle = False
            count = min(len(self._waiting), MOST_IN_BATCH)
            batch = [self._waiting.popleft() for _ in range(count)]
            self._is_flushed = bool(self._waiting)  # then the next batch comes at once
            self._has_thread = bool(batch)
            return batch

    def _call(self, event: RunEvent) -> None:
        try:
            self._callback(event)
        except Exception:  # whatever it is, the run goes on
            if not self._failed:
                self._failed = True
                log.exception("%s failed; it is told further events, and the run goes on", self)

    def __str__(self) -> str:
        return f"the subscriber {getattr(self._callback, '__qualname__', self._callback)}"
