"""Subscribers of a run's events: fast ones, slow ones, and those that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from podmap.engine import events as module
from podmap.engine.events import AttemptReported, RecordSettled, RunEnded, RunEvent, RunEvents
from podmap.records import Record, TrialState

PATIENCE_S = 30.0


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """What a slow subscriber waits for; set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def waiting(held: threading.Event, told: list[RunEvent]) -> Callable[[RunEvent], None]:
    """A subscriber that keeps the first event waiting until something is set."""

    def note(event: RunEvent) -> None:
        held.wait(PATIENCE_S)
        told.append(event)

    return note


def settled(number: int) -> RecordSettled:
    return RecordSettled(Record(number, "k", "e", TrialState.COMPLETE))


def report(step: int) -> AttemptReported:
    return AttemptReported(0, 1, step, {"y": step})


def test_each_subscriber_is_told_everything_in_order() -> None:
    events = RunEvents()
    first: list[RunEvent] = []
    second: list[RunEvent] = []
    events.subscribe(first.append)
    events.subscribe(second.append)
    told = [*map(settled, range(500)), RunEnded("")]
    for event in told:
        events.emit(event)
    assert events.flush(PATIENCE_S)
    assert told == first == second


def test_without_subscribers_nothing_is_waited_for() -> None:
    events = RunEvents()
    events.emit(settled(0))
    assert events.flush(0.0)


def test_one_that_fails_is_told_once_in_the_log_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = RunEvents()
    failed: list[RunEvent] = []
    told: list[RunEvent] = []

    def fail(event: RunEvent) -> None:
        failed.append(event)
        raise ZeroDivisionError("a bug")

    events.subscribe(fail)
    events.subscribe(told.append)
    for number in range(3):
        events.emit(settled(number))
    assert events.flush(PATIENCE_S)
    assert told == failed == [settled(number) for number in range(3)]
    (logged,) = [entry for entry in caplog.records if "fail failed" in entry.getMessage()]
    assert logged.exc_info is not None


def test_one_that_is_slow_keeps_neither_the_others_nor_who_tells(held: threading.Event) -> None:
    events = RunEvents()
    told: list[RunEvent] = []
    slow: list[RunEvent] = []
    events.subscribe(waiting(held, slow))
    events.subscribe(told.append)
    events.emit(settled(0))
    assert not events.flush(0.05)
    assert [settled(0)] == told
    assert [] == slow
    held.set()
    assert events.flush(PATIENCE_S)
    assert [settled(0)] == slow


def test_a_slow_one_misses_reports_first(
    held: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    events = RunEvents()
    told: list[RunEvent] = []
    events.subscribe(waiting(held, told))
    for step in range(2 * module.MOST_REPORTS_WAITING):
        events.emit(report(step))
    for number in range(10):
        events.emit(settled(number))
    held.set()
    assert events.flush(PATIENCE_S)
    reports = [event for event in told if isinstance(event, AttemptReported)]
    most = module.MOST_REPORTS_WAITING
    assert most <= len(reports) <= most + module.MOST_IN_BATCH
    assert [settled(number) for number in range(10)] == told[len(reports) :]
    assert 1 == sum("too slow" in message for message in caplog.messages)


def test_the_memory_of_what_waits_is_bounded(held: threading.Event) -> None:
    events = RunEvents()
    told: list[RunEvent] = []
    events.subscribe(waiting(held, told))
    for number in range(module.MOST_EVENTS_WAITING + 500):
        events.emit(settled(number))
    held.set()
    assert events.flush(PATIENCE_S)
    assert len(told) <= module.MOST_EVENTS_WAITING + module.MOST_IN_BATCH


def test_a_subscriber_has_no_thread_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.001)
    events = RunEvents()
    threads: list[threading.Thread] = []
    events.subscribe(lambda event: threads.append(threading.current_thread()))
    for _ in range(2):
        events.emit(settled(0))
        assert events.flush(PATIENCE_S)
        threads[-1].join(PATIENCE_S)
        assert not threads[-1].is_alive()
    assert 2 == len(set(threads))
