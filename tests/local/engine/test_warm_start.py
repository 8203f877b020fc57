"""`search.learn_from`: a search is told of the trials of other runs before its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.cli.main import main
from podmap.engine import warm_start
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.proposals import Learner
from podmap.errors import SpecError
from podmap.records import Record, TrialState
from podmap.search.adaptive.past import PastTrial
from podmap.search.adaptive.space import Point
from podmap.spec.load import load
from podmap.uris import UriPolicy, use_policy

PARAMS = {"x": {"low": 0.0, "high": 10.0}, "k": ["a", "b"], "epochs": 3}


def spec(**search: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "warm",
        "search": {"kind": "tpe", "trials": 4, "params": PARAMS, **search},
        "objective": {"metric": "score", "direction": "maximize"},
        "trial": {"command": ["true"]},
    }


def plan(folder: Path, run_id: str = "0" * 8, **search: Any) -> PlannedRun:
    return prepare_run(
        load(spec(**search)),
        store=str(folder),
        run_id=run_id,
        owner={"kind": "test"},
        folder=str(folder),
        target=Target("process"),
    )


def end(run: PlannedRun, number: int, params: Any, score: float | None, **more: Any) -> None:
    trial = run.plan.proposed(number, params)
    state = more.pop("state", TrialState.COMPLETE if score is not None else TrialState.FAILED)
    metrics = {} if score is None else {"score": score, "loss": -score}
    record = Record(number, trial.key, "e1", state, params=params, metrics=metrics, **more)
    assert run.ledger.write_record(record)


@pytest.fixture
def former(tmp_path: Path) -> PlannedRun:
    """A run of which four trials fit the space, two of them with the same params."""
    run = plan(tmp_path, "aaaaaaaa", trials=12)
    good = {"x": 2.0, "k": "a", "epochs": 3}
    end(run, 0, good, 1.0)
    end(run, 1, good, 2.0)
    end(run, 2, {**good, "x": 4.0}, 7.0, state=TrialState.PRUNED)
    end(run, 3, {**good, "k": "b"}, None)
    end(run, 4, {**good, "x": 11.0}, 9.0)
    end(run, 5, {**good, "epochs": 4}, 9.0)
    end(run, 6, {**good, "epochs": 5}, 9.0)
    end(run, 7, {**good, "x": 5.0}, 3.0, state=TrialState.CANCELLED)
    return run


class Asked:
    """Takes note of what a sampler would be told."""

    def __init__(self) -> None:
        self.told: Mapping[int, Sequence[PastTrial]] = {}

    def suggest(self, number: int, past: Mapping[int, Sequence[PastTrial]]) -> Point:
        self.told = dict(past)
        return {"x": 1.0, "k": 0}

    def close(self) -> None:
        pass


def told(run: PlannedRun) -> list[tuple[int, dict[str, float], str, tuple[float, ...]]]:
    asked = Asked()
    Learner(run, asker=asked).propose(0)
    every = [one for place in asked.told.values() for one in place]
    return [(one.number, dict(one.point), one.state, one.values) for one in every]


@pytest.mark.parametrize("name", ["aaaaaaaa", "warm/aaaaaaaa", "URI"])
def test_it_is_told_of_what_fits_and_says_what_does_not(
    tmp_path: Path, former: PlannedRun, name: str
) -> None:
    run = plan(tmp_path, learn_from=[former.ledger.run_uri if name == "URI" else name])
    expected = [
        (-1, {"x": 2.0, "k": 0}, "complete", (-1.5,)),
        (-2, {"x": 4.0, "k": 0}, "complete", (-7.0,)),
        (-3, {"x": 2.0, "k": 1}, "failed", ()),
    ]
    assert expected == told(run)
    (line,) = run.warnings
    assert "4 trials are learnt from and 4 are left out: " in line
    assert "trial 4 (x: it must be from 0.0 to 10.0)" in line
    assert "trials 5, 6 (epochs: another constant); trial 7 (CANCELLED)" in line


def test_it_is_read_once_and_stands_in_the_manifest(tmp_path: Path, former: PlannedRun) -> None:
    run = plan(tmp_path, learn_from=["aaaaaaaa"])
    end(former, 8, {"x": 9.0, "k": "a", "epochs": 3}, 5.0)
    first = told(run)
    former.ledger.delete()
    assert first == told(PlannedRun.open(run.ledger.run_uri))
    assert 3 == len(first)


def test_a_real_sampler_begins_where_the_other_run_was_good(tmp_path: Path) -> None:
    other = plan(tmp_path, "bbbbbbbb", trials=30)
    for number in range(30):
        x = number / 3
        end(other, number, {"x": x, "k": "a", "epochs": 3}, -((x - 7.0) ** 2))
    run = plan(tmp_path, learn_from=["bbbbbbbb"], kind="gp")
    learner = Learner(run)
    try:
        assert 6.0 < learner.propose(0).params["x"] < 8.0
    finally:
        learner.close()


def test_of_very_many_some_are_kept_from_best_to_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_start, "MOST_LEARNT", 3)
    other = plan(tmp_path, "bbbbbbbb", trials=30)
    for number in range(9):
        end(other, number, {"x": float(number), "k": "a", "epochs": 3}, float(number))
    learnt = plan(tmp_path, learn_from=["bbbbbbbb"]).plan.learnt
    assert [(-8.0,), (-4.0,), (0.0,)] == [one.values for one in learnt]


def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, former: PlannedRun) -> None:
    with pytest.raises(SpecError, match=r"search\.learn_from\[1\]: there is no run 'cccccccc'"):
        plan(tmp_path, learn_from=["aaaaaaaa", "cccccccc"])
    with pytest.raises(SpecError, match=r"learn_from\[1\]: the run 'a' is given twice"):
        load(spec(learn_from=["a", "a"]))
    with pytest.raises(SpecError, match=r"learn_from\[0\]: '' is not allowed: a run is needed"):
        load(spec(learn_from=[""]))
    with pytest.raises(SpecError, match="qmc learns nothing"):
        load(spec(learn_from=["a"], kind="qmc"))


def test_the_plan_says_how_many(
    tmp_path: Path,
    former: PlannedRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PODMAP_STORE", str(tmp_path))
    file = tmp_path / "warm.json"
    file.write_text(json.dumps(spec(learn_from=["aaaaaaaa"])))
    assert 0 == main(["plan", str(file)])
    out, err = capsys.readouterr()
    assert "it is told of 3 trials of other runs first" in out
    assert "4 are left out" in err


def study_of(path: Path, trials: Sequence[tuple[Any, float]]) -> None:
    optuna = pytest.importorskip("optuna")
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    for params, value in trials:
        study.enqueue_trial(params)
        trial = study.ask()
        for name in params:
            trial.suggest_categorical(name, sorted({one[name] for one, _ in trials}))
        study.tell(trial, value)


def test_a_study_of_optuna_is_learnt_from(tmp_path: Path) -> None:
    """Constants of the space are taken for given; what all its trials have alike is no matter."""
    given = [
        ({"x": 2.0, "k": "a", "device": "cpu"}, 1.0),
        ({"x": 4.0, "k": "b", "device": "cpu"}, 7.0),
        ({"x": 40.0, "k": "b", "device": "cpu"}, 9.0),
    ]
    study_of(tmp_path / "s.log", given)
    run = plan(tmp_path, learn_from=["optuna:s.log#s"])
    expected = [
        (-1, {"x": 2.0, "k": 0}, "complete", (-1.0,)),
        (-2, {"x": 4.0, "k": 1}, "complete", (-7.0,)),
    ]
    assert expected == told(run)
    (line,) = run.warnings
    assert "of optuna:s.log#s 2 trials are learnt from and 1 are left out: trial 2 (x: it" in line
    (tmp_path / "s.log").unlink()
    assert expected == told(PlannedRun.open(run.ledger.run_uri))


def test_params_that_differ_and_that_the_space_has_not_keep_trials_out(tmp_path: Path) -> None:
    given = [({"x": 2.0, "k": "a", "q": 1}, 1.0), ({"x": 4.0, "k": "b", "q": 2}, 7.0)]
    study_of(tmp_path / "s.log", given)
    run = plan(tmp_path, learn_from=["optuna:s.log"])
    assert ([], True) == (told(run), "q: the params are others" in run.warnings[0])


def test_an_experiment_of_ray_tune_is_learnt_from(tmp_path: Path) -> None:
    for number, (params, score) in enumerate(
        [({"x": 2, "k": "a"}, 3.0), ({"x": 3, "k": "c"}, 4.0)]
    ):
        own = tmp_path / "exp" / f"trial_{number}"
        own.mkdir(parents=True)
        (own / "params.json").write_text(json.dumps({**params, "epochs": 3, "data": "/d"}))
        (own / "result.json").write_text(json.dumps({"score": score}) + "\n")
    run = plan(tmp_path, learn_from=["ray:exp"])
    assert [(-1, {"x": 2.0, "k": 0}, "complete", (-3.0,))] == told(run)
    assert "1 trials are learnt from and 1 are left out: trial 1 (k: 'a' or 'b'" in run.warnings[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("optuna:none.db", r"search\.learn_from\[0\]: .*none.db: there is no such file"),
        ("ray:none", r"search\.learn_from\[0\]: .*none has no trials of Ray Tune"),
        ("optuna:", "names no file or folder"),
    ],
)
def test_other_tools_that_left_nothing_are_errors(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        plan(tmp_path, learn_from=[given])


def test_data_of_other_tools_is_read_where_data_may_be_read(tmp_path: Path) -> None:
    study_of(tmp_path / "s.log", [({"x": 2.0, "k": "a"}, 1.0)])
    (tmp_path / "beside").mkdir()
    use_policy(lambda: UriPolicy(data_roots=()))
    try:
        with pytest.raises(SpecError, match="is not where data may be read from"):
            plan(tmp_path / "beside", learn_from=[f"optuna:{tmp_path}/s.log"])
        assert 1 == len(told(plan(tmp_path, learn_from=["optuna:s.log"])))
    finally:
        use_policy(None)
