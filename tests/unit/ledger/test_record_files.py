"""What a record costs in requests, and that no file waits for another one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap import names
from podmap.ledger.ledger import Ledger
from podmap.ledger.store import open_store
from podmap.records import Attempt, Record, TrialState

LIMIT_S = 30
ATTEMPT = Attempt(1, "pod")


class Watched:
    """A store whose requests are noted, and wait where a test says so."""

    def __init__(self, uri: str) -> None:
        self._store: Any = open_store(uri)
        self.uri = f"file://{uri}"
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[str, str], object] = lambda request, path: None

    def __getattr__(self, request: str) -> Any:
        call = getattr(self._store, request)

        def noted(path: str, *args: Any) -> Any:
            self.asked.append((request, path))
            self.before(request, path)
            return call(path, *args)

        return noted


@pytest.fixture
def store(tmp_path: Path) -> Watched:
    return Watched(str(tmp_path / "s" / "0123abcd"))


@pytest.fixture
def ledger(store: Watched) -> Ledger:
    return Ledger(store)  # type: ignore[arg-type]  # it has all that a store has


def record(number: int = 0, state: str = "RUNNING", epoch: str = "e1", **more: Any) -> Record:
    return Record(number, f"k{number}", epoch, TrialState(state), **more)


def test_a_record_that_is_known_is_written_by_one_request(store: Watched, ledger: Ledger) -> None:
    path = names.record_path(0)
    assert ledger.read_record(0) is None
    assert ledger.write_record(record())
    assert ledger.write_record(record(state="COMPLETE"))
    assert [("read", path), ("replace", path), ("replace", path)] == store.asked


def test_one_that_is_not_known_is_read_first(store: Watched, ledger: Ledger) -> None:
    path = names.record_path(0)
    assert ledger.write_record(record())
    assert [("read", path), ("replace", path)] == store.asked


@pytest.mark.parametrize("other", ["COMPLETE", "RUNNING"])
def test_what_another_process_wrote_meanwhile_is_noticed(ledger: Ledger, other: str) -> None:
    another = Ledger.open(ledger.run_uri)
    assert ledger.write_record(record())
    assert another.write_record(record(state=other, epoch="e2"))
    assert not ledger.write_record(record(state="FAILED"))
    standing = another.read_record(0)
    assert standing is not None
    assert ("e2", other) == (standing.epoch, standing.state.value)


def test_a_record_that_was_written_before_is_read_again_before_it_is_said_to_be_there(
    ledger: Ledger,
) -> None:
    another = Ledger.open(ledger.run_uri)
    assert ledger.write_record(record())
    assert another.write_record(record(epoch="e2"))
    assert not ledger.write_record(record())


def test_a_write_whose_answer_was_lost_counts(store: Watched, ledger: Ledger) -> None:
    """As with a PUT that has timed out and was carried out all the same."""
    assert ledger.write_record(record())
    replace, tries = store._store.replace, iter([TimeoutError, None])

    def lose(*args: Any) -> bool:
        done = bool(replace(*args))
        if error := next(tries):
            raise error
        return done

    store._store.replace = lose
    with pytest.raises(TimeoutError):
        ledger.write_record(record(state="COMPLETE"))
    assert ledger.write_record(record(state="COMPLETE"))


@pytest.fixture
def held(store: Watched) -> Iterator[threading.Event]:
    """Requests for trial 0's record wait until this is set."""
    go_on = threading.Event()

    def wait(request: str, path: str) -> None:
        if path == names.record_path(0):
            assert go_on.wait(LIMIT_S)

    store.before = wait
    yield go_on
    go_on.set()


def test_a_record_that_hangs_holds_up_no_other_nor_the_runs_state(
    ledger: Ledger, held: threading.Event
) -> None:
    slow = threading.Thread(target=ledger.write_record, args=[record(0)])
    slow.start()
    for number in range(1, 200):  # more than there are locks
        assert ledger.write_record(record(number))
    assert ledger.update_state(paused=True).paused
    assert slow.is_alive()
    held.set()
    slow.join(LIMIT_S)


def test_log_and_attempt_are_written_at_the_same_time_and_before_the_record(
    store: Watched, ledger: Ledger
) -> None:
    both = threading.Barrier(2)
    beside = {names.log_path(0, 1), names.attempt_path(0, 1)}

    def meet(request: str, path: str) -> None:
        if path in beside:
            both.wait(LIMIT_S)

    store.before = meet
    assert ledger.write_record(record())
    store.asked.clear()
    assert ledger.write_end(ATTEMPT, record(state="COMPLETE", attempts=(ATTEMPT,)), b"a line\n")
    assert beside == {path for _, path in store.asked[:2]}
    assert [("replace", names.record_path(0))] == store.asked[2:]
    standing = ledger.read_record(0)
    assert standing is not None
    assert ledger.log_uri(0, 1) == standing.attempts[0].log_uri


@pytest.mark.parametrize("fails", [names.log_path(0, 1), names.attempt_path(0, 1)])
def test_an_end_whose_log_or_attempt_was_not_written_is_not_recorded(
    store: Watched, ledger: Ledger, fails: str
) -> None:
    def fail(request: str, path: str) -> None:
        if path == fails:
            raise OSError("no")

    store.before = fail
    with pytest.raises(OSError, match="no"):
        ledger.write_end(ATTEMPT, record(state="COMPLETE", attempts=(ATTEMPT,)), b"a line\n")
    assert ledger.read_record(0) is None
