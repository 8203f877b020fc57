"""Runs pieces of DAG files in the installed Airflow, and says what it made of each.

A process of its own. Every line of standard input is JSON, name to code; it is answered by one
line of standard output: JSON, name to `{"error", "warnings", "tasks", "result"}`, where `result`
is what the code left in that name.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any
from unittest import mock


def try_out(code: str) -> dict[str, Any]:
    """What one piece of code does: its error, its warnings, the tasks of its `with DAG(...)`."""
    from airflow.sdk import DAG

    dags: list[DAG] = []
    enter = DAG.__enter__

    def note(dag: DAG) -> DAG:
        dags.append(dag)
        return enter(dag)

    names: dict[str, Any] = {"__name__": "a_dag_file"}
    error = None
    with warnings.catch_warnings(record=True) as caught, mock.patch.object(DAG, "__enter__", note):
        warnings.simplefilter("always")
        try:
            exec(compile(code, "<dag>", "exec"), names)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    return {
        "error": error,
        "warnings": [f"{each.category.__name__}: {each.message}" for each in caught],
        "tasks": {dag.dag_id: sorted(dag.task_ids) for dag in dags},
        "result": names.get("result"),
    }


def main() -> None:
    """Answers until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Airflow logs to standard output
    for line in sys.stdin:
        said = {name: try_out(code) for name, code in json.loads(line).items()}
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
