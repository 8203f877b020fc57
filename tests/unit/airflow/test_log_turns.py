"""Turns of logs: lines are joined, bounded, written in turns, and an end is written first."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from podmap.airflow import log_turns
from podmap.airflow.log_turns import (
    BUFFER_CHARS,
    CATCH_UP_S,
    END_CHARS,
    SLICE_CHARS,
    TURN_CHARS,
    TURN_S,
    LogTurns,
    TurnsLog,
)

INSTANCE = contextvars.ContextVar("INSTANCE", default="nobody")


class Log:
    """A log that keeps what was written, and of which instance."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str]] = []

    def __getattr__(self, level: str) -> Any:
        def write(form: str, *args: Any) -> None:
            self.entries.append((INSTANCE.get(), level, form % args))

        return write

    def text(self, instance: str = "nobody") -> str:
        return "\n".join(text for whose, _, text in self.entries if whose == instance)


class Clock:
    """A clock that stands; each turn that is waited for sets it on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """A log socket, whose supervisor has read all, or none."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()

    def position(self) -> int:
        return 0

    async def wait_taken(self, position: int) -> None:
        await self.reads.wait()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    async def wait(event: asyncio.Event, limit_s: float) -> bool:
        for _ in range(5):  # what is due comes first
            await asyncio.sleep(0)
        if not event.is_set():
            clock.now += limit_s
        return event.is_set()

    monkeypatch.setattr(log_turns, "set_within", wait)
    return clock


async def until_idle(turns: LogTurns) -> None:
    if turns._task is not None:
        await turns._task


def of_instance(log: Log, turns: LogTurns, name: str) -> TurnsLog:
    context = contextvars.copy_context()
    context.run(INSTANCE.set, name)
    return context.run(TurnsLog, log, turns)


def test_lines_of_a_moment_are_one_entry_in_the_context_of_their_instance(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        one, two = of_instance(log, turns, "one"), of_instance(log, turns, "two")
        for index in range(3):
            one.info("line %d", index)
            two.info("%s", f"100% of {index}")
        await until_idle(turns)
        assert log.entries == [
            ("one", "info", "line 0\nline 1\nline 2"),
            ("two", "info", "100% of 0\n100% of 1\n100% of 2"),
        ]

    asyncio.run(scenario())


def test_levels_are_kept(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        one = of_instance(log, turns, "one")
        one.info("a")
        one.warning("b")
        one.error("c")
        await one.finish()
        assert log.entries == [("one", "info", "a"), ("one", "warning", "b"), ("one", "error", "c")]

    asyncio.run(scenario())


def test_what_is_too_much_is_left_out_oldest_first_and_counted(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        one = of_instance(log, turns, "one")
        for index in range(10_000):
            one.info("line %06d", index)
        await one.finish()
        lines = log.text("one").split("\n")
        shown = lines[1:]
        assert lines[0] == f"podmap: … {10_000 - len(shown):,} lines are left out here"
        assert shown == [f"line {index:06d}" for index in range(10_000 - len(shown), 10_000)]
        assert BUFFER_CHARS * 0.9 < len(log.text("one")) <= BUFFER_CHARS + 100

    asyncio.run(scenario())


def test_a_trial_writes_a_slice_a_turn_and_all_of_them_a_turns_measure(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        logs = [of_instance(log, turns, str(index)) for index in range(20)]
        for each in logs:
            for _ in range(8):
                each.info("%s", "x" * 1023)
        began = clock.now
        await until_idle(turns)
        assert max(len(text) for _, _, text in log.entries) <= SLICE_CHARS
        assert len(log.entries) == 40
        per_turn = TURN_CHARS // SLICE_CHARS
        assert {whose for whose, _, _ in log.entries[:20]} == set(map(str, range(20)))  # in turn
        assert clock.now - began >= TURN_S * (40 // per_turn)

    asyncio.run(scenario())


def test_nothing_is_written_while_the_supervisor_does_not_read(clock: Clock) -> None:
    async def scenario() -> None:
        reader = Reader()
        log, turns = Log(), LogTurns(reader, clock=clock)  # type: ignore[arg-type]  # as the real
        one = of_instance(log, turns, "one")
        reader.reads.clear()
        one.info("a")
        finishing = asyncio.ensure_future(one.finish())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not log.entries
        reader.reads.set()
        await finishing
        assert log.text("one") == "a"

    asyncio.run(scenario())


def test_an_end_is_written_before_the_output_of_others_and_read_when_finish_returns(
    clock: Clock,
) -> None:
    async def scenario() -> None:
        reader = Reader()
        log, turns = Log(), LogTurns(reader, clock=clock)  # type: ignore[arg-type]  # as the real
        busy, ends = of_instance(log, turns, "busy"), of_instance(log, turns, "ends")
        for _ in range(20):
            busy.info("%s", "x" * 1000)
        for index in range(10):
            ends.info("%s", f"{index}" * 1000)
        ends.error("the verdict")
        finishing = asyncio.ensure_future(ends.finish())
        while ("ends", "error", "the verdict") not in log.entries:
            await asyncio.sleep(0)
        assert not log.text("busy")
        reader.reads.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not finishing.done()
        reader.reads.set()
        await finishing
        await until_idle(turns)
        assert len(log.text("busy")) > 10_000

    asyncio.run(scenario())


def test_of_what_was_written_before_anybody_listened_the_end_is_shown(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        one = of_instance(log, turns, "one")
        one.catch_up()
        for index in range(1000):
            one.info("old %06d", index)
        await asyncio.sleep(0)
        assert not log.entries
        clock.now += CATCH_UP_S
        one.info("new")
        await until_idle(turns)
        text = log.text("one")
        assert text.endswith("old 000999\nnew")
        assert len(text) < END_CHARS + 100

    asyncio.run(scenario())


def test_a_trial_that_is_let_go_of_writes_a_slice_and_forgets_the_rest(clock: Clock) -> None:
    async def scenario() -> None:
        log, turns = Log(), LogTurns(None, clock=clock)
        one = of_instance(log, turns, "one")
        branch = one.branch()
        for _ in range(10):
            one.info("%s", "x" * 1000)
            branch.info("%s", "y" * 1000)
        one.close()
        await until_idle(turns)
        assert [text[0] for _, _, text in log.entries] == ["y", "x"]

    asyncio.run(scenario())
