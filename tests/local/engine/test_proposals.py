"""Searches that learn, over real ledgers: whoever asks, and after whatever was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.local.engine.planned import plan

from podmap.engine.planned import PlannedRun
from podmap.engine.proposals import Learner
from podmap.records import Record, TrialState
from podmap.search.adaptive.asker import Asker, NoAnswerError
from podmap.search.adaptive.child import Conversation, setting_to_json
from podmap.search.adaptive.past import PastTrial, SamplerSetting
from podmap.search.adaptive.samplers import SAMPLERS
from podmap.search.adaptive.space import Point, Space
from podmap.spec.search import Range
from podmap.testing import SweepTest, fail

TRIALS, AT_ONCE = 12, 4
PARAMS = {"x": {"low": -5.0, "high": 10.0}, "n": {"low": 1, "high": 9}}


def spec(kind: str = "tpe", **search: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "learn",
        "search": {"kind": kind, "trials": TRIALS, "seed": 3, "params": PARAMS, **search},
        "objective": {"metric": "loss", "direction": "minimize"},
        "parallelism": AT_ONCE,
        "trial": {"command": ["train", "{params.x}"]},
    }


class Here:
    """Asks a sampler in this process, by the messages that another one would get."""

    def __init__(self, planned: PlannedRun) -> None:
        search: Any = planned.sweep.search
        goals, rules = len(planned.objectives), tuple(search.constraints)
        setting = SamplerSetting(Space(search.params), search.seed, goals, constraints=rules)
        self._conversation = Conversation()
        self._conversation.answer({"kind": search.kind, "open": setting_to_json(setting)})

    def suggest(self, number: int, past: Mapping[int, Sequence[PastTrial]]) -> Point:
        told = {str(at): [one.to_json() for one in every] for at, every in past.items()}
        answer = self._conversation.answer({"ask": number, "told": told})
        if "point" not in answer:
            raise NoAnswerError(answer["error"])
        point: Point = answer["point"]
        return point

    def close(self) -> None:
        pass


def run(
    planned: PlannedRun, learners: Sequence[Learner], *, killed_at: int | None = None
) -> dict[int, Mapping[str, Any]]:
    """The params of all trials, asked by turns, each ended when its slot is asked for again.

    At a kill all that is not in the ledger is gone: the learners are made anew.
    """
    params: dict[int, Mapping[str, Any]] = {}
    running: list[Record] = []
    for number in range(planned.plan.count):
        if len(running) == AT_ONCE:
            one = running.pop(0)
            value = (one.params["x"] - 1) ** 2 + one.params["n"]
            finished = f"2026-01-01T00:00:{number:02d}.000Z"
            ended = Record(
                one.number,
                one.key,
                one.epoch,
                TrialState.COMPLETE,
                params=one.params,
                seed=one.seed,
                metrics={"loss": value},
                objective=value,
                finished=finished,
            )
            assert planned.ledger.write_record(ended)
            learners[one.number % len(learners)].note(ended)
        if number == killed_at:
            learners[0].propose(number)  # and killed before its record is written
            learners = [Learner(planned, asker=Here(planned)) for _ in learners]
        trial = learners[number % len(learners)].propose(number)
        params[number] = trial.params
        record = Record(
            number, trial.key, "e1", TrialState.RUNNING, params=trial.params, seed=trial.seed
        )
        assert planned.ledger.write_record(record)
        running.append(record)
    return params


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("kind", sorted(SAMPLERS))
def test_killed_at_any_trial_the_same_are_suggested(
    tmp_path: Path, kind: str, processes: int
) -> None:
    def go(name: str, killed_at: int | None) -> dict[int, Mapping[str, Any]]:
        planned = plan(tmp_path / name, spec(kind))
        learners = [Learner(planned, asker=Here(planned)) for _ in range(processes)]
        return run(planned, learners, killed_at=killed_at)

    expected = go("whole", None)
    assert TRIALS == len({str(each) for each in expected.values()})
    for killed_at in range(0, TRIALS, 1 if kind != "gp" else 5):
        assert expected == go(f"killed{killed_at}", killed_at)


def train(params: Mapping[str, Any]) -> dict[str, float]:
    return {"loss": (params["x"] - 1) ** 2 + params["n"]}


@pytest.fixture
def asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the sampler of a run asked in this process, which is the same and sooner there."""

    def make(planned: PlannedRun, **more: Any) -> Learner:
        return Learner(planned, asker=Here(planned), **more)

    monkeypatch.setattr("podmap.engine.session.Learner", make)


@pytest.mark.usefixtures("asked_here")
def test_a_whole_run_learns_and_its_records_say_what_was_tried(tmp_path: Path) -> None:
    first = {"x": 2.5, "n": 4}
    found = SweepTest(spec(try_first=[first], trials=24)).run(tmp_path, train=train)
    assert {"COMPLETE": 24} == found.counts
    assert first == found.records[0].params
    assert all(record.key and record.params.keys() == PARAMS.keys() for record in found.records)
    early, late = ([abs(r.params["x"] - 1) for r in part] for part in _halves(found.records[1:]))
    assert sum(late) < sum(early)


@pytest.mark.usefixtures("asked_here")
@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_every_trial_of_a_run_meets_the_constraints(tmp_path: Path, kind: str) -> None:
    rule = "params.x * params.n <= 9 and params.x >= 0"
    found = SweepTest(spec(kind, constraints=[rule])).run(tmp_path, train=train)
    assert {"COMPLETE": TRIALS} == found.counts
    assert all(0 <= one.params["x"] * one.params["n"] <= 9 for one in found.records)
    assert TRIALS == len({str(dict(one.params)) for one in found.records})


def test_a_grid_with_constraints_is_the_same_for_whoever_opens_the_run(tmp_path: Path) -> None:
    search = {"kind": "grid", "params": {"a": [1, 2, 3], "b": [1, 2, 3]}}
    given = {**spec(), "search": {**search, "constraints": ["params.a * params.b <= 3"]}}
    planned = plan(tmp_path, {**given, "trial": {"command": ["train", "{params.a}"]}})
    again = PlannedRun.open(planned.ledger.run_uri)
    expected = [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]
    for one in (planned, again):
        assert expected == [(t.params["a"], t.params["b"]) for t in one.plan.trials()]


def _halves(records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]]:
    return records[: len(records) // 2], records[len(records) // 2 :]


@pytest.mark.usefixtures("asked_here")
def test_a_trial_that_is_tried_again_keeps_its_params(tmp_path: Path) -> None:
    again = {**spec(), "retries": {"user": 1}}
    found = SweepTest(again).run(tmp_path, train=train, failures=[fail.exit_code(trial=9)])
    assert {"COMPLETE": TRIALS} == found.counts
    assert [1, 2] == [attempt.number for attempt in found.records[9].attempts]


@pytest.mark.usefixtures("asked_here")
def test_repeats_share_what_was_suggested_for_them(tmp_path: Path) -> None:
    found = SweepTest(spec(repeats=3, trials=6)).run(tmp_path, train=train)
    params = [str(dict(record.params)) for record in found.records]
    assert [params[number - number % 3] for number in range(18)] == params
    assert 6 == len(set(params))
    assert 18 == len({record.seed for record in found.records})


def test_a_record_that_the_search_would_not_make_is_asked_for_anew(tmp_path: Path) -> None:
    planned = plan(tmp_path, spec())
    trial = Learner(planned, asker=Here(planned)).propose(0)
    assert not trial.example
    record = Record(0, trial.key, "e1", TrialState.RUNNING, params=trial.params, seed=trial.seed)
    assert trial == planned.trial(0, record)
    outside = {**trial.params, "x": 99.0}
    for wrong in (outside, {"x": 1.0}, {**trial.params, "more": 1}, {}):
        changed = Record(0, trial.key, "e1", TrialState.RUNNING, params=wrong)
        assert planned.trial(0, changed).example
    other_key = Record(0, "f" * 16, "e1", TrialState.RUNNING, params=trial.params)
    assert planned.trial(0, other_key).example


class Broken:
    """An asker whose sampler never gives anything that can be used."""

    def __init__(self, point: Point | None) -> None:
        self.asked = 0
        self._point = point

    def suggest(self, number: int, past: Any) -> Point:
        self.asked += 1
        if self._point is None:
            raise NoAnswerError("ValueError: no")
        return self._point

    def close(self) -> None:
        pass


@pytest.mark.parametrize("point", [None, {}, {"x": 1.0}, {"x": float("nan"), "n": 2}])
def test_what_a_sampler_does_wrong_is_told_once_and_a_random_draw_takes_its_place(
    tmp_path: Path, point: Point | None, caplog: pytest.LogCaptureFixture
) -> None:
    planned = plan(tmp_path, spec())
    broken = Broken(point)
    learner = Learner(planned, asker=broken)
    found = [learner.propose(number) for number in range(3)]
    assert [planned.plan.trial(number).params for number in range(3)] == [t.params for t in found]
    assert [False] * 3 == [trial.example for trial in found]
    assert (1, 3) == (len(caplog.records), broken.asked)


SPACE = Space({"x": Range(low=0.0, high=1.0)})


def test_a_process_that_dies_is_started_anew_and_knows_all(tmp_path: Path) -> None:
    past = {n: [PastTrial(n, {"x": n / 20}, "complete", (abs(n - 9.0),))] for n in range(12)}
    asker = Asker("tpe", SamplerSetting(SPACE, 5))
    try:
        first = asker.suggest(12, past)
        asker._process.kill()  # type: ignore[union-attr]  # as the kernel does for memory
        asker._process.wait()  # type: ignore[union-attr]
        assert first == asker.suggest(12, past)
    finally:
        asker.close()


def test_a_sampler_that_hangs_is_given_up_and_its_process_ended() -> None:
    asker = Asker("tpe", SamplerSetting(SPACE, 5), within_s=0.0)
    with pytest.raises(NoAnswerError, match="no answer within 0 s"):
        asker.suggest(0, {})
    assert asker._process is None


def test_a_sampler_that_hangs_while_it_is_asked_is_closed_at_once() -> None:
    asker = Asker("tpe", SamplerSetting(SPACE, 5), within_s=3600.0)
    asker.suggest(0, {})
    process = asker._process
    assert process is not None
    os.killpg(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(asker.suggest, 1, {})
        while not asker._lock.locked():
            time.sleep(0.001)
        asker.close()
        with pytest.raises(NoAnswerError, match=r"its process ended|it was closed"):
            asked.result(30)
    assert process.wait(30) == -signal.SIGKILL
    assert asker._process is None


def test_a_sampler_that_raises_answers_with_why() -> None:
    conversation = Conversation()
    conversation.answer({"kind": "tpe", "open": setting_to_json(SamplerSetting(SPACE, 5))})
    told = {"0": [[0, {"y": 1}, "complete", [1.0], 0.0, ""]]}
    assert "KeyError" in conversation.answer({"ask": 1, "told": told})["error"]
