"""What the Airflow tests are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_airflow import LocalAirflow
from local_postgres import LocalPostgres


@dataclass(frozen=True)
class Deployment:
    """A running Airflow and the folders that its trials write to; `edited` is one of DAG files.

    `database` is None where it is SQLite.
    """

    airflow: LocalAirflow
    store: Path
    scratch: Path
    edited: Path
    database: LocalPostgres | None = None
