"""The task `plan` without a server: what templates give, which experiments it takes, its errors."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from podmap.airflow import PlanOperator
from podmap.airflow.templates import RenderedText
from podmap.ledger.ledger import Ledger

pytestmark = pytest.mark.airflow

SPEC: dict[str, Any] = {
    "apiVersion": "podmap/v1",
    "name": "s",
    "search": {"kind": "list", "items": [{"x": 1}, {"x": 2}]},
    "objective": {"metric": "y", "direction": "maximize"},
    "trial": {"command": ["true"]},
}
GIVEN = {name: value for name, value in SPEC.items() if name != "search"}
GRID = {**SPEC, "search": {"kind": "grid", "params": {"model": ["a"]}}}


class Task:
    """A task `plan` of a DAG, as a worker runs it."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
        self.fileloc = tmp_path / "dag.py"
        self.operator: Any = None

    def render(self, spec: Any = SPEC, *, params: Any = None, native: bool = False, **given: Any):  # type: ignore[no-untyped-def]
        dag = DAG("d", schedule=None, render_template_as_native_obj=native)
        dag.fileloc = str(self.fileloc)
        with dag:
            self.operator = PlanOperator(task_id="s.plan", spec=spec, backend="process", **given)
        self.context: Any = {
            "dag_run": SimpleNamespace(dag_id="d", run_id="r", conf=params or {}),
            "params": params or {},
            "ds": "2024-05-01",
            "logical_date": datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc),
        }
        self.operator.render_template_fields(self.context)
        return self.operator

    def plan(self, spec: Any = SPEC, **given: Any) -> list[dict[str, Any]]:
        """The params of the trials that are planned."""
        from podmap.engine.planned import PlannedRun

        operator = self.render(spec, **given)
        pushed: dict[str, Any] = {}
        ti = SimpleNamespace(xcom_push=pushed.__setitem__)
        ti.xcom_push = lambda key, value: pushed.update({key: value})
        self.mapped = operator.execute({**self.context, "ti": ti})
        planned = PlannedRun.open(Ledger.open(pushed["run"]["uri"]))
        self.sweep = planned.sweep
        return [trial.params for trial in planned.plan.trials()]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    return Task(tmp_path, monkeypatch)


@pytest.mark.parametrize("native", [False, True], ids=["text", "native DAG"])
@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ params.models }}", ["svm", "mlp"]),
        ("{{- params.models -}}", ["svm", "mlp"]),
        ("{{ params.space }}", {"low": 1, "high": 2}),
        ("{{ params.n }}", 8),
        ("{{ params.n + 1 }}", 9),
        ("{{ params.none }}", None),
        ("{{ params.yes }}", True),
        ("{{ params.version }}", "1.10"),
        ("{{ params.n }}{{ params.n }}", "88"),
        ("v{{ params.n }}", "v8"),
        ("{{ ds }}", "2024-05-01"),
        ("{{ logical_date }}", "2024-05-01 00:00:00+00:00"),
        ("{% if params.yes %}a{% endif %}", "a"),
        ("{{ '{{ ds }}' }}", "{{ ds }}"),
        (["{{ params.n }}", "x"], [8, "x"]),
        ("no template", "no template"),
    ],
)
def test_a_template_that_stands_alone_keeps_its_type(
    task: Task, template: Any, value: Any, native: bool
) -> None:
    params = {"models": ["svm", "mlp"], "n": 8, "none": None, "yes": True, "version": "1.10"}
    params["space"] = {"low": 1, "high": 2}
    operator = task.render(params=params, native=native, overrides={"name": template})
    found = operator.overrides["name"]
    assert value == found
    assert isinstance(found, type(value))


def test_a_param_that_is_missing_is_an_error(task: Task) -> None:
    why = r"the template '{{ params.missing }}' cannot be filled in: .*no attribute 'missing'"
    with pytest.raises(AirflowFailException, match=why):
        task.render(overrides={"name": "{{ params.missing }}"})


def test_a_list_of_the_form_is_a_list_of_choices(task: Task) -> None:
    params = {"models": ["svm", "mlp"]}
    planned = task.plan(
        GRID, params=params, overrides={"search.params.model": "{{ params.models }}"}
    )
    assert [{"model": "svm"}, {"model": "mlp"}] == planned


@pytest.mark.parametrize(
    ("path", "given", "value"),
    [
        ("parallelism", "4", 4),
        ("cache_version", "2026.10", "2026.10"),
        ("trial.env.V", "1.10", "1.10"),
        ("trial.env.TEXT", "a: b", "a: b"),
        ("trial.env.TEXT", "{secret: prod, key: password}", "{secret: prod, key: password}"),
        ("search.params.model", "[svm, mlp]", ["svm", "mlp"]),
        ("search.params.model", "0.5", 0.5),
        ("search.params.model", "'0.5'", "0.5"),
    ],
)
def test_text_of_a_template_is_read_as_set_reads_it(
    task: Task, path: str, given: str, value: Any
) -> None:
    task.plan(GRID, params={"given": given}, overrides={path: "{{ params.given }}"})
    found: Any = task.sweep.model_dump()
    for part in path.split("."):
        found = found[part]
    assert value == found


def test_text_of_the_dag_file_stays_text(task: Task) -> None:
    assert [{"model": "0.5"}] == task.plan(GRID, overrides={"search.params.model": "0.5"})
    task.plan(GRID, overrides={"parallelism": "3"})
    assert 3 == task.sweep.parallelism


ROWS = [{"x": 1, "trial": {"command": ["id"]}}]


@pytest.mark.parametrize(
    "overrides",
    [
        {"search.items": "{{ params.rows }}"},
        {"search": {"kind": "list", "items": "{{ params.rows }}", "item_patches": "{{ 'all' }}"}},
        {"search.items": "{{ params.rows | tojson }}"},
        {"search.items[0]": "{{ params.rows[0] }}"},
        {"search.items[0].trial.command": "{{ params.rows[0].trial.command }}"},
    ],
)
def test_items_of_a_template_may_not_decide_what_runs(
    task: Task, overrides: dict[str, Any]
) -> None:
    with pytest.raises(AirflowFailException, match="data may not set command"):
        task.plan(params={"rows": ROWS}, overrides=overrides)


def test_items_of_a_template_may_where_the_spec_says_so(task: Task) -> None:
    spec = {**SPEC, "search": {"kind": "list", "item_patches": "all"}}
    assert [{"x": 1}] == task.plan(
        spec, params={"rows": ROWS}, overrides={"search.items": "{{ params.rows }}"}
    )
    assert [{"x": 1}] == task.plan({**SPEC, "search": {"kind": "list", "items": ROWS}})


def test_experiments_are_rendered_too(task: Task) -> None:
    given = [{"day": "{{ ds }}", "n": "{{ params.n }}"}]
    planned = task.plan(GIVEN, params={"n": 3}, experiments=given)
    assert [{"day": "2024-05-01", "n": 3}] == planned
    assert not any(isinstance(value, RenderedText) for value in planned[0].values())


def test_more_trials_than_instances_are_put_into_chunks(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    assert 8 == len(task.plan(GIVEN, experiments=[{"x": x} for x in range(8)]))
    assert [[0, 2], [3, 5], [6, 7]] == task.mapped


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"trials_per_task": 2}, "leave trials_per_task out, or raise it to 3"),
        ({}, ""),
    ],
)
def test_too_many_instances_say_what_to_do(
    task: Task, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], why: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    experiments = [{"x": x} for x in range(8)]
    if not why:
        task.plan({**GIVEN, **given}, experiments=experiments)
        return
    with pytest.raises(AirflowFailException, match=why):
        task.plan({**GIVEN, **given}, experiments=experiments)


def test_a_task_that_returns_nothing_is_told_as_such(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = task.render(GIVEN, experiments=[{"x": 1}])
    operator.experiments = None  # as the output of a task that returned None
    with pytest.raises(AirflowFailException, match="the task that gives them has returned nothing"):
        operator.execute({**task.context, "ti": None})


def test_an_error_is_logged_first_and_whole(task: Task, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AirflowFailException) as raised:
        task.plan({**SPEC, "parallelism": 0, "namee": "s"})
    text = str(raised.value)
    assert text in capsys.readouterr().out
    assert "parallelism" in text
    assert "did you mean 'name'" in text
    assert raised.value.__suppress_context__
    frames = []
    traceback = raised.value.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    assert ["tasks.py"] == [Path(name).name for name in frames if "/podmap/" in name]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("trial.env.TOKEN", {"secret": "prod", "key": "password"}),
        ("trial.env", {"TOKEN": {"secret": "prod", "key": "password"}}),
        ("trial", {"command": ["true"], "env": {"TOKEN": {"secret": "prod", "key": "password"}}}),
    ],
)
def test_a_template_asks_for_no_secret(task: Task, path: str, given: Any) -> None:
    with pytest.raises(AirflowFailException, match="may not ask for a secret"):
        task.plan(params={"given": given}, overrides={path: "{{ params.given }}"})


def test_a_spec_in_an_archive_says_where_it_is_looked_for(task: Task, tmp_path: Path) -> None:
    (tmp_path / "dags.zip").write_bytes(b"PK")
    task.fileloc = tmp_path / "dags.zip" / "dag.py"
    with pytest.raises(AirflowFailException, match="looked for in it"):
        task.plan("inside.yaml")
