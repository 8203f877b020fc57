"""What the Airflow tests are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local_airflow import LocalAirflow


@dataclass(frozen=True)
class Deployment:
    """A running Airflow and the folders that its trials write to; `edited` is one of DAG files."""

    airflow: LocalAirflow
    store: Path
    scratch: Path
    edited: Path
