"""A run of a spec as it is planned for this process alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.spec.load import load


def plan(folder: Path, given: Mapping[str, Any]) -> PlannedRun:
    return prepare_run(
        load(given),
        store=str(folder),
        run_id="0" * 8,
        owner={"kind": "test"},
        folder=str(folder),
        target=Target("process"),
    )
