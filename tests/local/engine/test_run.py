"""Whole runs, with real processes and real ledgers."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import tracemalloc
from typing import Any

import pytest
from tests.local.engine.conftest import GATED, OK, PATIENCE_S, World, collecting, until

from podmap.backends.process import ProcessBackend
from podmap.clock import parse_iso
from podmap.engine import run as module
from podmap.engine.events import (
    AttemptEnded,
    AttemptReported,
    AttemptStarted,
    RecordSettled,
    RunEnded,
    RunEvent,
    RunEvents,
)
from podmap.engine.run import SweepRun
from podmap.engine.timing import Timing
from podmap.errors import RecordError, StoreError
from podmap.records import Category, Record, TrialState

OFTEN = Timing(read_state_s=0.01)
COMPLETE, FAILED = TrialState.COMPLETE, TrialState.FAILED
CANCELLED, WAITING, PRUNED = TrialState.CANCELLED, TrialState.WAITING, TrialState.PRUNED


def states(records: dict[int, Record]) -> list[TrialState]:
    return [record.state for _, record in sorted(records.items())]


def category(record: Record) -> Category | None:
    diagnosis = record.attempts[-1].diagnosis
    return diagnosis.category if diagnosis else None


def result(text: str) -> str:
    return f"""printf '%s' '{text}' >"$PODMAP_RESULT" """


def test_each_trial_is_run_once_and_recorded(any_store: World) -> None:
    planned = any_store.plan(OK, 12)
    records = any_store.go(planned)
    assert [COMPLETE] * 12 == states(records)
    assert {x: 1 for x in range(12)} == any_store.starts()
    assert list(records.values()) != []
    assert [records[number] for number in range(12)] == list(planned.ledger.records())
    assert [] == any_store.left()
    one = records[7]
    assert ({"x": 7}, {"y": 7}, 7, "e1") == (one.params, one.metrics, one.objective, one.epoch)
    (attempt,) = one.attempts
    assert (1, 0, None) == (attempt.number, attempt.exit_code, attempt.diagnosis)
    assert one.started == attempt.started
    assert one.finished == attempt.finished
    assert one.queued_s is not None
    assert parse_iso(planned.manifest.created) <= parse_iso(one.started or "")
    assert (attempt,) == planned.ledger.attempts(7)


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
def test_a_run_that_was_left_is_taken_up_as_it_is(world: World, alone: bool) -> None:
    """Some trials are complete, some run, one has ended unseen, some were not started."""
    world.close_gate()
    script = f'case "$1" in 0|1) ;; *) {GATED}exit ;; esac\n{OK}'
    planned = world.plan(script, 9, parallelism=4, retries={"user": 1})

    async def scenario() -> None:
        run = world.sweep_run(planned, alone=alone)
        running = asyncio.ensure_future(run.run())
        await world.started(6)
        running.cancel()
        await asyncio.wait([running])

    world.play(scenario)
    assert 4 == len(world.left())
    world.open_gate()
    records = world.go(planned, alone=alone)
    assert [COMPLETE] * 9 == states(records)
    assert {x: 1 for x in range(9)} == world.starts()
    assert world.most_at_once() <= 4
    assert [] == world.left()


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
def test_a_cleared_run_goes_on_from_what_was_left(world: World, alone: bool) -> None:
    world.close_gate()
    script = f'[ "$1" = 0 ] && {{ echo "S 0 x" >>journal; exit 1; }}; {GATED}'
    planned = world.plan(script, 4, parallelism=2)

    async def scenario() -> None:
        run = world.sweep_run(planned, epoch="old", alone=alone)
        running = asyncio.ensure_future(run.run())
        await world.started(3)
        running.cancel()
        await asyncio.wait([running])

    world.play(scenario)
    world.open_gate()
    records = world.go(planned, epoch="new", alone=alone)
    assert [FAILED, COMPLETE, COMPLETE, COMPLETE] == states(records)
    assert [2, 2, 2, 1] == [records[number].attempts[-1].number for number in range(4)]
    assert {0: 2, 1: 2, 2: 2, 3: 1} == world.starts()


def test_what_was_settled_in_this_epoch_is_not_run_again(any_store: World) -> None:
    planned = any_store.plan(f'[ "$1" = 2 ] && exit 1; {OK}', 4)
    first = any_store.go(planned)
    journal = any_store.journal()
    assert first == any_store.go(planned)
    assert journal == any_store.journal()


def test_parallelism_is_never_exceeded_and_the_lowest_numbers_come_first(world: World) -> None:
    world.close_gate()
    planned = world.plan(GATED, 24, parallelism=3)

    async def scenario() -> None:
        run = world.sweep_run(planned)
        running = asyncio.ensure_future(run.run())
        await world.started(3)
        assert {0: 1, 1: 1, 2: 1} == world.starts()
        world.open_gate()
        await running

    world.play(scenario)
    assert {x: 1 for x in range(24)} == world.starts()
    assert world.most_at_once() <= 3


def test_retries_are_attempts_of_their_own_and_keep_within_parallelism(world: World) -> None:
    script = f"""\
if [ "$PODMAP_ATTEMPT" -lt 3 ]; then
  echo "S $1 x" >>journal; echo "E $1 x" >>journal; exit 1
fi
{OK}"""
    planned = world.plan(script, 6, retries={"user": 2}, parallelism=2)
    records = world.go(planned)
    assert [COMPLETE] * 6 == states(records)
    assert {x: 3 for x in range(6)} == world.starts()
    assert world.most_at_once() <= 2
    assert [1, 2, 3] == [attempt.number for attempt in records[0].attempts]
    assert records[0].attempts == planned.ledger.attempts(0)
    assert [Category.USER_EXIT, Category.USER_EXIT, None] == [
        attempt.diagnosis and attempt.diagnosis.category for attempt in records[0].attempts
    ]


@pytest.mark.parametrize(
    ("script", "more", "attempts", "kind"),
    [
        ("exit 1", {"retries": {"user": 1}}, 2, Category.USER_EXIT),
        ("exit 2", {"retries": {"user": 1}}, 1, Category.USER_EXIT),
        ("exit 75", {"retries": {"infra": 2}, "trial": {"exit_codes": {75: "infra"}}}, 3,
         Category.USER_EXIT),
        ("kill -KILL $PPID; sleep 60", {"retries": {"infra": 1}}, 2, Category.NODE_LOST),
        ("true", {"retries": {"user": 1, "infra": 0}}, 2, Category.NO_RESULT),
    ],
    ids=["user", "never again", "exit code that means infra", "wrapper killed", "no result"],
)  # fmt: skip
def test_each_failure_spends_its_own_budget(
    world: World, script: str, more: dict[str, Any], attempts: int, kind: Category
) -> None:
    record = world.run(script, 1, **more)[0]
    assert (FAILED, attempts, kind) == (record.state, len(record.attempts), category(record))


def test_the_attempt_is_in_the_ledger_before_the_next_one_starts(world: World) -> None:
    script = 'ls "$STORE"/attempts >seen.$PODMAP_ATTEMPT 2>/dev/null; exit 1'
    trial = {"env": {"STORE": "{run.uri}"}}
    world.run(script, 1, retries={"user": 1}, trial=trial)
    assert "" == (world.folder / "seen.1").read_text()
    assert "0-a1.json\n" == (world.folder / "seen.2").read_text()


def test_a_record_says_running_while_its_attempt_runs(world: World) -> None:
    script = 'cp "$STORE/trials/$1.json" record.$1; ' + OK
    world.run(script, 2, trial={"env": {"STORE": "{run.uri}"}})
    for number in range(2):
        record = json.loads((world.folder / f"record.{number}").read_text())
        assert ("RUNNING", {"x": number}) == (record["state"], record["params"])


def test_what_cannot_be_started_stops_the_run_and_is_told_once(world: World) -> None:
    records = world.run(OK, 20, trial={"command": ["no-such-program"]})
    assert FAILED is records[0].state
    assert Category.CREATE_ERROR is category(records[0])
    assert "no-such-program" in records[0].reason
    assert [CANCELLED] * 19 == states(records)[1:]
    assert all("trial 0 cannot run: " in records[number].reason for number in range(1, 20))


def test_a_command_of_one_case_that_is_not_there_fails_its_trials_alone(world: World) -> None:
    world.close_gate()
    cases = [{"when": {"x": 2}, "command": ["no-such-program"]}]
    planned = world.plan(GATED, 6, trial={"cases": cases}, parallelism=3)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await until(lambda: 2 in records)
        world.open_gate()
        await running
        return records

    expected = [COMPLETE, COMPLETE, FAILED, COMPLETE, COMPLETE, COMPLETE]
    assert expected == states(world.play(scenario))


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_a_spent_failure_budget(world: World, mode: str) -> None:
    world.close_gate()
    script = f"""\
case "$1" in
  0|1) exit 1;;
  3) until [ -s journal ]; do sleep 0.01; done; exit 1;;
esac
{GATED}"""
    more = {"failures": {"allow": 2, "on_exceed": mode}, "parallelism": 2}
    planned = world.plan(script, 8, **more)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await until(lambda: 3 in records)
        world.open_gate()
        await running
        assert run.stopped_reason.startswith("3 trials failed, 2 were allowed")
        return records

    of_two = COMPLETE if mode == "finish" else CANCELLED
    assert [FAILED, FAILED, of_two, FAILED] + [CANCELLED] * 4 == states(world.play(scenario))


def test_failures_of_an_earlier_process_count(world: World) -> None:
    script = f'[ "$1" -lt 2 ] && exit 1; {OK}'
    planned = world.plan(script, 6, failures={"allow": 1}, parallelism=1)
    assert [FAILED, FAILED] + [CANCELLED] * 4 == states(world.go(planned))
    planned.ledger.delete_record(5)
    assert [FAILED, FAILED] + [CANCELLED] * 4 == states(world.go(planned))


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_a_spent_wall_budget(world: World, mode: str) -> None:
    world.close_gate()
    budget = {"wall": "300ms", "on_exceed": mode}
    planned = world.plan(GATED, 4, budget=budget, parallelism=2)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await until(lambda: bool(run.stopped_reason))
        world.open_gate()
        await running
        return records

    records = world.play(scenario)
    if mode == "finish":
        assert set(states(records)) <= {COMPLETE, CANCELLED}
    else:
        assert {CANCELLED} == set(states(records)) - {COMPLETE}
    assert "the run's time is over (budget.wall)" == records[3].reason
    assert sum(world.starts().values()) <= 2


def test_an_interrupted_run_is_whole_and_goes_on(any_store: World) -> None:
    world = any_store
    world.close_gate()
    script = f'if [ "$1" = 0 ]; then {OK}\nelse {GATED}\nfi'
    planned = world.plan(script, 8, parallelism=3)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await until(lambda: 0 in records)
        await world.started(4)
        run.interrupt("interrupted by Ctrl-C")
        await running
        return records

    records = world.play(scenario)
    assert COMPLETE is records[0].state
    ledgered = {record.number: record for record in planned.ledger.records()}
    assert {COMPLETE, WAITING} == {record.state for record in ledgered.values()}
    assert ["cancelled"] * 3 == [
        attempt.diagnosis.category.value
        for record in ledgered.values()
        for attempt in record.attempts
        if attempt.diagnosis
    ]
    assert [] == world.left()
    world.open_gate()
    records = world.go(planned)
    assert [COMPLETE] * 8 == states(records)
    assert {2} == {
        max(a.number for a in record.attempts)
        for n, record in records.items()
        if n in ledgered and n
    }


def test_an_interrupt_before_the_start_starts_nothing(world: World) -> None:
    planned = world.plan(OK, 3)

    async def scenario() -> None:
        run = world.sweep_run(planned)
        run.interrupt("at once")
        await run.run()

    world.play(scenario)
    assert [] == world.journal()


@pytest.mark.parametrize(
    ("script", "more", "state", "text"),
    [
        ("true", {}, FAILED, "no_result: the command ended with exit code 0 but wrote no result"),
        (result("{nope"), {}, FAILED, "bad_result: the result is not JSON"),
        (result("[1]"), {}, FAILED, "bad_result: the result is JSON, but not an object"),
        (result('{"y": NaN}'), {}, FAILED, "bad_result: the objective 'y' is nan"),
        (result('{"y": true}'), {}, FAILED, "bad_result: the objective 'y' is true"),
        (result('{"y": 1, "z": NaN}'), {}, COMPLETE, ""),
        ("""echo 'podmap: {"final": {"y": 3}}'""", {}, COMPLETE, ""),
        (r"""printf '50%%\r99%%\rpodmap: {"final": {"y": 3}}\r'""", {}, COMPLETE, ""),
        ("""echo 'podmap: {"step": 1, "y": 2}'; echo 'podmap: {"pruned": true}'""", {}, PRUNED, ""),
        ("exit 3", {}, FAILED, "user_exit: the training command ended with exit code 3"),
        ("kill -SEGV $$", {}, FAILED, "exit code 139 (signal 11)"),
        ("sleep 60", {"trial": {"timeout": "100ms"}}, FAILED, "user_timeout: took longer than its"),
    ],
    ids=["nothing", "not json", "array", "nan", "bool", "nan elsewhere", "final line",
         "progress bar", "pruned", "exit code", "signal", "timeout"],
)  # fmt: skip
def test_what_a_trial_leaves(
    world: World, script: str, more: dict[str, Any], state: TrialState, text: str
) -> None:
    record = world.run(script, 1, **more)[0]
    assert state is record.state
    assert text in record.reason
    assert (state is FAILED) == (record.attempts[0].diagnosis is not None)


def test_without_an_objective_a_result_may_be_missing(world: World) -> None:
    for name in ("a", "b"):
        (world.folder / name).touch()
    search = {"kind": "shards", "uris": f"{world.folder}/?"}
    records = world.run("", search=search, objective=None, trial={"command": ["true"]})
    assert [(COMPLETE, None)] * 2 == [(r.state, r.objective) for r in records.values()]


@pytest.mark.parametrize(
    ("first", "state"), [('"y": 0.5', COMPLETE), ('"a": 1', FAILED)], ids=["first", "lost"]
)
def test_a_result_that_is_too_large(world: World, first: str, state: TrialState) -> None:
    script = f"""
    printf '%s' '{{{first}, "curve": [' >"$PODMAP_RESULT"
    head -c 10000000 /dev/zero | tr '\\0' 1 >>"$PODMAP_RESULT"
    echo '], "y": 0.5}}' >>"$PODMAP_RESULT"
    """
    record = world.run(script, 1)[0]
    assert state is record.state
    assert "the result is larger than" in record.reason


def test_the_deadline_counts_over_all_attempts(world: World) -> None:
    script = "sleep 0.2; exit 1"
    trial = {"deadline": "500ms", "timeout": "10s"}
    record = world.run(script, 1, trial=trial, retries={"user": 50})[0]
    assert FAILED is record.state
    assert "the deadline of 0.5 s for all attempts is over" in record.reason
    assert 2 <= len(record.attempts) <= 3
    assert Category.USER_TIMEOUT is category(record)


def test_all_output_is_heard_but_little_of_it_is_kept(world: World) -> None:
    # 100 MB behind the result, so that only the whole output tells it.
    script = """\
echo 'podmap: {"final": {"y": 3}}'
yes "$(printf '%1000d' 7)" | head -c 100000000
echo
echo end
"""
    planned = world.plan(script, 1)
    tracemalloc.start()
    try:
        record = world.go(planned)[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (COMPLETE, 3) == (record.state, record.objective)
    assert record.log_tail.endswith("\nend\n")
    assert len(record.log_tail) <= 4096
    assert len(planned.ledger.read_log(0, 1) or b"") <= 64 * 1024
    assert peak < 20_000_000


@pytest.mark.parametrize("logs", ["stream", "tail"])
def test_lines_reach_who_asks_for_them(world: World, logs: str) -> None:
    lines: list[tuple[int, str]] = []
    planned = world.plan(f'echo "hello $1"; printf "10%%\\r20%%\\r"; {OK}', 3, logs=logs)
    world.go(planned, on_line=lambda number, line: lines.append((number, line)))
    for number in range(3):
        shown = [line for of, line in lines if of == number]
        assert [f"hello {number}", "10%", "20%"] == shown


def test_a_stream_shows_lines_while_the_trial_runs(world: World) -> None:
    world.close_gate()
    planned = world.plan(f"echo hello\n{GATED}echo bye")
    lines: list[str] = []

    async def scenario() -> None:
        run = world.sweep_run(planned)
        running = asyncio.ensure_future(run.run(on_line=lambda number, line: lines.append(line)))
        await until(lambda: bool(lines))
        assert ["hello"] == lines
        world.open_gate()
        await running

    world.play(scenario)
    assert ["hello", "bye"] == lines


def test_no_more_of_a_trials_output_is_streamed_than_is_allowed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from podmap.engine import attempt as listening

    monkeypatch.setattr(listening, "STREAM_LIMIT_BYTES", 200_000)
    script = """yes line | head -c 2000000; echo 'podmap: {"final": {"y": 3}}'"""
    planned = world.plan(script, 1)
    lines: list[str] = []
    record = world.go(planned, on_line=lambda number, line: lines.append(line))[0]
    assert (COMPLETE, 3) == (record.state, record.objective)
    assert len(lines) < 60_000
    assert "podmap: more output is not shown here; its end is in the record" == lines[-1]


def test_a_broken_record_does_not_keep_the_other_trials(world: World) -> None:
    planned = world.plan(OK, 6, parallelism=2)
    planned.ledger.write_file("trials/1.json", b"{half a rec")
    records: dict[int, Record] = {}

    async def scenario() -> None:
        run = world.sweep_run(planned, events=collecting(records))
        await run.run()

    with pytest.raises(RecordError, match=r"trials/1\.json"):
        world.play(scenario)
    assert [0, 2, 3, 4, 5] == sorted(records)


def test_a_bug_in_one_trial_does_not_keep_the_others(world: World) -> None:
    class Buggy(ProcessBackend):
        async def delete(self, name: str) -> None:
            await super().delete(name)
            if "-2-a" in name:
                raise ZeroDivisionError("a bug")

    planned = world.plan(OK, 6, parallelism=2)
    records: dict[int, Record] = {}

    async def scenario() -> None:
        backend, events = world.backend(Buggy), collecting(records)
        await SweepRun(planned, backend, epoch="e1", events=events).run()

    with pytest.raises(ZeroDivisionError):
        world.play(scenario)
    assert [0, 1, 3, 4, 5] == sorted(records)
    assert [COMPLETE] * 6 == [record.state for record in planned.ledger.records()]


def test_all_that_happens_in_a_run_is_told_in_order(world: World) -> None:
    script = f"""echo 'podmap: {{"step": 1, "y": 5}}'
[ "$PODMAP_ATTEMPT" = 1 ] && exit 1
{OK}"""
    told: list[RunEvent] = []
    events = RunEvents()
    events.subscribe(told.append)
    planned = world.plan(script, retries={"user": 1})
    world.go(planned, events=events)
    (record,) = planned.ledger.records()
    first, second = record.attempts
    name = f"s-{planned.manifest.run_id}-0"
    expected = [
        AttemptStarted(0, 1, f"{name}-a1"),
        AttemptReported(0, 1, 1, {"y": 5}),
        AttemptEnded(0, first),
        AttemptStarted(0, 2, f"{name}-a2"),
        AttemptReported(0, 2, 1, {"y": 5}),
        AttemptEnded(0, second),
        RecordSettled(record),
        RunEnded(""),
    ]
    assert expected == told


def test_a_report_is_told_while_its_attempt_runs_where_output_is_streamed(world: World) -> None:
    world.close_gate()
    planned = world.plan(f"""echo 'podmap: {{"step": 1, "y": 5}}'\n{GATED}""")
    told: list[RunEvent] = []
    events = RunEvents()
    events.subscribe(told.append)

    async def scenario() -> None:
        run = world.sweep_run(planned, events=events)
        running = asyncio.ensure_future(run.run(on_line=lambda number, line: None))
        await until(lambda: AttemptReported(0, 1, 1, {"y": 5}) in told)
        world.open_gate()
        await running

    world.play(scenario)
    assert 1 == sum(isinstance(event, AttemptReported) for event in told)


def test_subscribers_that_fail_or_hang_keep_neither_the_run_nor_the_others(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hang = threading.Event()

    def fail(event: RunEvent) -> None:
        raise ZeroDivisionError("a bug")

    records: dict[int, Record] = {}
    events = collecting(records)
    events.subscribe(fail)
    events.subscribe(lambda event: hang.wait(PATIENCE_S) and None)
    planned = world.plan(OK, 6, parallelism=2)
    began = time.monotonic()
    world.go(planned, events=events)
    assert time.monotonic() - began < PATIENCE_S / 2
    hang.set()
    assert [COMPLETE] * 6 == states(records)
    assert 1 == sum("fail failed" in message for message in caplog.messages)


def test_a_store_that_stays_away_ends_the_run_and_nothing_is_lost(world: World) -> None:
    planned = world.plan(OK, 3, parallelism=2)
    trials = world.folder.parent / "store" / "s" / planned.manifest.run_id / "trials"
    trials.touch()  # a file is where the folder of records must be
    with pytest.raises(StoreError):
        world.go(planned, patience_s=0.01)
    trials.unlink()
    assert [COMPLETE] * 3 == states(world.go(planned))
    assert {0: 1, 1: 1, 2: 1} == world.starts()


def test_memory_does_not_grow_with_the_number_of_trials(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks: list[int] = []

    async def run_trial(session: Any, number: int, epoch: str, **more: Any) -> Record:
        session.planned.plan.trial(number)
        slot = await session.slots.acquire(order=number)
        await asyncio.sleep(0)
        slot.give_back()
        record = Record(number, "k", epoch, COMPLETE)
        session.slots.count_record(record)
        if number in (1_000, 4_999):
            peaks.append(tracemalloc.get_traced_memory()[0])
        return record

    monkeypatch.setattr(module, "run_trial", run_trial)
    search = {"kind": "random", "trials": 5_000, "params": {"x": {"low": 0.0, "high": 1.0}}}
    planned = world.plan(OK, search=search, parallelism=32)

    async def scenario() -> None:
        await world.sweep_run(planned).run()

    tracemalloc.start()
    try:
        world.play(scenario)
    finally:
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_a_paused_run_starts_nothing_and_more_parallelism_starts_more(world: World) -> None:
    world.close_gate()
    planned = world.plan(GATED, 6, parallelism=1)
    planned.ledger.update_state(paused=True)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, timing=OFTEN, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await until(lambda: run._session is not None and run._session.slots._waiting)
        assert {} == world.starts()
        planned.ledger.update_state(paused=False)
        await world.started(1)
        planned.ledger.update_state(parallelism=4)
        await world.started(4)
        world.open_gate()
        await running
        return records

    assert [COMPLETE] * 6 == states(world.play(scenario))
    assert 4 == world.most_at_once()


def test_a_run_that_a_user_has_stopped_starts_no_more(world: World) -> None:
    world.close_gate()
    planned = world.plan(GATED, 4, parallelism=2)

    async def scenario() -> dict[int, Record]:
        records: dict[int, Record] = {}
        run = world.sweep_run(planned, timing=OFTEN, events=collecting(records))
        running = asyncio.ensure_future(run.run())
        await world.started(2)
        planned.ledger.update_state(stopped="stopped by a user")
        await until(lambda: bool(run.stopped_reason))
        world.open_gate()
        await running
        return records

    records = world.play(scenario)
    assert [COMPLETE, COMPLETE, CANCELLED, CANCELLED] == states(records)
    assert "stopped by a user" == records[3].reason


def test_first_failures_of_one_kind_stop_the_run(world: World) -> None:
    planned = world.plan("exit 2", 12, parallelism=1)
    records = world.go(planned, alone=True)
    assert [FAILED] * 5 + [CANCELLED] * 7 == states(records)
    assert "the first 5 trials failed in the same way" in records[11].reason
    assert "trial.args" in records[11].reason


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "not alone"])
def test_who_resumes_a_run_of_first_failures_asks_again(world: World, alone: bool) -> None:
    planned = world.plan(f'[ "$1" -lt 9 ] && exit 2; {OK}', 12, parallelism=1)
    assert [FAILED] * 5 + [CANCELLED] * 7 == states(world.go(planned, alone=alone))
    for number in range(5, 12):
        planned.ledger.delete_record(number)
    again = states(world.go(planned, alone=alone))
    assert [FAILED] * 5 + ([FAILED] * 4 + [COMPLETE] * 3 if alone else [CANCELLED] * 7) == again


def test_a_run_with_a_result_is_not_stopped_by_failures_of_one_kind(world: World) -> None:
    planned = world.plan(f'[ "$1" != 0 ] && exit 2; {OK}', 12, parallelism=1)
    assert [COMPLETE] + [FAILED] * 11 == states(world.go(planned, alone=True))
    for number in range(1, 12):
        planned.ledger.delete_record(number)
    assert [COMPLETE] + [FAILED] * 11 == states(world.go(planned, alone=True))


def test_a_record_keeps_the_reports_of_all_its_attempts(world: World) -> None:
    script = """if [ "$PODMAP_ATTEMPT" = 1 ]; then
        echo 'podmap: {"step": 1, "y": 5}'; echo 'podmap: {"step": 2, "y": 6}'; exit 1; fi
        echo 'podmap: {"step": 2, "y": NaN, "loss": 3}'; echo 'podmap: {"step": 3, "y": 8}'
        printf '{"y": 9}' >"$PODMAP_RESULT" """
    planned = world.plan(script, 1, retries={"user": 1})
    record = world.go(planned)[0]
    assert (COMPLETE, 2) == (record.state, len(record.attempts))
    expected = ((1, {"y": 5}), (2, {"y": None, "loss": 3}), (3, {"y": 8}))
    assert expected == record.reports


def test_of_workers_that_fail_at_once_one_is_raised_and_none_is_forgotten() -> None:
    """asyncio tells of a task whose exception nobody has read, on standard error."""
    forgotten: list[dict[str, Any]] = []

    async def fail() -> None:
        raise StoreError("the store is full")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: forgotten.append(told))
        workers = module._Workers(lambda: 3)
        workers.enlarge(3)
        workers.begin(fail)
        await asyncio.sleep(0)  # they have all failed before anybody looks
        with pytest.raises(StoreError):
            await workers.finished()
        await workers.end()
        del workers
        gc.collect()

    asyncio.run(work())
    assert [] == forgotten
