"""How a run is shown while it goes on: on terminals of several widths, dumb ones, and in logs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import signal
import subprocess
from typing import Any

import pytest
from terminal import Screen, on_terminal, open_terminal

from podmap.cli._console import Console
from podmap.cli._display import (
    DRAWS_PER_S,
    LINE_EVERY_S,
    ProgressLines,
    draw_progress,
    speed_text,
)
from podmap.cli._progress import Progress
from podmap.engine.log_pieces import PIECE_BYTES
from podmap.records import Record, TrialState
from podmap.spec.model import Objective

WIDTHS = [20, 40, 80, 200]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
FAILING = 'test "$1" -lt 2 || { echo no luck; exit 3; }\necho "{\\"y\\": $1}" >"$PODMAP_RESULT"\n'


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def ended(number: int, state: TrialState = TrialState.COMPLETE, reason: str = "") -> Record:
    return Record(number=number, key="k", epoch="e", state=state, objective=0.5, reason=reason)


def progress(clock: Clock | None = None) -> Progress:
    objective = Objective(metric="accuracy", direction="maximize")
    return Progress(count=10, objectives=[objective], parallelism=4, clock=clock or Clock())


def busy(clock: Clock | None = None) -> Progress:
    """A progress with everything that there is to show."""
    here = progress(clock)
    for number in range(7):
        here.begin(number)
    here._clock.now = 10.0  # type: ignore[attr-defined]
    for number in range(3):
        here.add(ended(number))
    here.add(ended(3, TrialState.FAILED, "user_exit: exit code 3: a rather long reason, and on"))
    here.add(ended(4, TrialState.PRUNED))
    return here


def test_all_that_there_is_to_know_is_drawn() -> None:
    text = draw_progress(busy(), width=80, title="digits 3f9a: running")
    assert [
        "digits 3f9a: running",
        "━" * 24 + " 5/10  10s, 10s left",
        "running  2 of 4, 30 trials/min",
        "waiting  3 for a slot: 4 run at once",
        "ended    3 complete, 1 pruned, 1 failed",
        "best     accuracy 0.5 (trial 0)",
        "1 failed: user_exit: exit code 3: a rather long reason, and on",
    ] == text.plain.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_longer_than_the_width(width: int) -> None:
    lines = draw_progress(busy(), width=width).plain.splitlines()
    assert 6 == len(lines)
    assert all(len(line) <= width for line in lines)


def test_red_means_failure_and_nothing_else() -> None:
    text = draw_progress(busy(), width=80)
    red = [text.plain[span.start : span.end] for span in text.spans if "red" in str(span.style)]
    assert ["1 failed", "1 failed: user_exit: exit code 3: a rather long reason, and on"] == red
    colours = {str(span.style) for span in draw_progress(progress(), width=80).spans}
    assert not any("red" in colour for colour in colours)


def test_a_countdown_takes_the_place_of_what_waits() -> None:
    here = busy()
    here.expect_kill(30.0)
    lines = draw_progress(here, width=80).plain.splitlines()
    assert "ending   killed in 30s: 2 trials that still run" in lines
    assert not any(line.startswith("waiting") for line in lines)
    assert "ending   killed in 30s: " in draw_progress(here, width=30).plain


def test_lines_are_said_now_and_then_only() -> None:
    clock, said = Clock(), io.StringIO()
    here = progress(clock)
    lines = ProgressLines(Console(stream=said), here, clock=clock)
    for number in range(10):
        clock.now += LINE_EVERY_S / 2.5
        here.add(ended(number))
        lines.update()
    best = "best accuracy 0.5 (trial 0)"
    assert [
        f"3/10 trials ended, 15 trials/min, about 28s left, {best}",
        f"6/10 trials ended, 15 trials/min, about 16s left, {best}",
        f"9/10 trials ended, 15 trials/min, about 4.0s left, {best}",
    ] == said.getvalue().splitlines()


@pytest.mark.parametrize(
    ("per_s", "expected"),
    [
        (None, ""),
        (33.4, "33.4 trials/s"),
        (1.0, "1 trials/s"),
        (0.25, "15 trials/min"),
        (0.001, "3.6 trials/h"),
    ],
)
def test_a_speed_is_told_in_a_unit_that_fits(per_s: float | None, expected: str) -> None:
    assert expected == speed_text(per_s)


def test_it_is_drawn_less_than_ten_times_a_second() -> None:
    assert 0 < DRAWS_PER_S < 10


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_run_is_drawn_on_a_terminal_of_any_width(cli: Any, columns: int) -> None:
    args = ["run", cli.spec(trial=FAILING), "--set", "failures.allow=50%"]
    seen = on_terminal(args, columns=columns, folder=cli.folder, env=cli.env)
    shown = Screen(columns).feed(seen).lines
    drawn = [line for line in shown if line.startswith(("running", "ended", "best", "2 failed"))]
    assert ["running", "ended", "best", "2"] == [line.split()[0] for line in drawn]
    assert all(len(line) < columns for line in drawn)
    assert 1 == sum("4/4" in line for line in shown)  # drawn in place, over and over
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")  # the cursor is back
    if columns == 200:
        assert 1 == sum("failed: user_exit" in line and "2 trials" in line for line in shown)


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no colour"])
def test_what_a_terminal_cannot_show_is_not_sent(cli: Any, env: dict[str, str]) -> None:
    args = ["run", cli.spec(trial=FAILING), "--set", "failures.allow=50%"]
    seen = on_terminal(args, columns=80, folder=cli.folder, env={**cli.env, **env})
    assert not re.search(r"\x1b\[(3|9)[0-9]", seen)
    assert ("TERM" in env) == ("\x1b" not in seen)
    if "TERM" in env:
        assert "trial 2 failed: user_exit" in seen or "trial 3 failed: user_exit" in seen


def test_a_log_gets_plain_lines_and_each_reason_once(cli: Any) -> None:
    ran = cli.process("run", cli.spec(trial=FAILING), "--set", "failures.allow=50%")
    assert "\x1b" not in ran.err + ran.out
    assert 1 == ran.err.count("the training command ended with exit code 3")
    assert "2 trials (2, 3) failed like the first of them, see above" in ran.err


@pytest.mark.parametrize("columns", [40, 100])
def test_status_watch_draws_how_far_a_run_is(cli: Any, columns: int) -> None:
    args = ["--set", "failures.allow=50%", "-q"]
    assert 0 == cli("run", cli.spec(trial=FAILING), *args).code
    seen = on_terminal(
        ["status", cli.run_id(), "--watch"], columns=columns, folder=cli.folder, env=cli.env
    )
    shown = Screen(columns).feed(seen).lines
    assert f"grid {cli.run_id()}: ended" in shown
    assert "ended    2 complete, 2 failed" in shown
    assert "best     y 1 (trial 1)" in shown
    assert any("4/4" in line for line in shown)


@pytest.mark.parametrize("follows", [[], ["-f"]], ids=["at once", "followed"])
def test_a_log_is_lines_of_whole_characters_on_a_terminal(cli: Any, follows: list[str]) -> None:
    trial = (
        "printf '10%%\\r20%%\\r\\n\\033[2J\\303\\251\\377.'\n"
        'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"\n'
    )
    assert 0 == cli("run", cli.spec(trial=trial), "-q").code
    args = ["logs", cli.run_id(), "0", *follows]
    seen = on_terminal(args, columns=80, folder=cli.folder, env=cli.env)
    assert "10%\n20%\n?[2Jé\ufffd." in seen.replace("\r\n", "\n")


def test_a_character_between_two_pieces_of_a_log_is_shown(cli: Any) -> None:
    trial = (
        f"head -c {PIECE_BYTES - 1} /dev/zero | tr '\\0' x\nprintf '\\303\\251.'\n"
        'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"\n'
    )
    sets = ["--set", "search.params.x.high=0", "--set", "logs={keep: full}"]
    assert 0 == cli("run", cli.spec(trial=trial), "-q", *sets).code
    args = ["logs", cli.run_id(), "0"]
    assert "xxé." in on_terminal(args, columns=80, folder=cli.folder, env=cli.env)


def test_the_cursor_is_back_when_a_watch_is_told_to_end(cli: Any) -> None:
    assert 0 == cli("run", cli.spec(), "-q").code
    assert 0 == cli("reset", cli.run_id(), "0", "--yes").code
    ours, theirs = open_terminal(80)
    env = {**cli.env, "TERM": "xterm-256color"}
    process = cli.start("status", cli.run_id(), "--watch", env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while b"3/4" not in seen:
        seen += os.read(ours, 65536)
    process.terminate()
    with contextlib.suppress(OSError):  # EIO: nobody writes there any more
        while more := os.read(ours, 65536):
            seen += more
    os.close(ours)
    assert 143 == process.wait(timeout=60)
    assert seen.count(b"\x1b[?25l") == seen.count(b"\x1b[?25h") == 1


STUBBORN = "trap '' TERM INT\n: >begun\nwhile :; do sleep 0.1; done\n"


@pytest.mark.parametrize("draws", [True, False], ids=["drawn", "lines"])
def test_ctrl_c_while_trials_ignore_it_counts_down_and_the_second_leaves(
    cli: Any, draws: bool
) -> None:
    ours, theirs = open_terminal(80)
    process = cli.start(
        *("run", cli.spec(trial=STUBBORN), "--set", "parallelism=1"),
        env={**cli.env, "TERM": "xterm-256color" if draws else "dumb"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    interrupted = False
    while not re.search(rb"killed in \d+s: 1 trial that still runs", seen):
        if select.select([ours], [], [], 0.1)[0]:
            seen += os.read(ours, 65536)
        if not interrupted and (cli.folder / "begun").exists():
            process.send_signal(signal.SIGINT)
            interrupted = True
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert 130 == process.wait(timeout=60)
    os.close(ours)
    assert b"again to leave them running" in seen
    assert draws == (b"\x1b" in seen)
    assert 0 == cli("clean", cli.run_id(), "--yes").code
