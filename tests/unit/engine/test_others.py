from __future__ import annotations

from pathlib import Path

import pytest

from podmap import names
from podmap.engine.others import _TRIES, OtherTrials
from podmap.ledger.ledger import Ledger
from podmap.records import Attempt, Record, TrialState

FAILED, WAITING = TrialState.FAILED, TrialState.WAITING


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path))


def end(ledger: Ledger, number: int, attempt: int, state: TrialState = FAILED) -> None:
    """What is left by an attempt that ends."""
    ended = Attempt(attempt, "p")
    ledger.write_end(ended, Record(number, "k", "e", state, attempts=(ended,)))


def found(others: OtherTrials, own: tuple[int, ...] = (), again: tuple[int, ...] = ()) -> list[int]:
    return [record.number for record in others.read_new(own=own, again=again)]


def test_each_end_is_found_once(ledger: Ledger) -> None:
    end(ledger, 1, 1)
    others = OtherTrials(ledger, {})
    assert [1] == found(others)
    assert [] == found(others)
    end(ledger, 2, 1, WAITING)
    assert [2] == found(others)
    end(ledger, 2, 2)
    assert [2] == found(others)
    assert [] == found(others)
    assert [2] == found(others, again=(2,))


def test_what_was_known_and_what_is_ones_own_is_not_read(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        end(ledger, number, 1)
    others = OtherTrials(ledger, {1: 1})
    record = ledger.read_record(2)
    assert record is not None
    others.mark_seen(record)
    assert [] == found(others, own=(3,))
    assert [3] == found(others)


def test_a_record_that_does_not_tell_of_the_attempt_yet_is_read_again(ledger: Ledger) -> None:
    ledger.write_attempt(4, Attempt(1, "p"))
    others = OtherTrials(ledger, {})
    assert [] == found(others)
    end(ledger, 4, 1)
    assert [4] == found(others)
    assert [] == found(others)


def test_a_record_that_never_tells_of_it_is_given_up(ledger: Ledger) -> None:
    ledger.write_attempt(4, Attempt(1, "p"))
    ledger.write_record(Record(4, "k", "e", TrialState.RUNNING))
    others = OtherTrials(ledger, {})
    assert [[4]] * _TRIES == [found(others) for _ in range(_TRIES)]
    assert [] == found(others)


def test_a_broken_record_does_not_hide_the_others(ledger: Ledger) -> None:
    end(ledger, 1, 1)
    end(ledger, 2, 1)
    ledger.write_file(names.record_path(1), b"x")
    assert [2] == found(OtherTrials(ledger, {}))
