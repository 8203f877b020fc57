"""The snapshot of a run's trials: it saves reading, and changes nothing that is read."""

from __future__ import annotations

import gzip
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.gcs_server import gcs_server

from podmap import names
from podmap.clock import iso
from podmap.errors import RecordError
from podmap.ledger import ledger as ledger_module
from podmap.ledger import snapshot
from podmap.ledger.ledger import Ledger
from podmap.ledger.snapshot import brief
from podmap.ledger.store import Store, open_store
from podmap.records import Attempt, Category, Diagnosis, Record, Shard, TrialState
from podmap.report.leaderboard import Leaderboard
from podmap.spec.model import Objective

COUNT = 60
RUN = "digits/0123abcd"
GOALS = (Objective(metric="accuracy", direction="maximize"),)
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def trial(number: int, **changes: Any) -> Record:
    """A trial that has ended, as such trials are: sometimes failed, sometimes tried again."""
    draw = random.Random(number)
    began = START + timedelta(seconds=draw.uniform(0, 9000))
    times = [iso(began + timedelta(seconds=s)) for s in (0, 40, 50, draw.uniform(60, 600))]
    last = Attempt(1, f"digits-0123abcd-{number}-a1", "node-1", "sha256:1", times[0], times[3], 0)
    attempts: tuple[Attempt, ...] = (last,)
    if number % 20 == 3:
        lost = Diagnosis(Category.NODE_LOST, "the node is gone", "x" * 300)
        first = replace(last, finished=times[1], exit_code=None, diagnosis=lost)
        attempts = (first, replace(last, number=2, started=times[2]))
    failed = number % 50 == 7
    value = draw.random()
    return replace(
        Record(
            number=number,
            key=f"{draw.getrandbits(64):016x}",
            epoch="e1",
            state=TrialState.FAILED if failed else TrialState.COMPLETE,
            params={"lr": draw.random(), "depth": draw.randrange(9), "kernel": "rbf", "none": None},
            seed=draw.getrandbits(31),
            metrics={} if failed else {"accuracy": value, "loss": draw.random(), "bad": None},
            objective=None if failed else value,
            outputs={"model": f"s3://b/{number}"},
            attempts=attempts,
            reason="exit code 1, as the log says" if failed else "",
            log_tail="a line\n" * 50,
            started=times[0],
            finished=times[3],
            duration_s=(began - START).seconds / 7,
            gpu_seconds=1.5 if number % 2 else 0.0,
        ),
        **changes,
    )


class CountingStore:
    """A store that counts what is read of it."""

    def __init__(self, store: Store) -> None:
        self._store: Any = store
        self.read_paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read_many(self, paths: Any) -> Iterator[Any]:
        for found in self._store.read_many(paths):
            self.read_paths.append(found[0])
            yield found


@pytest.fixture(params=["folder", "objects"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    if request.param == "folder":
        yield f"{tmp_path}/{RUN}"
        return
    with gcs_server() as (address, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield f"gs://podmap/{RUN}"


@pytest.fixture
def ledger(place: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    ledger = Ledger.open(place)
    for number in range(COUNT):
        assert ledger.write_record(trial(number))
    return ledger


def read(place: str) -> tuple[list[Record], list[str]]:
    """All records as lists have them, and the files that were read for it."""
    store = CountingStore(open_store(place))
    records = list(Ledger(store).board().records())  # type: ignore[arg-type]
    return records, [path for path in store.read_paths if path.startswith("trials/")]


def leaderboard(records: list[Record]) -> Any:
    board = Leaderboard.build(iter(records), GOALS)
    return board.rows, board.counts, board.busy_s, board.gpu_seconds, board.started, board.finished


def test_a_reader_with_a_snapshot_reads_only_what_is_newer(ledger: Ledger, place: str) -> None:
    without, files = read(place)
    assert len(files) == COUNT
    ledger.board().write()
    assert read(place) == (without, [])
    # One that goes on is read, one that was made anew, too, and one that is gone is not there.
    ledger.write_record(replace(trial(COUNT), state=TrialState.RUNNING, finished=None))
    ledger.write_record(trial(5, epoch="e2", state=TrialState.FAILED))
    ledger.delete_record(9)
    records, files = read(place)
    assert set(files) == {names.record_path(5), names.record_path(COUNT)} | (
        {names.record_path(9)} if "://" in place else set()  # an empty file is in its place
    )
    assert [r.number for r in records] == [n for n in range(COUNT + 1) if n != 9]
    assert records[5].state is TrialState.FAILED
    assert records[-1] == ledger.read_record(COUNT)


def test_results_are_those_of_the_records(ledger: Ledger, place: str) -> None:
    truth = list(ledger.records())
    ledger.board().write()
    records, _ = read(place)
    assert leaderboard(truth) == leaderboard(records)
    assert [brief(record) for record in truth] == records
    assert Counter(r.reason for r in truth) == Counter(r.reason for r in records)


def test_it_takes_120_bytes_a_trial() -> None:
    rows = {n: (f"{n * 7**15:012x}"[-12:], snapshot._packed(trial(n))) for n in range(500)}
    raw = snapshot.dump(rows, run=RUN)
    assert len(raw) <= 120 * len(rows)
    assert snapshot.parse(raw, run=RUN).keys() == rows.keys()


def test_few_trials_have_none(tmp_path: Path) -> None:
    ledger = Ledger.open(f"{tmp_path}/{RUN}")
    for number in range(snapshot.LEAST_TRIALS - 1):
        ledger.write_record(trial(number))
    ledger.board().write()
    assert ledger.read_file(names.BOARD) is None
    ledger.write_record(trial(COUNT))
    ledger.board().write()
    assert ledger.read_file(names.BOARD) is not None


def test_one_that_says_nothing_new_is_not_written_again(
    ledger: Ledger, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    store = CountingStore(open_store(place))
    put = store._store.write
    monkeypatch.setattr(
        store, "write", lambda path, data: (written.append(path), put(path, data)), raising=False
    )
    board = Ledger(store).board()  # type: ignore[arg-type]
    board.write()
    board.write()
    ledger.write_record(trial(COUNT))
    board.write()
    assert written == [names.BOARD] * 2
    assert len(store.read_paths) == COUNT + 1


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(raw: bytes) -> bytes:
        data = json.loads(gzip.decompress(raw))
        change(data)
        return gzip.compress(json.dumps(data).encode())

    return edit


def with_column(path: str, value: Any) -> Callable[[bytes], bytes]:
    return edited(lambda data: data["columns"].update({path: value}))


IGNORED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "no gzip": lambda raw: b"{}",
    "cut": lambda raw: raw[:-20],
    "a bomb": lambda raw: gzip.compress(b" " * (snapshot.TEXT_BYTES + 1)),
    "no object": lambda raw: gzip.compress(b"[]"),
    "another run's": edited(lambda data: data.update(run="digits/0123abce")),
    "another schema": edited(lambda data: data.update(schema=99)),
    "no columns": edited(lambda data: data.pop("columns")),
    "short columns": edited(lambda data: data["columns"]['["state"]'].pop()),
    "odd columns": edited(lambda data: data.update(columns=[1])),
    "odd shapes": edited(lambda data: data.update(shapes=[[[{}]]])),
    "odd versions": edited(lambda data: data.update(versions=[1] * COUNT)),
    "too few versions": edited(lambda data: data["versions"].pop()),
    "a huge index": edited(lambda data: data["shapes"][0].append(["attempts", 10**9, "number"])),
}
READ_ALONE: dict[str, Callable[[bytes], bytes]] = {
    "states": with_column('["state"]', ["BEST"] * COUNT),
    "none that has ended": with_column('["state"]', ["RUNNING"] * COUNT),
    "metrics": with_column('["metrics", "accuracy"]', ["much"] * COUNT),
    "times": with_column('["started"]', ["yesterday"] * COUNT),
    "old": edited(lambda data: data.update(versions=["0" * 12] * COUNT)),
    "numbers": with_column('["number"]', [-1.5] * COUNT),
}


@pytest.mark.parametrize("change", IGNORED.values(), ids=IGNORED)
def test_one_that_cannot_be_understood_is_told_and_ignored(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[bytes], bytes],
) -> None:
    monkeypatch.setattr(snapshot, "TEXT_BYTES", 100_000)
    check_changed(f"{tmp_path}/{RUN}", change)
    told = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(told) == 2  # by each that reads it, once
    assert f"{names.BOARD} is not used: " in told[0]


@pytest.mark.parametrize("change", READ_ALONE.values(), ids=READ_ALONE)
def test_a_trial_in_it_that_is_none_is_read(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    check_changed(f"{tmp_path}/{RUN}", change)


def check_changed(place: str, change: Callable[[bytes], bytes]) -> None:
    ledger = Ledger.open(place)
    for number in range(60):
        ledger.write_record(trial(number))
    truth, _ = read(place)
    ledger.board().write()
    raw = ledger.read_file(names.BOARD)
    assert raw is not None
    ledger.write_file(names.BOARD, change(raw))
    assert read(place)[0] == truth
    ledger.board().write()  # and it is made anew
    assert read(place) == (truth, [])


def test_a_record_that_is_broken_is_told_with_and_without_one(tmp_path: Path) -> None:
    ledger = Ledger.open(f"{tmp_path}/{RUN}")
    for number in range(60):
        ledger.write_record(trial(number))
    ledger.board().write()
    (tmp_path / RUN / names.record_path(7)).write_text("{")
    broken: list[RecordError] = []
    records = list(ledger.board().records(on_broken=broken.append))
    assert len(records) == 59
    assert len(broken) == 1
    ledger.board().write()


def test_odd_trials_are_kept_as_they_are(tmp_path: Path) -> None:
    odd = [
        {"objective": [0.25, 7.0], "metrics": {"accuracy": 0.25, "latency": 3.0}},
        {"objective": 2.0, "metrics": {}},
        {
            "params": {
                "nested": {"a": [1, {"b": None}]},
                "empty": [],
                "é\n": "x",
                "\udc80": "\udc80",
            }
        },
        {"attempts": (), "started": None, "finished": None, "duration_s": None},
        {"shard": Shard("s3://b/x/", "x", 3, "v"), "repeat": 2, "reason": "r" * 4000},
        {"params": {}, "metrics": {}},
    ]
    ledger = Ledger.open(f"{tmp_path}/{RUN}")
    for number in range(60):
        ledger.write_record(trial(number, **odd[number % len(odd)]))
    truth = [brief(record) for record in ledger.records()]
    ledger.board().write()
    records, files = read(ledger.run_uri)
    assert (records, files) == (truth, [])
    assert records[0].objective == [0.25, 7.0]
    assert records[2].params == odd[2]["params"]
    assert ledger_module.Board is snapshot.Board
