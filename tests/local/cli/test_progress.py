from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from podmap.cli._console import WARNINGS_PER_WINDOW, Console
from podmap.cli._output import duration, text
from podmap.cli._progress import Progress
from podmap.ledger.run_state import RunState
from podmap.records import Record, TrialState
from podmap.spec.model import Objective


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ended(
    number: int, value: float | None = None, state: TrialState = TrialState.COMPLETE
) -> Record:
    return Record(number=number, key="k", epoch="e", state=state, objective=value)


def progress(direction: Any = "maximize", clock: Callable[[], float] | None = None) -> Progress:
    objective = Objective(metric="y", direction=direction)
    return Progress(count=10, objectives=[objective], clock=clock or Clock())


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 2)])
def test_progress_knows_the_best_of_the_complete_trials(direction: str, best: int) -> None:
    here = progress(direction)
    for number, value in enumerate([0.5, 0.9, 0.1]):
        here.add(ended(number, value))
    here.add(ended(3, 99.0 if best == 1 else -99.0, TrialState.PRUNED))
    here.add(ended(4, None, TrialState.FAILED))
    assert best == (here.best.number if here.best else None)
    assert f"1 failed, best y {(0.5, 0.9, 0.1)[best]} (trial {best})" == here.describe()


def test_what_ended_before_counts_but_says_nothing_of_the_speed() -> None:
    clock = Clock()
    here = progress(clock=clock)
    for number in range(5):
        here.add(ended(number), earlier=True)
    assert (5, None) == (here.ended, here.left_s)
    clock.now = 10.0
    here.add(ended(5))
    assert 40.0 == here.left_s


def test_what_runs_waits_and_ends_is_told_apart() -> None:
    here = progress()
    for number in (0, 1, 2):
        here.begin(number)
    here.pending = 1
    here.add(ended(0))
    here.end_attempt(1)
    assert (0, 9, 1) == (here.running, here.waiting, here.ended)
    here.begin(1)
    assert (1, 8) == (here.running, here.waiting)
    assert ["7 for a slot: 1 run at once", "1 for their pod or process to start"] == (
        here.waiting_texts()
    )
    here.note_run(count=10, state=RunState(paused=True))
    assert "7 for the run to go on: it is paused" in here.waiting_texts()


def test_the_speed_is_that_of_the_last_trials() -> None:
    clock = Clock()
    here = progress(clock=clock)
    assert None is here.per_s
    here.count = 400
    for number in range(300):
        clock.now += 1.0 if number < 200 else 0.5
        here.add(ended(number))
    assert 2.0 == pytest.approx(here.per_s, rel=0.02)


def test_only_the_first_failure_of_a_kind_is_new() -> None:
    def failed(number: int, reason: str) -> Record:
        return replace(ended(number, state=TrialState.FAILED), reason=reason)

    here = progress()
    reasons = [
        "exit code 1: loss 0.5",
        "exit code 1: loss 7.5",
        "out of memory",
        "exit code 1: loss 3",
    ]
    new = [here.add(failed(number, reason)) for number, reason in enumerate(reasons)]
    assert [True, False, True, False] == new
    assert ["3 failed: exit code 1: loss 0.5", "1 failed: out of memory"] == (
        here.failures.newest(2)
    )


def test_a_reason_that_was_said_is_not_said_whole_again() -> None:
    here, said = progress(), io.StringIO()
    for number, reason in enumerate(["exit 1", "exit 1", "killed", "hung"]):
        here.add(replace(ended(number, state=TrialState.FAILED), reason=reason))
    here.failures.note_said("exit 1")
    here.failures.note_said("killed")
    here.failures.say(Console(stream=said), "RUN")
    assert [
        "2 trials (0, 1) failed like the first of them, see above",
        "trial 3 failed: hung",
        "see why: podmap logs RUN 0",
    ] == said.getvalue().splitlines()


def test_what_ignores_its_end_is_counted_down() -> None:
    clock = Clock()
    here = progress(clock=clock)
    here.begin(0)
    assert "" == here.ending_text()
    here.expect_kill(30.0)
    clock.now = 12.0
    assert "killed in 18s: 1 trial that still runs" == here.ending_text()
    here.begin(1)
    clock.now = 31.0
    assert "being killed: 2 trials that still run" == here.ending_text()
    here.end_attempt(0)
    here.add(ended(1))
    assert "" == here.ending_text()


def test_a_trial_that_stays_open_is_not_counted() -> None:
    here = progress()
    here.add(ended(0, state=TrialState.WAITING))
    assert 0 == here.ended


def test_warnings_of_modules_are_said_but_not_all_of_many() -> None:
    import logging

    said = io.StringIO()
    Console(quiet=True, stream=said).show_logged_warnings()
    logger = logging.getLogger("podmap.engine.trial")
    try:
        for number in range(32):
            logger.warning("trial %d: cannot write", number)
    finally:
        logging.getLogger("podmap").handlers = []
        logging.getLogger("podmap").propagate = True
    lines = said.getvalue().splitlines()
    assert "podmap: trial 0: cannot write" == lines[0]
    assert WARNINGS_PER_WINDOW + 1 == len(lines)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "-"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (59.4, "59s"),
        (200, "3m 20s"),
        (7500, "2h 5m"),
        (273600, "3d 4h"),
        (float("inf"), "-"),
    ],
    ids=str,
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert shown == duration(seconds)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "true"),
        (0.123456789, "0.123457"),
        (1e-9, "1e-09"),
        (7, "7"),
        ([1, "a"], '[1, "a"]'),
        ("two\nlines\there", "two lines here"),
        ("\x1b[31mred", "?[31mred"),
        ("x" * 30 + "y" * 20, "x" * 20 + "…" + "y" * 19),
    ],
    ids=repr,
)
def test_a_cell_is_one_short_line_without_control_characters(value: Any, shown: str) -> None:
    assert shown == text(value)
