"""Trials that are not run, since their result is there already."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.conftest import GATED, OK, TIMING, World, until

import podmap_trial
from podmap.clock import iso, utc_now
from podmap.engine.planned import PlannedRun
from podmap.engine.reuse import read_left_result, rescored_record, result_uri
from podmap.engine.run import SweepRun
from podmap.errors import StoreError
from podmap.ledger.keys import KeyIndex
from podmap.records import Record, TrialState

COMPLETE, FAILED = TrialState.COMPLETE, TrialState.FAILED
TWO = OK.replace('\\"y\\": $1', '\\"y\\": 1, \\"z\\": 2')


def test_another_runs_finished_trials_are_reused(any_store: World) -> None:
    world = any_store
    first_run = world.plan(OK, 3, run_id="aaaa0001", reuse="sweep")
    first = world.go(first_run, epoch="e1")
    planned = world.plan(OK, 5, run_id="aaaa0002", reuse="sweep")
    second = world.go(planned, epoch="e2")
    assert {x: 1 for x in range(5)} == world.starts()
    for number in range(3):
        record = second[number]
        assert record == planned.ledger.read_record(number)
        assert (number, "e2", COMPLETE, ()) == (
            record.number,
            record.epoch,
            record.state,
            record.attempts,
        )
        assert f"reused from {first_run.ledger.record_uri(number)}" == record.reason
        assert first[number].metrics == record.metrics
        assert (None, None) == (record.started, record.duration_s)
        assert record.finished > first[number].finished
        assert 0 == record.gpu_seconds
    assert ["", ""] == [second[number].reason for number in (3, 4)]


def test_a_reused_trial_can_itself_be_reused(world: World) -> None:
    planned = world.plan(OK, run_id="aaaa0001", reuse="sweep")
    world.go(planned)
    copy = world.plan(OK, run_id="aaaa0002", reuse="sweep")
    world.go(copy)
    planned.ledger.delete()
    third = world.go(world.plan(OK, run_id="aaaa0003", reuse="sweep"))
    assert f"reused from {copy.ledger.record_uri(0)}" == third[0].reason
    assert {0: 1} == world.starts()


@pytest.mark.parametrize(
    ("first", "second", "more"),
    [
        ("run", "sweep", {}),
        ("sweep", "run", {}),
        ("sweep", "none", {}),
        ("sweep", "sweep", {"cache_version": "other"}),
        ("sweep", "sweep", {"trial": {"env": {"OTHER": "1"}}}),
    ],
    ids=["not remembered", "run alone", "none", "cache version", "another key"],
)
def test_what_is_not_asked_for_or_not_the_same_is_run(
    world: World, first: str, second: str, more: dict[str, Any]
) -> None:
    world.run(OK, run_id="aaaa0001", reuse=first)
    world.run(OK, run_id="aaaa0002", reuse=second, **more)
    assert {0: 2} == world.starts()


def test_failed_trials_and_forgotten_ones_are_run_again(world: World) -> None:
    script = f'[ "$1" = 0 ] && [ ! -e fixed ] && {{ echo "S 0 x" >>journal; exit 1; }}; {OK}'
    planned = world.plan(script, 2, run_id="aaaa0001", reuse="sweep")
    world.go(planned)
    (world.folder / "fixed").touch()
    planned.ledger.delete_record(1)
    world.run(script, 2, run_id="aaaa0002", reuse="sweep")
    assert {0: 2, 1: 2} == world.starts()


def test_a_trial_that_lacks_the_objective_is_not_reused(world: World) -> None:
    world.run(TWO, run_id="aaaa0001", reuse="sweep")
    other = {"objective": {"metric": "z", "direction": "minimize"}, "reuse": "sweep"}
    assert (2, {0: 1}) == (world.run(TWO, run_id="aaaa0002", **other)[0].objective, world.starts())
    lacks = {"objective": {"metric": "w", "direction": "minimize"}, "reuse": "sweep"}
    assert FAILED is world.run(TWO, run_id="aaaa0003", **lacks)[0].state
    assert {0: 2} == world.starts()


def test_a_broken_index_costs_a_run_and_no_more(world: World) -> None:
    world.run(OK, run_id="aaaa0001", reuse="sweep")
    (entry,) = (Path(world.store) / "s" / "keys").iterdir()
    entry.write_text("{half")
    assert COMPLETE is world.run(OK, run_id="aaaa0002", reuse="sweep")[0].state
    assert {0: 2} == world.starts()


def test_what_cannot_be_remembered_is_complete_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: KeyIndex, record: Record, *, record_uri: str) -> bool:
        raise StoreError("down")

    monkeypatch.setattr(KeyIndex, "add_record", down)
    assert COMPLETE is world.run(OK, reuse="sweep")[0].state


def test_rescored_takes_the_objective_that_is_asked_for() -> None:
    record = Record(0, "k", "e", COMPLETE, metrics={"y": 1.0, "z": None}, objective=1.0)
    assert record is rescored_record(record, ["y"])
    assert rescored_record(record, ["z"]) is None
    assert rescored_record(record, ["y", "w"]) is None
    none = rescored_record(record, [])
    assert none
    assert None is none.objective


# What podmap-trial leaves beside the checkpoint.

LEAVING = """\
echo "S $1 $PODMAP_ATTEMPT" >>journal
mkdir -p "$(dirname "$PODMAP_CHECKPOINT")"
printf '%s' "$LEFT" >"$(dirname "$PODMAP_CHECKPOINT")/podmap-result-$PODMAP_KEY.json"
kill -KILL $PPID
sleep 60
"""
"""Leaves a result, then loses its wrapper, as if the node had gone."""


def leaving(left: str, **more: Any) -> dict[str, Any]:
    trial = {"checkpoint": "ckpt/{trial.number}", "env": {"LEFT": left}, **more.pop("trial", {})}
    return {"trial": trial, "retries": {"infra": 2}, **more}


def test_a_result_left_beside_the_checkpoint_counts(world: World) -> None:
    record = world.run(LEAVING, **leaving('{"y": 7, "outputs": {"model": "s3://b/m"}}'))[0]
    assert (COMPLETE, 7, {"model": "s3://b/m"}) == (record.state, record.objective, record.outputs)
    assert "the result was found at " in record.reason
    assert [1] == [attempt.number for attempt in record.attempts]
    assert record.attempts[0].finished == record.finished
    assert {0: 1} == world.starts()


VANISHING = f"""\
{GATED}
mkdir -p ckpt
printf '{{"y": 7}}' >"ckpt/podmap-result-$PODMAP_KEY.json"
echo "L $1" >>journal
"""
"""Waits at the gate, then leaves a result beside the checkpoint."""


def vanish(world: World, planned: PlannedRun, *, epoch: str) -> None:
    """Runs a trial to its end while nobody watches, and takes away what shows that end."""

    async def scenario() -> None:
        world.close_gate()
        backend = world.backend()
        run = asyncio.create_task(SweepRun(planned, backend, epoch=epoch, timing=TIMING).run())
        await world.started(1)
        run.cancel()
        await asyncio.wait([run])
        world.open_gate()
        await until(lambda: "L 0" in world.journal())
        for name in world.left():
            await backend.delete(name)

    world.play(scenario)


def test_a_trial_that_vanished_unseen_is_not_run_again_if_its_result_is_there(
    world: World,
) -> None:
    planned = world.plan(VANISHING, trial={"checkpoint": "ckpt/{trial.number}"})
    vanish(world, planned, epoch="e1")
    record = world.go(planned, epoch="e1")[0]
    assert (COMPLETE, 7, ()) == (record.state, record.objective, record.attempts)
    assert "the result was found at " in record.reason
    assert {0: 1} == world.starts()
    assert record == planned.ledger.read_record(0)


def test_of_a_trial_that_is_asked_for_anew_it_is_not_used(world: World) -> None:
    more: dict[str, Any] = {"trial": {"checkpoint": "ckpt/{trial.number}"}, "reuse": "none"}
    planned = world.plan(VANISHING, **more)
    vanish(world, planned, epoch="e1")
    record = world.go(planned, epoch="e2")[0]
    assert 2 == world.starts()[0]
    assert "e2" == record.epoch


@pytest.mark.parametrize(
    "left",
    ["", "{half", '{"z": 1}', '{"y": NaN}', "[]"],
    ids=["empty", "half", "other", "nan", "list"],
)
def test_what_is_no_result_there_is_not_used(world: World, left: str) -> None:
    record = world.run(LEAVING, **leaving(left))[0]
    assert (FAILED, 3) == (record.state, len(record.attempts))
    assert {0: 3} == world.starts()


def test_it_is_not_looked_for_before_the_first_attempt_of_an_asking(world: World) -> None:
    planned = world.plan(LEAVING, **leaving('{"y": 7}', reuse="none"))
    assert COMPLETE is world.go(planned, epoch="first")[0].state
    assert COMPLETE is world.go(planned, epoch="second")[0].state
    assert {0: 2} == world.starts()


def test_what_an_earlier_asking_left_is_not_used(world: World) -> None:
    planned = world.plan(
        f"[ -e old ] && exit 1; {LEAVING}", **leaving('{"y": 7}', retries={"user": 1, "infra": 1})
    )
    world.go(planned, epoch="first")
    (left,) = (world.folder / "ckpt").iterdir()
    os.utime(left, (0, 0))
    (world.folder / "old").touch()
    record = world.go(
        world.plan(
            f"[ -e old ] && exit 1; {LEAVING}",
            **leaving('{"y": 7}', retries={"user": 1}, reuse="none"),
        ),
        epoch="second",
    )[0]
    assert (FAILED, 2) == (record.state, len(record.attempts))


def test_a_store_that_cannot_be_asked_means_another_attempt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    trial = {"checkpoint": "nosuchprotocol://bucket/{trial.number}"}
    script = f'[ "$PODMAP_ATTEMPT" = 1 ] && exit 1; {OK}'
    record = world.run(script, trial=trial, retries={"user": 1})[0]
    assert (COMPLETE, 2) == (record.state, len(record.attempts))
    assert "so the trial is run" in caplog.text


@pytest.mark.parametrize(
    ("checkpoint", "uri"),
    [
        ("s3://b/ckpt/3", "s3://b/ckpt/podmap-result-k.json"),
        ("s3://b/ckpt/3/", "s3://b/ckpt/podmap-result-k.json"),
        ("/data/ckpt/3", "/data/ckpt/podmap-result-k.json"),
        ("/data/ckpt/3/", "/data/ckpt/podmap-result-k.json"),
        ("ckpt/3", "/runs/ckpt/podmap-result-k.json"),
        ("file:///data/a%20b/3", "/data/a b/podmap-result-k.json"),
    ],
)
def test_the_result_is_where_podmap_trial_leaves_it(checkpoint: str, uri: str) -> None:
    assert uri == result_uri(checkpoint, "k", folder="/runs")


@pytest.mark.parametrize("kind", ["path", "file uri", "memory"])
def test_podmap_trial_and_the_engine_agree(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {
        "path": f"{tmp_path}/ck/5",
        "file uri": (tmp_path / "c k" / "5").as_uri(),
        "memory": f"memory://{tmp_path}/ck/5",
    }
    for name in [name for name in os.environ if name.startswith("PODMAP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PODMAP_TRIAL", "5")
    monkeypatch.setenv("PODMAP_KEY", "abc")
    monkeypatch.setenv("PODMAP_CHECKPOINT", places[kind])
    podmap_trial.current().finish(y=0.5)
    assert {"final": {"y": 0.5}} == json.loads(capsys.readouterr().out.removeprefix("podmap: "))
    uri = result_uri(places[kind], "abc", folder="/")
    outcome = read_left_result(uri, objectives=["y"], since=iso(utc_now()))
    assert outcome
    assert 0.5 == outcome.objective
    assert None is read_left_result(f"{uri}.other", objectives=["y"], since=iso(utc_now()))


def test_a_trial_is_as_it_was_planned_whatever_its_record_says(world: World) -> None:
    first = world.plan(OK, 2)
    world.go(first)
    record = first.ledger.read_record(1)
    assert record is not None
    # Whoever writes the store must not decide what runs: these params do not make the key.
    first.ledger.write_file(
        "trials/1.json", json.dumps({**record.to_json(), "params": {"x": 1, "more": 2}}).encode()
    )
    changed = world.plan(OK, 2, cache_version="changed")

    async def scenario() -> list[Mapping[str, Any]]:
        trials = []
        for planned in (first, changed):
            async with world.session(planned) as session:
                trials += [await session.trial(0), await session.trial(1)]
        return [trial.params for trial in trials]

    assert [{"x": 0}, {"x": 1}, {"x": 0}, {"x": 1}] == world.play(scenario)
