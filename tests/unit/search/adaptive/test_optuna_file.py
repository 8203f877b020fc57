"""Studies that Optuna wrote, into SQLite and journals, as records."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from podmap.errors import SpecError
from podmap.search.adaptive.optuna_file import read_study
from podmap.spec.model import Objective

optuna = pytest.importorskip("optuna")
pytest.importorskip("sqlalchemy")
LOSS = Objective(metric="loss", direction="minimize")
ACC = Objective(metric="acc", direction="maximize")


def storage(path: Path) -> Any:
    if path.suffix == ".db":
        return f"sqlite:///{path}"
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def make_study(path: Path, name: str = "s", directions: tuple[str, ...] = ("minimize",)) -> Any:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(storage=storage(path), study_name=name, directions=directions)


def fill(study: Any) -> None:
    """A trial of each kind."""
    for number in range(5):
        trial = study.ask()
        trial.suggest_float("lr", 1e-4, 1.0, log=True)
        trial.suggest_categorical("kernel", ["rbf", None, True])
        trial.report(0.5 + number, step=1)
        trial.report(0.25 + number, step=3)
        if number == 0:
            study.tell(trial, 2.5)
        elif number == 1:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif number == 2:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif number == 3:
            study.tell(trial, float("inf"))


def read(place: str, folder: Path, *goals: Objective, **more: Any) -> list[Any]:
    return read_study(
        place, goals or (LOSS,), key="search.learn_from[0]", folder=str(folder), **more
    )


@pytest.mark.parametrize("name", ["s.db", "s.log"])
def test_trials_of_each_kind(tmp_path: Path, name: str) -> None:
    study = make_study(tmp_path / name)
    fill(study)
    records = read(f"{name}#s", tmp_path)
    assert [
        ("COMPLETE", {"loss": 2.5}),
        ("PRUNED", {"loss": 1.25}),
        ("FAILED", {}),
        ("FAILED", {}),
        ("RUNNING", {}),
    ] == [(record.state.value, record.metrics) for record in records]
    assert [trial.params for trial in study.trials] == [record.params for record in records]


@pytest.mark.parametrize("form", ["{0}", "sqlite:///{0}", "file://{0}"])
def test_the_one_study_of_a_file_needs_no_name(tmp_path: Path, form: str) -> None:
    fill(make_study(tmp_path / "s.db"))
    assert 5 == len(read(form.format(tmp_path / "s.db"), tmp_path))


def test_the_file_stays_as_it_is_and_what_is_not_in_it_yet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    fill(make_study(path))
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("PRAGMA wal_autocheckpoint=0")
    other.execute("UPDATE trial_values SET value = 7.5 WHERE value = 2.5")
    other.commit()
    before = path.read_bytes()
    assert {"loss": 7.5} == read("s.db", tmp_path)[0].metrics
    assert before == path.read_bytes()
    other.close()


def test_several_objectives_in_order_or_by_their_names(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s.log", directions=("minimize", "maximize"))
    study.tell(study.ask(), (1.0, 2.0))
    assert {"loss": 1.0, "acc": 2.0} == read("s.log", tmp_path, LOSS, ACC)[0].metrics
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "acc"])
    assert {"acc": 2.0, "loss": 1.0} == read("s.log", tmp_path, ACC, LOSS)[0].metrics
    assert {"acc": 2.0} == read("s.log", tmp_path, ACC)[0].metrics


def test_what_was_exported_is_what_it_was(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s.log")
    for attributes in ({"podmap_trial": 0}, {}):
        dist = optuna.distributions.CategoricalDistribution(["[1, 2]", "[3]"])
        study.add_trial(
            optuna.trial.create_trial(
                value=1.0, params={"x": "[3]"}, distributions={"x": dist}, user_attrs=attributes
            )
        )
    assert [{"x": [3]}, {"x": "[3]"}] == [one.params for one in read("s.log", tmp_path)]


def two_studies(path: Path) -> None:
    make_study(path, "a")
    make_study(path, "b")


@pytest.mark.parametrize(
    ("name", "make", "asked", "goals", "told"),
    [
        ("s.db", two_studies, "", (LOSS,), "which study is not said; the file has: a, b"),
        ("s.db", two_studies, "#c", (LOSS,), "there is no study 'c'; the file has: a, b"),
        ("s.log", make_study, "", (ACC,), "the study s minimizes, and the direction of acc is max"),
        ("s.log", make_study, "", (LOSS, ACC), "has 1 objectives without names, and objective is"),
        ("s.log", lambda path: path.write_text("x\ny\n"), "", (LOSS,), "it is no study of Opt"),
        ("s.log", lambda path: path.write_text("[1]\n[2]\n"), "", (LOSS,), "it is no study"),
        ("s.log", lambda path: path.write_text(""), "", (LOSS,), "the file has: none"),
        ("s.db", lambda p: p.write_bytes(b"SQLite format 3\0xx"), "", (LOSS,), "it is no study"),
        ("s.db", lambda path: sqlite3.connect(path).execute("CREATE TABLE t (x)"), "", (LOSS,),
         "the file has: none"),
        ("s.db", lambda path: path.mkdir(), "", (LOSS,), "regular file|no such file"),
        ("s.db", lambda path: None, "", (LOSS,), "there is no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, make: Any, asked: str, goals: tuple[Objective, ...], told: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(SpecError, match=rf"search\.learn_from\[0\]: .*({told})"):
        read(name + asked, tmp_path, *goals)


def edited(path: Path, op: int, **fields: Any) -> None:
    """Changes what a line of a journal says, whoever wrote it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["op_code"] == op:
            line.update(fields)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize("state", ["COMPLETE", "PRUNED"])
@pytest.mark.parametrize(
    "value", [10**400, "a", None, [1], True], ids=["large", "text", "null", "list", "true"]
)
def test_a_value_that_is_no_number_is_none(tmp_path: Path, value: Any, state: str) -> None:
    path = tmp_path / "s.log"
    study = make_study(path)
    pruned = state == "PRUNED"
    trial = study.ask()
    trial.report(0.5, step=1)
    study.tell(trial, *([] if pruned else [1.5]), state=optuna.trial.TrialState[state])
    edited(path, 6, values=None if pruned else [value])
    edited(path, 7, intermediate_value=value)
    found = [(one.state.value, one.metrics) for one in read("s.log", tmp_path)]
    assert [("PRUNED" if pruned else "FAILED", {})] == found


@pytest.mark.parametrize("names", [5, ["a", "b", "loss"], [["loss"]], {"loss": 0}])
def test_names_of_metrics_that_are_none_are_said(tmp_path: Path, names: Any) -> None:
    study = make_study(tmp_path / "s.log")
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss"])
    study.tell(study.ask(), 1.0)
    edited(tmp_path / "s.log", 3, system_attr={"study:metric_names": names})
    with pytest.raises(
        SpecError, match=r"search\.learn_from\[0\]: (it is no study|the study s has)"
    ):
        read("s.log", tmp_path)


def test_a_file_that_is_too_large_and_a_database_are_refused(tmp_path: Path) -> None:
    make_study(tmp_path / "s.db")
    with pytest.raises(SpecError, match="larger than 1,000 bytes"):
        read("s.db", tmp_path, most_bytes=1000)
    with pytest.raises(SpecError, match="a study in a database is not opened") as caught:
        read("postgresql://me:secret@host/db#s", tmp_path)
    assert "secret" not in str(caught.value)
