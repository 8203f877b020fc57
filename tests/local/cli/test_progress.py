from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from podmap.cli._console import WARNINGS_PER_WINDOW, Console
from podmap.cli._output import duration, text
from podmap.cli._progress import LINE_EVERY_S, Progress, ProgressLines
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


def test_a_trial_that_stays_open_is_not_counted() -> None:
    here = progress()
    here.add(ended(0, state=TrialState.WAITING))
    assert 0 == here.ended


def test_lines_are_said_now_and_then_only() -> None:
    clock, said = Clock(), io.StringIO()
    lines, here = ProgressLines(Console(stream=said), clock=clock), progress(clock=clock)
    for number in range(10):
        clock.now += LINE_EVERY_S / 2.5
        here.add(ended(number, 0.5))
        lines.update(here)
    assert [
        "3/10 trials ended, about 28s left, best y 0.5 (trial 0)",
        "6/10 trials ended, about 16s left, best y 0.5 (trial 0)",
        "9/10 trials ended, about 4.0s left, best y 0.5 (trial 0)",
    ] == said.getvalue().splitlines()


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


def on_terminal(cli: Any, **env: str) -> str:
    """What a run shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "podmap.cli.main", "run", cli.spec()],
        cwd=cli.folder,
        env={**cli.env, "TERM": "xterm-256color", **env},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    with open(ours, "rb", buffering=0) as file:
        try:
            while chunk := file.read(65536):
                seen += chunk
        except OSError:  # Linux says so when the other end is closed
            pass
    assert 0 == process.wait()
    return seen.decode()


def test_a_bar_with_the_best_so_far_is_drawn_on_a_terminal(cli: Any) -> None:
    seen = on_terminal(cli)
    assert "4/4" in seen
    assert "best y 3" in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")  # the cursor is back


def test_no_color_is_respected(cli: Any) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*m")
    assert colour.search(on_terminal(cli))
    (cli.folder / "sweep.yaml").unlink()
    assert not re.search(r"\x1b\[(3|9)[0-9]", on_terminal(cli, NO_COLOR="1"))


def test_a_dumb_terminal_gets_plain_lines(cli: Any) -> None:
    assert "\x1b" not in on_terminal(cli, TERM="dumb")
