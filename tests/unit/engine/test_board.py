"""Who keeps a run's snapshot, and how much of its time that takes."""

from __future__ import annotations

import logging

import pytest

from podmap.engine.board import LEAST_S, SHARE, BoardKeeper
from podmap.engine.events import AttemptStarted, RecordSettled
from podmap.errors import StoreError
from podmap.records import Record, TrialState

SETTLED = RecordSettled(Record(0, "k", "e", TrialState.COMPLETE))


class SlowBoard:
    """A snapshot that takes its time to be written."""

    def __init__(self) -> None:
        self.now = 0.0
        self.written: list[float] = []
        self.error: StoreError | None = None
        self.in_charge = True
        self.keeper = BoardKeeper(
            self,  # type: ignore[arg-type]
            in_charge=lambda: self.in_charge,
            clock=lambda: self.now,
        )

    def write(self) -> None:
        self.written.append(self.now)
        self.now += 2.0
        if self.error is not None:
            raise self.error

    def settle_each_second(self, until: float) -> None:
        while self.now < until:
            self.now += 1.0
            self.keeper.note(SETTLED)


def test_it_takes_one_part_in_twenty_of_the_time() -> None:
    board = SlowBoard()
    board.settle_each_second(1000.0)
    assert board.written[0] == LEAST_S
    assert 2.0 * len(board.written) <= 1000.0 / SHARE + 2.0
    assert len(board.written) > 20


def test_only_whoever_is_in_charge_keeps_it_and_only_of_what_settles() -> None:
    board = SlowBoard()
    board.in_charge = False
    board.settle_each_second(100.0)
    assert not board.written
    board.in_charge = True
    board.keeper.note(AttemptStarted(0, 1, "a"))
    assert not board.written
    board.keeper.note(SETTLED)
    assert len(board.written) == 1


def test_a_store_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    board = SlowBoard()
    board.error = StoreError("no space")
    with caplog.at_level(logging.WARNING):
        board.settle_each_second(200.0)
    assert len(board.written) > 2
    assert [r.message for r in caplog.records] == [
        "the snapshot of the run is not written: no space"
    ]
