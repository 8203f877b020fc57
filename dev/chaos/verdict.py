"""What is so after a run that was disturbed, seen from outside: the same for every fault."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.runs import Run
from chaos.scene import Scene
from chaos.sweep import Size
from chaos.watcher import wait_until

from podmap.errors import PodmapError
from podmap.ledger.ledger import Ledger
from podmap.records import Category, Record

GONE_WITHIN_S = 40.0
USERS = frozenset(
    {
        Category.USER_EXIT,
        Category.USER_TIMEOUT,
        Category.OOM,
        Category.NO_RESULT,
        Category.BAD_RESULT,
    }
)


@dataclass(frozen=True)
class Verdict:
    """What became of a run.

    Attributes:
        fault: The names of what was done to it.
        seconds: What it took, from its start to its end.
        lost: Trials, attempts or places on the leaderboard that are not as they should be.
        doubled: Trials that ran twice, and limits that were not kept.
        left: What is left behind of it.
        attempts: How many attempts its records have.
    """

    fault: str
    seconds: float
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    attempts: int = 0

    @property
    def survived(self) -> bool:
        """Whether all is as it should be."""
        return not (self.lost or self.doubled or self.left)


def judge(run: Run, fault: str, state: str, seconds: float) -> Verdict:
    """The verdict on a run that has ended, or was given up."""
    lost = [] if state == "success" else [f"the run ended as {state or 'nothing yet'}"]
    left = tuple(_left(run))
    records: dict[int, Record] = {}
    try:
        ledger = run.ledger()
        records = {record.number: record for record in ledger.records()}
        lost += _lost(run, ledger, records)
    except PodmapError as error:
        lost.append(f"the ledger cannot be read: {error}")
    return Verdict(
        fault,
        round(seconds, 1),
        tuple(lost),
        tuple(_doubled(run)),
        left,
        sum(len(record.attempts) for record in records.values()),
    )


def _lost(run: Run, ledger: Ledger, records: dict[int, Record]) -> Iterator[str]:
    size = run.scene.size
    ran = set(_starts(run.scene)) | run.watcher.attempts
    for number in range(size.trials):
        record = records.get(number)
        if record is None:
            yield f"trial {number} has no record"
        else:
            yield from wrong_record(record, size)
            kept = [attempt.number for attempt in record.attempts]
            there = [attempt.number for attempt in ledger.attempts(number)]
            if kept != there or len(set(kept)) != len(kept):
                yield f"trial {number}: attempts {kept} in its record, {there} in the ledger"
            if unknown := sorted(k for n, k in ran if n == number and k not in kept):
                yield f"trial {number}: attempts {unknown} ran and are not in its record"
    board = _board(ledger)
    if board != size.board():
        yield f"the leaderboard is another: {board[:5]} ... of {len(board)}"


def wrong_record(record: Record, size: Size) -> Iterator[str]:
    """What is wrong with a trial's record."""
    state, score = size.expected(record.number)
    found = (record.state.value, record.metrics.get("score"))
    if found != (state, score):
        yield f"trial {record.number} is {found}, not {(state, score)}: {record.reason[:200]}"
    own = [a for a in record.attempts if a.diagnosis and a.diagnosis.category in USERS]
    least, most = size.user_failures(record.number)
    if not least <= len(own) <= most:
        reasons = [a.diagnosis.summary for a in own if a.diagnosis]
        yield f"trial {record.number}: {len(own)} failures of its own, not {least}: {reasons}"


def _board(ledger: Ledger) -> list[tuple[int, float]]:
    raw = ledger.read_file("leaderboard.csv")
    rows = csv.DictReader(io.StringIO((raw or b"").decode()))
    return [(int(row["number"]), float(row["objective"])) for row in rows if row["objective"]]


def _doubled(run: Run) -> Iterator[str]:
    watcher, most = run.watcher, run.scene.size.parallelism
    if watcher.most > most:
        yield f"{watcher.most} pods were alive at once, not {most}"
    for number in sorted(watcher.twice):
        yield f"trial {number} had two pods at once"
    for number, times in sorted(watcher.succeeded.items()):
        if times > 1:
            yield f"trial {number} succeeded {times} times"
    yield from started_too_often(_starts(run.scene), run.scene.ground.deleted.values())


def started_too_often(
    starts: Iterable[tuple[int, int]], deleted: Iterable[tuple[int, int]]
) -> Iterator[str]:
    """The attempts that were started more than once.

    An attempt whose pod was deleted by hand while nobody looked is made anew: whether it was ever
    made cannot be known then, so its number is not used up.

    Args:
        starts: Trial and attempt of each start.
        deleted: Trial and attempt of each pod that was deleted by hand.
    """
    by_hand = Counter(deleted)
    for (number, attempt), times in sorted(Counter(starts).items()):
        if times > 1 + by_hand[number, attempt]:
            yield f"attempt {attempt} of trial {number} was started {times} times"


def _starts(scene: Scene) -> list[tuple[int, int]]:
    """Trial and attempt of each start that a trial itself has told of."""
    lines = (line.split() for line in scene.marks.read_text().splitlines())
    return [(int(line[1]), int(line[2])) for line in lines if len(line) == 3]


def _left(run: Run) -> list[str]:
    """What is left after a while."""
    found: list[str] = []

    def gone() -> bool:
        found[:] = _left_now(run)
        return not found

    wait_until(gone, GONE_WITHIN_S, 1.0)
    return found


def _left_now(run: Run) -> Iterator[str]:
    yield from run.scene.ground.left()
    mark = f"PODMAP_RUN={run.run_id}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                yield f"process {process.name}"
        except OSError:
            continue
