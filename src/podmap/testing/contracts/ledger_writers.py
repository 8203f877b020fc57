"""Writers of the ledger contract, to be run in many threads or processes at once."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from threading import Barrier
from typing import Any

from podmap import names
from podmap.errors import AttemptExistsError, OwnerError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Attempt, Record, TrialState

WRITERS = 4
PADDING = "x" * 4000

Task = Callable[[str, int], Any]


def run_at_once(writers: str, task: Task, run_uri: str) -> list[Any]:
    """What `task(run_uri, writer)` gives in each of `WRITERS` writers that run at once.

    Args:
        writers: "threads", or "processes" for fresh interpreters.
        task: A function of this kind of module: importable by name.
        run_uri: The run they write.

    Raises:
        ValueError: There is no such kind of writers.
    """
    if writers == "threads":
        # Without this a thread is rarely interrupted in the middle of anything.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            start = Barrier(WRITERS)
            with ThreadPoolExecutor(WRITERS, initializer=_set_start, initargs=(start,)) as threads:
                return _results(threads, task, run_uri)
        finally:
            sys.setswitchinterval(interval)
    if writers != "processes":
        raise ValueError(f"writers are threads or processes, not {writers!r}")
    context = get_context("spawn")
    shared = context.Barrier(WRITERS)
    with ProcessPoolExecutor(
        WRITERS, mp_context=context, initializer=_set_start, initargs=(shared,)
    ) as processes:
        return _results(processes, task, run_uri)


def own_trials(run_uri: str, writer: int) -> None:
    """Takes every trial that is the writer's from WAITING to COMPLETE, 25 of them."""
    ledger = Ledger.open(run_uri)
    for number in range(writer, 25 * WRITERS, WRITERS):
        attempt = Attempt(1, f"pod-{number}")
        for state in (TrialState.WAITING, TrialState.RUNNING):
            ledger.write_record(Record(number, f"k{number}", "e", state))
        done = Record(
            number,
            f"k{number}",
            "e",
            TrialState.COMPLETE,
            params={"number": number},
            attempts=(attempt,),
        )
        ledger.write_end(attempt, done, b"log")


def same_attempts(run_uri: str, writer: int) -> list[int]:
    """Attempt numbers of trial 0 that this writer won, of 20."""
    ledger = Ledger.open(run_uri)
    won = []
    for number in range(1, 21):
        try:
            ledger.write_attempt(0, Attempt(number, f"pod-{writer}", log_uri=PADDING))
        except AttemptExistsError:
            continue
        won.append(number)
    return won


def own_the_run(run_uri: str, writer: int) -> bool:
    """Whether this writer's manifest is the one that stands."""
    owner = {"kind": "test", "writer": writer}
    _, sweep, run_id = names.split_run_uri(run_uri)
    manifest = Manifest(sweep, run_id, owner, "2026-01-01T00:00:00.000Z", {})
    try:
        return Ledger.open(run_uri).write_manifest(manifest).owner == owner
    except OwnerError:
        return False


def end_or_disturb(run_uri: str, writer: int) -> None:
    """The first writer ends 25 trials; the others write what must never undo that."""
    ledger = Ledger.open(run_uri)
    for number in range(25):
        if writer == 0:
            ledger.write_record(
                Record(number, "k", "e", TrialState.COMPLETE, metrics={"a": float(number)})
            )
        else:
            for state in (TrialState.RUNNING, TrialState.CANCELLED, TrialState.WAITING):
                ledger.write_record(Record(number, "k", "e", state))


def change_state(run_uri: str, writer: int) -> None:
    """Changes one value of the run's state 25 times, a value of its own where there are enough."""
    ledger = Ledger.open(run_uri)
    for step in range(1, 26):
        if writer == 0:
            ledger.update_state(parallelism=step)
        elif writer == 1:
            ledger.update_state(paused=step % 2 == 1)
        elif writer == 2:
            ledger.update_state(stopped=f"step {step}")
        else:
            ledger.update_state(finished=f"step {step}")


def write_for_ever(run_uri: str) -> None:
    """Writes records, attempts, logs and states until it is killed; never returns."""
    ledger = Ledger.open(run_uri)
    for round_ in itertools.count():
        for number in range(8):
            epoch = f"e{round_}"
            ledger.write_record(
                Record(number, "k", epoch, TrialState.RUNNING, params={"text": PADDING})
            )
            attempt = Attempt(ledger.next_attempt_number(number), "pod")
            done = Record(number, "k", epoch, TrialState.COMPLETE, params={"text": PADDING})
            ledger.write_end(attempt, done, PADDING.encode())
            ledger.update_state(parallelism=round_ + 1, stopped=PADDING)


_start: Any = None


def _set_start(barrier: Any) -> None:
    # A barrier reaches another process only by inheritance, so it cannot be an argument.
    global _start
    _start = barrier


def _at_once(task: Task, run_uri: str, writer: int) -> Any:
    _start.wait()
    return task(run_uri, writer)


def _results(pool: Executor, task: Task, run_uri: str) -> list[Any]:
    futures = [pool.submit(_at_once, task, run_uri, writer) for writer in range(WRITERS)]
    return [future.result() for future in futures]
