"""Folders as Ray Tune leaves them, as records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search import ray_folder
from podmap.search.limits import TableLimits
from podmap.search.ray_folder import read_experiment
from podmap.spec.model import Objective

ACC = Objective(metric="eval/acc", direction="maximize")
BEST = Objective.model_validate({"metric": "eval/acc", "direction": "maximize", "from": "best"})


def trial(
    folder: Path, name: str, params: Any, reports: Iterable[Any] = (), *, error: bool = False
) -> Path:
    """The folder of a trial with the files that Ray's loggers write."""
    own = folder / name
    own.mkdir(parents=True)
    text = params if isinstance(params, str) else json.dumps(params, indent=2, sort_keys=True)
    (own / "params.json").write_text(text)
    (own / "params.pkl").write_bytes(b"cos\nsystem\n(S'touch pickled'\ntR.")
    lines = [one if isinstance(one, str) else json.dumps(one) for one in reports]
    (own / "result.json").write_text("".join(f"{line}\n" for line in lines))
    if error:
        (own / "error.txt").write_text("Traceback …")
    return own


def report(acc: Any, step: int) -> dict[str, Any]:
    more = {"training_iteration": step, "trial_id": "a1_00000", "done": False, "pid": 7}
    return {"eval": {"acc": acc, "n": 3}, "config": {"lr": 9.9}, "time_total_s": 1.5, **more}


def read(folder: Path, goal: Objective = ACC, **more: Any) -> list[Any]:
    found = read_experiment(
        folder.name, (goal,), key="search.learn_from[0]", folder=str(folder.parent), **more
    )
    return [(record.state.value, dict(record.params), dict(record.metrics)) for record in found]


def test_an_experiment(tmp_path: Path) -> None:
    folder = tmp_path / "exp"
    reports = [report(acc, step) for step, acc in enumerate((0.2, 0.9, 0.7), 1)]
    trial(folder, "train_a1_00000_0_lr=0.1", {"lr": 0.1, "net": {"width": 8}}, reports)
    trial(folder, "train_a1_00001_1_lr=0.2", {"lr": 0.2, "net": {"width": 9}}, [], error=True)
    trial(folder, "train_a1_00002_2_lr=0.3", {"lr": 0.3}, [report(float("nan"), 1)])
    trial(folder, "train_a1_00003_3_lr=0.4", {"lr": 0.4}, [{"other": 1}])
    (folder / "experiment_state-2026.json").write_text("{}")
    (folder / "driver_artifacts").mkdir()
    expected = [
        ("COMPLETE", {"lr": 0.1, "net.width": 8}, {"eval/acc": 0.7}),
        ("FAILED", {"lr": 0.2, "net.width": 9}, {}),
        ("FAILED", {"lr": 0.3}, {}),
        ("COMPLETE", {"lr": 0.4}, {}),
    ]
    assert expected == read(folder)
    assert {"eval/acc": 0.9} == read(folder, BEST)[0][2]
    assert not Path("pickled").exists()


def test_the_table_is_read_where_there_are_no_lines(tmp_path: Path) -> None:
    own = trial(tmp_path / "exp", "t0", {"lr": 0.1})
    (own / "result.json").unlink()
    (own / "progress.csv").write_text(
        "eval/acc,trial_id,config/lr\n0.5,1e5,0.1\n,x,0.1\n0.75,x,0.1\n"
    )
    trial(tmp_path / "exp", "t1", {"lr": 0.2})
    (tmp_path / "exp/t1/result.json").unlink()
    assert [{"eval/acc": 0.75}, {}] == [metrics for _, _, metrics in read(tmp_path / "exp")]


@pytest.mark.parametrize(
    ("params", "reports"),
    [
        ("{", ()),
        ("[1]", ()),
        ("[" * 5000, ()),
        ('{"x": ' * 200 + "1" + "}" * 200, ()),
        ({"lr": 1}, ["{"]),
        ({"lr": 1, "text": "x" * 3000}, ()),
        ({"lr": 1}, ["x" * 3000]),
        ({"lr": 1}, ['{"eval": {"acc": ' + "9" * 400 + "}}"]),
    ],
    ids=["cut", "a list", "deep", "deeper", "a cut line", "large", "a long line", "no float"],
)
def test_a_trial_that_cannot_be_understood_costs_itself_alone(
    tmp_path: Path, params: Any, reports: Any
) -> None:
    trial(tmp_path / "exp", "t0", params, reports)
    trial(tmp_path / "exp", "t1", {"lr": 0.2}, [report(1, 1)])
    found = read(tmp_path / "exp", limits=TableLimits(line_bytes=2000))
    assert [("UNKNOWN", {}, {}), ("COMPLETE", {"lr": 0.2}, {"eval/acc": 1.0})] == found


def test_params_that_are_no_file_cost_their_trial_alone(tmp_path: Path) -> None:
    for name, target in (("t0", "nowhere"), ("t1", "/dev/zero"), ("t2", "/etc")):
        own = trial(tmp_path / "exp", name, {})
        (own / "params.json").unlink()
        (own / "params.json").symlink_to(target)
    trial(tmp_path / "exp", "t3", {"lr": 0.2}, [report(1, 1)])
    found = read(tmp_path / "exp")
    assert [*[("UNKNOWN", {}, {})] * 3, ("COMPLETE", {"lr": 0.2}, {"eval/acc": 1.0})] == found


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    own = trial(tmp_path / "exp", "t0", {"lr": 0.1})
    (own / "result.json").unlink()
    os.mkfifo(own / "result.json")
    assert [("COMPLETE", {"lr": 0.1}, {})] == read(tmp_path / "exp")


def test_no_experiment_and_one_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match=r"has no trials of Ray Tune: there is no \*/params.json"):
        read(tmp_path / "none")
    for number in range(3):
        trial(tmp_path / "exp", f"t{number}", {"lr": number})
    monkeypatch.setattr(ray_folder, "MOST_TRIALS", 2)
    with pytest.raises(SpecError, match="has 3 trials; at most 2 are read"):
        read(tmp_path / "exp")
