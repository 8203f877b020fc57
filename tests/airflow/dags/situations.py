"""DAGs for what happens around a sweep: skips, failures, timeouts, callbacks, setups."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, dag, task

from podmap.airflow import sweep

SCRATCH = Path(os.environ.get("SWEEP_TEST_SCRATCH", "/nonexistent"))
HELD: dict[str, Any] = {
    "backend": "process",
    "overrides": {"trial.env.SWEEP_TEST_SCRATCH": str(SCRATCH)},
}


TAG = "{{ dag_run.conf['tag'] }}"


def trials(tag: str = TAG, count: int = 2) -> list[dict[str, Any]]:
    """Trials that last as long as the file `hold` of their tag is there."""
    return [{"exp_id": f"e{index}", "lr": 1.0, "tag": tag} for index in range(count)]


def held(dag_id: str, **options: Any) -> None:
    """A DAG of a sweep alone, whose trials are held by the tag of the run."""
    with DAG(dag_id, schedule=None, **options):
        sweep("found.yaml", experiments=trials(), **HELD)


@dag(schedule=None)
def short_circuit() -> None:
    @task.short_circuit
    def is_new_data() -> bool:
        return False

    @task
    def after() -> None: ...

    is_new_data() >> sweep("found.yaml", experiments=trials("skipped"), **HELD) >> after()


@dag(schedule=None)
def fails_before() -> None:
    @task
    def before() -> None:
        raise ValueError("no data today")

    @task
    def after() -> None: ...

    before() >> sweep("found.yaml", experiments=trials("unrun"), **HELD) >> after()


@dag(schedule=None)
def waits_before() -> None:
    """The task before the sweep lasts as long as a file is there."""

    @task
    def before(**context: Any) -> None:
        tag = context["dag_run"].conf["tag"]
        (SCRATCH / tag / "started").touch()
        while (SCRATCH / tag / "hold-before").exists():
            time.sleep(0.05)

    @task
    def after() -> None: ...

    run = sweep("found.yaml", experiments=trials(count=1), **HELD)
    before() >> run >> after()


def called(context: dict[str, Any]) -> None:
    """Notes what a callback is given."""
    ti, error = context["ti"], context.get("exception")
    why = f"{type(error).__name__}: {error}".splitlines()[0] if error else ""
    with (SCRATCH / "called").open("a") as notes:
        notes.write(json.dumps([ti.task_id, ti.map_index, why]) + "\n")


@dag(schedule=None)
def called_back() -> None:
    sweep(
        "found.yaml",
        experiments=trials("callback"),
        task_args={"on_failure_callback": called, "on_success_callback": called},
        **HELD,
    )


@dag(schedule=None)
def set_up() -> None:
    """The sweep between a setup and a teardown of the DAG's own."""

    @task
    def start() -> None: ...

    @task
    def stop() -> None: ...

    setup = start().as_setup()
    run = sweep("found.yaml", experiments=trials("setup", 1), **HELD)
    setup >> run >> stop().as_teardown(setups=setup)


held("held")
held(
    "held_and_paused",
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=1),
        callback=AsyncCallback(
            "deadline_note.note_deadline", kwargs={"path": str(SCRATCH / "paused" / "deadline")}
        ),
    ),
)
short_circuit()
fails_before()
waits_before()
called_back()
set_up()
