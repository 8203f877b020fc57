"""Hopeless trials are ended early by what they report: real processes, real ledgers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.conftest import World, collecting, until

from podmap.engine.trial import run_trial
from podmap.ledger.ledger import Ledger
from podmap.ledger.report_log import ReportLog, TrialReports
from podmap.records import Record, TrialState

COMPLETE, PRUNED, CANCELLED = TrialState.COMPLETE, TrialState.PRUNED, TrialState.CANCELLED
ASHA = {"kind": "asha", "max_steps": 9}

REPORTS = """\
say() { echo "podmap: {\\"step\\": $1, \\"y\\": $2}"; }
whole() { for i in 1 2 3 4 5 6 7 8 9; do say $i $1; done; echo "{\\"y\\": $1}" >"$PODMAP_RESULT"; }
hang() { exec sleep 1000; }
echo "S $1 $PODMAP_ATTEMPT" >>journal
"""
"""`say STEP VALUE`, `whole VALUE` for a trial that ends well, `hang` for one that must be ended."""
ONE_BAD = f"{REPORTS} if [ $1 = 4 ]; then say 1 0.5; hang; fi; whole $1"
"""The first trials get better; the one of number 4 is the worst, and never ends by itself."""


def states(records: dict[int, Record]) -> list[TrialState]:
    return [record.state for _, record in sorted(records.items())]


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
@pytest.mark.parametrize("logs", ["stream", "tail"])
def test_a_hopeless_trial_is_ended_and_its_slot_is_filled(
    world: World, alone: bool, logs: str
) -> None:
    planned = world.plan(ONE_BAD, 6, parallelism=1, prune=ASHA, logs=logs)
    records = world.go(planned, alone=alone)
    assert [COMPLETE] * 4 + [PRUNED, COMPLETE] == states(records)
    pruned = records[4]
    assert ({"y": 0.5}, 0.5, ((1, {"y": 0.5}),)) == (
        pruned.metrics,
        pruned.objective,
        pruned.reports,
    )
    assert pruned.reason == (
        "asha: by step 1 its best y was 0.5, and the best 2 of 5 trials had 2 or better; "
        "at step 1 it had 0.5, its best was 0.5"
    )
    assert pruned == planned.ledger.read_record(4)
    assert [] == world.left()


def test_a_last_report_counts_for_a_trial_that_is_ended(world: World) -> None:
    script = f"""{REPORTS} if [ $1 = 4 ]; then
        trap 'say 2 0.75; exit 0' TERM; say 1 0.5; while :; do sleep 0.01; done; fi
        whole $1"""
    record = world.run(script, 5, parallelism=1, prune=ASHA)[4]
    assert (PRUNED, 0.75, 2) == (record.state, record.objective, len(record.reports))


def test_a_lower_value_is_better_where_that_is_asked_for(world: World) -> None:
    script = f"{REPORTS} if [ $1 = 4 ]; then say 1 9; hang; fi; whole 0.$((9 - $1))"
    objective = {"metric": "y", "direction": "minimize"}
    records = world.run(script, 5, parallelism=1, prune=ASHA, objective=objective)
    assert [COMPLETE] * 4 + [PRUNED] == states(records)
    assert "its best y was 9, and the best 2 of 5 trials had 0.7 or better" in records[4].reason


@pytest.mark.parametrize(
    ("prune", "said", "reason"),
    [
        ({"kind": "threshold", "lower": 0}, "say 1 -1", "threshold: at step 1 its y was -1"),
        ({"kind": "threshold", "upper": 9}, "say 1 NaN", "at step 1 its y was no finite number"),
        ({"kind": "patience", "patience": 2}, "say 1 5; say 2 4; say 3 5", "patience: its y has"),
        ({"kind": "median", "startup_trials": 4}, "say 1 1", "median: by step 1 its best y was 1"),
        ({"max_steps": 27, "kind": "hyperband"}, "say 9 0.5", "hyperband: by step 9 its best"),
    ],
    ids=["threshold", "nan", "patience", "median", "hyperband"],
)
def test_each_rule_ends_a_trial(world: World, prune: Any, said: str, reason: str) -> None:
    script = f"{REPORTS} if [ $1 = 4 ]; then {said}; hang; fi; whole $1"
    records = world.run(script, 5, parallelism=1, prune=prune)
    few = prune["kind"] == "patience"
    assert PRUNED == records[4].state
    assert reason in records[4].reason
    assert few or [COMPLETE] * 4 == states(records)[:4]


def test_a_trial_is_judged_by_what_other_processes_trials_report(world: World) -> None:
    script = f"{REPORTS} say 1 0.5; hang"
    planned = world.plan(script, 9, prune=ASHA)
    other = ReportLog.of(planned.ledger)
    other.add([TrialReports(number, "e1", [(1, float(number))]) for number in range(1, 5)])

    async def scenario() -> Record:
        async with world.session(planned) as session:
            return await run_trial(session, 0, "e1")

    record = world.play(scenario)
    assert (PRUNED, "the best 2 of 5 trials had 3 or better") == (
        record.state,
        record.reason.split("and ")[1].split(";")[0],
    )


def test_reports_reach_a_process_that_runs_already(world: World) -> None:
    """Its trial comes to a rung later than others that began after it."""
    world.close_gate()
    script = f"{REPORTS} say 1 0.5; while [ -e gate ]; do sleep 0.01; done; say 3 0.6; hang"
    planned = world.plan(script, 9, prune=ASHA)

    async def scenario() -> Record:
        async with world.session(planned) as session:
            running = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await world.started(1)
            points = [(1, 0.1), (3, 1.0)]
            told = [TrialReports(number, "e1", points) for number in range(1, 5)]
            ReportLog.of(planned.ledger).add(told)
            curves = session.pruner._curves
            await until(lambda: len(curves.standings(3)) == 4)
            world.open_gate()
            return await running

    assert (PRUNED, True) == (lambda r: (r.state, "by step 3" in r.reason))(world.play(scenario))


def test_a_trial_that_goes_on_under_another_process_is_not_judged_again(world: World) -> None:
    """It was first at the rung; by the time the process died four better ones had come by."""
    world.close_gate()
    script = f"""{REPORTS} if [ $1 = 0 ]; then say 1 0.5; {{
        while [ -e gate ]; do sleep 0.01; done; }}; echo '{{"y": 7}}' >"$PODMAP_RESULT"; exit; fi
        whole $1"""
    planned = world.plan(script, 5, parallelism=2, prune=ASHA)

    async def scenario() -> None:
        events = collecting({})
        running = asyncio.ensure_future(world.sweep_run(planned, events=events).run())
        ledger = planned.ledger
        await until(lambda: all((r := ledger.read_record(n)) and r.reports for n in range(1, 5)))
        told = ReportLog.of(ledger)
        await until(lambda: any(each.number == 0 for each in told.read_new()))
        running.cancel()
        await asyncio.wait([running])

    async def known() -> int | None:
        async with world.session(planned) as session:
            step: int | None = session.pruner._curves.curve(0).last_step
            return step

    world.play(scenario)
    assert 1 == world.play(known)  # so that what it said is no news when it is read again
    world.open_gate()
    records = world.go(planned)
    assert [COMPLETE] * 5 == states(records)


def test_a_trial_that_was_asked_for_anew_is_judged_anew(world: World) -> None:
    planned = world.plan(ONE_BAD, 5, parallelism=1, prune=ASHA, reuse="none")
    first = world.go(planned, epoch="old")
    again = world.go(planned, epoch="new")
    assert [COMPLETE] * 4 + [PRUNED] == states(first)
    assert PRUNED == again[4].state


def test_odd_reports_end_no_run(world: World) -> None:
    """Steps that go back, values that are no numbers, very many reports."""
    script = f"""{REPORTS}
        say 5 1; say 3 NaN; say -4 Infinity; say 6 '"x"'; say 7 '[1]'; say 1.5 1; say 8 1e999
        i=10; while [ $i -lt 3000 ]; do say $i 1; i=$((i+1)); done
        echo "{{\\"y\\": $1}}" >"$PODMAP_RESULT" """
    records = world.run(script, 5, parallelism=4, prune={"kind": "median"})
    assert [COMPLETE] * 5 == states(records)
    assert all(len(record.reports) <= 200 for record in records.values())


def test_a_run_that_is_stopped_goes_on_pruning_nothing(world: World) -> None:
    script = f"{REPORTS} say 1 0.5; hang"
    planned = world.plan(script, 3, parallelism=1, prune=ASHA)

    async def scenario() -> Record:
        async with world.session(planned) as session:
            running = asyncio.ensure_future(run_trial(session, 0, "e1"))
            await world.started(1)
            session.slots.stop("enough", cancel=True)
            return await running

    assert CANCELLED == world.play(scenario).state


def test_who_reports_nothing_is_told_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    script = 'echo "{\\"y\\": $1}" >"$PODMAP_RESULT"'
    records = world.run(script, 3, prune=ASHA)
    assert [COMPLETE] * 3 == states(records)
    assert 1 == sum("has not reported 'y' on its way" in line for line in caplog.messages)


def test_reports_of_a_run_that_was_deleted_make_nothing_anew(world: World) -> None:
    planned = world.plan("true", 1, prune=ASHA)

    async def scenario() -> None:
        async with world.session(planned) as session:
            await asyncio.to_thread(Ledger.open(planned.ledger.run_uri).delete)
            session.pruner.report("s-0123abcd-0-a1", 0, "e1", 1, {"y": 1})

    world.play(scenario)
    assert not Path(planned.ledger.run_uri).exists()


@pytest.mark.parametrize("logs", ["stream", "tail"])
def test_a_script_that_only_prints_is_read_and_pruned(world: World, logs: str) -> None:
    script = """echo "S $1 $PODMAP_ATTEMPT" >>journal
        for i in 1 2 3; do printf 'epoch %s\\r  val_y=%s. loss: nan\\n' $i $1.5
        if [ $1 = 0 ]; then exec sleep 1000; fi; done"""
    metrics = {"step": r"epoch (\d+)", "y": "val_y=([0-9.]+)", "loss": "loss: ([0-9.]+|nan)"}
    prune = {"kind": "threshold", "lower": 1}
    records = world.run(script, 2, prune=prune, metrics=metrics, logs=logs)
    assert [PRUNED, COMPLETE] == states(records)
    assert ({"y": 1.5, "loss": None}, 1.5) == (records[1].metrics, records[1].objective)
    assert [(n, {"loss": None, "y": 1.5}) for n in (1, 2, 3)] == list(records[1].reports)
    assert (0.5, ((1, {"loss": None, "y": 0.5}),)) == (records[0].objective, records[0].reports)


def test_a_result_counts_more_than_what_is_printed(world: World) -> None:
    metrics = {"y": "y=([0-9]+)", "z": "z=([0-9]+)"}
    script = """printf 'y=1 z=2\\n'; [ $1 = 0 ] || printf '{"y": 5}' >"$PODMAP_RESULT" """
    records = world.run(script, 2, metrics=metrics)
    assert [{"y": 1, "z": 2}, {"y": 5, "z": 2}] == [records[n].metrics for n in (0, 1)]


def test_what_is_printed_without_the_objective_is_no_result(world: World) -> None:
    record = world.run("echo z=2", 1, metrics={"z": "z=([0-9]+)"})[0]
    assert (TrialState.FAILED, {"z": 2}) == (record.state, record.metrics)
    assert "the result has no metric 'y', the objective; it has z" in record.reason
