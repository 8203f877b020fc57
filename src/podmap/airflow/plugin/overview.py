"""Lists of sweeps in Airflow: those of a DAG run, and the newest of all that a user may read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from podmap.airflow import settings
from podmap.airflow.plugin import rights
from podmap.airflow.plugin.sweeps import (
    FoundSweep,
    ServedSweeps,
    dags_of_sweeps,
    newest_sweeps,
    sweeps_of,
)
from podmap.server.answer import Answer
from podmap.server.run_lines import RunLines, list_answer

Key = tuple[str, str, str]


class Overview:
    """Lists sweeps. Thread-safe; every call may block."""

    def __init__(self, sweeps: ServedSweeps) -> None:
        """Nothing is read yet.

        Args:
            sweeps: The runs.
        """
        self._sweeps = sweeps
        self._lines: RunLines[Key] = RunLines()

    def of_run(self, dag_id: str, run_id: str) -> Answer:
        """The sweeps of a DAG run; those whose run cannot be shown say why."""
        return self._answer(sweeps_of(dag_id, run_id))

    def of_user(self, user: rights.BaseUser) -> Answer:
        """The newest sweeps of the DAGs that a user may read."""
        may = rights.readable(user, dags_of_sweeps())
        return self._answer(newest_sweeps(may) if may else [])

    def _answer(self, found: Sequence[FoundSweep]) -> Answer:
        by_key = {(sweep.dag_id, sweep.run_id, sweep.group_id): sweep for sweep in found}
        lines = self._lines.read(by_key, lambda key: self._sweeps.served(by_key[key]).listed())
        return list_answer(settings.store(), [_line(key, line) for key, line in lines.items()])


def _line(key: Key, line: dict[str, Any]) -> dict[str, Any]:
    """With the names by which Airflow knows the sweep, also where its run cannot be read."""
    dag_id, run_id, group_id = key
    owner = {"kind": "airflow", "dag_id": dag_id, "run_id": run_id, "group_id": group_id}
    named = {"owner": owner, "group_id": group_id, "dag_id": dag_id, "run_id": run_id}
    if not line["key"]:
        named |= {"key": "/".join(key), "sweep": group_id}
    return {**line, **named}
