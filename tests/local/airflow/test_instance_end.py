"""What Airflow is told of trials that no worker runs: callbacks, XComs, links, priority."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

from podmap.airflow import settings, sweep
from podmap.airflow.callbacks import FailureCallback, TrialCallbacks, call_for_trials
from podmap.airflow.exceptions import OutOfMemory, UserExit
from podmap.airflow.instance_end import end_xcoms
from podmap.airflow.links import RECORD_KEY
from podmap.ledger.ledger import Ledger
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

pytestmark = pytest.mark.airflow

OOM = Diagnosis(Category.OOM, "killed for memory", "limit 1Gi", "ask for more")
LOG = logging.getLogger("collect")


class Instance(SimpleNamespace):
    """A task instance, as far as Airflow's is asked."""

    @classmethod
    def model_construct(cls, **values: Any) -> Instance:
        return cls(**values)


def context() -> dict[str, Any]:
    ti = Instance(dag_id="d", run_id="r", dag_version_id=None, _ti_context_from_server=None)
    task = SimpleNamespace(dag=SimpleNamespace(get_task=lambda name: f"the task {name}"))
    return {"ti": ti, "task": task, "params": {"p": 1}}


def record(number: int, state: TrialState, finished: str = "2026-01-01T00:00:05Z") -> Record:
    attempts = (Attempt(2, "pod", diagnosis=OOM),) if state is TrialState.FAILED else ()
    started = "2026-01-01T00:00:01Z"
    return Record(
        number, "k", "e", state, attempts=attempts, started=started, finished=finished, reason="why"
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.open(str(tmp_path / "run"))
    states = (TrialState.COMPLETE, TrialState.FAILED, TrialState.CANCELLED, TrialState.PRUNED)
    for number, state in enumerate(states):
        ledger.write_record(record(number, state))
    return ledger


def call(ledger: Ledger, size: int = 1) -> list[tuple[str, int]]:
    called: list[tuple[str, int]] = []
    callbacks = TrialCallbacks(
        "trials",
        success=(lambda given: called.append(("success", given["ti"].map_index)),),
        skipped=(lambda given: called.append(("skipped", given["ti"].map_index)),),
    )
    call_for_trials(callbacks, context(), ledger, size=size, log=LOG)
    return called


def test_collect_calls_for_trials_that_ended_well_or_were_skipped(ledger: Ledger) -> None:
    assert [("success", 0), ("skipped", 2), ("success", 3)] == call(ledger)


def test_collect_calls_once_for_each_end(ledger: Ledger) -> None:
    call(ledger)
    ledger.write_record(replace(record(1, TrialState.COMPLETE, "2026-01-02T00:00:00Z"), epoch="f"))
    assert [("success", 1)] == call(ledger)
    assert [] == call(ledger)


def test_an_instance_with_several_trials_is_called_for_once(ledger: Ledger) -> None:
    assert [("success", 1)] == call(ledger, size=2)


def test_a_callback_is_given_the_instance_with_its_own_times(ledger: Ledger) -> None:
    given: list[Mapping[str, Any]] = []
    callbacks = TrialCallbacks("sweep.trials", success=(given.append,))
    call_for_trials(callbacks, context(), ledger, size=1, log=LOG)
    first = given[0]
    assert ("sweep.trials", "d", "r", "success") == (
        first["ti"].task_id,
        first["ti"].dag_id,
        first["ti"].run_id,
        first["ti"].state,
    )
    assert 4 == (first["ti"].end_date - first["ti"].start_date).total_seconds()
    assert ("the task sweep.trials", {"p": 1}) == (first["task"], first["params"])
    assert [0] == [each.number for each in first["records"]]


def test_a_callback_that_fails_is_logged_and_the_others_are_called(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    given: list[Any] = []

    def fails(context: Any) -> None:
        raise ValueError("no such channel")

    callbacks = TrialCallbacks("trials", success=(fails, given.append))
    call_for_trials(callbacks, context(), ledger, size=1, log=LOG)
    assert 2 == len(given)
    assert "error in callback fails of trials[0]" in caplog.text
    assert "no such channel" in caplog.text


def test_what_was_called_is_asked_anew_where_it_cannot_be_read(ledger: Ledger) -> None:
    ledger.write_file("called.json", b"{")
    assert 3 == len(call(ledger))


def failing(left: Any) -> Any:
    ti = SimpleNamespace(task_id="trials", map_index=1, xcom_pull=lambda **_: left)
    found: list[Any] = []
    FailureCallback(lambda context: found.append(context["exception"]))(
        {"ti": ti, "exception": None}
    )
    return found[0]


@pytest.mark.parametrize("encoded", [False, True])
def test_a_failure_has_the_exception_of_its_trial(encoded: bool) -> None:
    failed = [record(4, TrialState.FAILED), record(5, TrialState.FAILED)]
    left = end_xcoms(failed, ())["failure"]
    error = failing(json.dumps(left) if encoded else left)
    assert (OutOfMemory, 4, 2, OOM, (5,)) == (
        type(error),
        error.number,
        error.attempt,
        error.diagnosis,
        error.others,
    )
    assert "trial 4, attempt 2: oom: killed for memory" in str(error)
    assert "these trials failed, too: 5" in str(error)


def test_a_failure_that_left_nothing_says_where_the_reason_is() -> None:
    assert "trials[1] has failed; its log says why" in str(failing(None))


def test_an_exception_that_is_there_stays() -> None:
    error = UserExit(1, 1, OOM)
    found: list[Any] = []
    FailureCallback(lambda context: found.append(context["exception"]))({"exception": error})
    assert [error] == found


def test_the_times_of_a_trial_are_an_xcom() -> None:
    trial = replace(record(0, TrialState.COMPLETE), metrics={"y": 1.0}, queued_s=3.0)
    times = {
        "started": trial.started,
        "finished": trial.finished,
        "queued_s": 3.0,
        "duration_s": None,
    }
    assert {"y": 1.0, "times": times} == end_xcoms([trial], ["y"])
    assert {} == end_xcoms([trial, trial], ["y"])


@pytest.mark.parametrize(
    ("template", "link"),
    [
        ("https://files.example.com/podmap/", "https://files.example.com/podmap/s/r%201/a.json"),
        ("http://web/?p={path}&raw", "http://web/?p=s/r%201/a.json&raw"),
        ("javascript:alert(1)", ""),
        ("", ""),
    ],
)
def test_a_browser_finds_a_file_of_the_store(
    monkeypatch: pytest.MonkeyPatch, template: str, link: str
) -> None:
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", "s3://bucket/podmap")
    monkeypatch.setenv("AIRFLOW__PODMAP__BROWSE_URL", template)
    assert link == settings.browse_url("s3://bucket/podmap/s/r 1/a.json")
    assert not settings.browse_url("s3://other/s/r 1/a.json")
    assert (template.startswith("javascript")) == bool(settings.browse_problem())


def test_the_link_to_a_record_is_where_airflow_looks_for_it() -> None:
    again = DagSerialization.from_dict(DagSerialization.to_dict(_sweep_alone()))
    links = again.get_task("sweep.trials").operator_extra_links
    assert [("Record", RECORD_KEY)] == [(link.name, link.xcom_key) for link in links]
    trial = record(0, TrialState.COMPLETE)
    assert "https://x" == end_xcoms([trial], (), link="https://x")[RECORD_KEY]


def test_trials_come_last_where_a_triggerer_takes_over() -> None:
    with DAG("weighed", schedule=None, default_args={"priority_weight": 7}) as weighed:
        sweep("s.yaml") >> BaseOperator(task_id="after")
    assert [0, 7] == [_weight(_sweep_alone()), _weight(weighed)]


def _weight(dag: DAG) -> int:
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("sweep.trials")
    weight: int = task.weight_rule.get_weight(SimpleNamespace(task=task))
    return weight


def _sweep_alone() -> DAG:
    with DAG("alone", schedule=None) as dag:
        sweep("s.yaml")
    return dag
