"""Records and runs for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.records import Record, TrialState
from podmap.spec.model import Objective

ACCURACY = Objective(metric="accuracy", direction="maximize")
LOSS = Objective(metric="loss", direction="minimize")


def record(number: int, value: float | None = None, **changes: Any) -> Record:
    """A COMPLETE record with an accuracy, or a FAILED one without."""
    made = Record(
        number,
        f"k{number}",
        "e",
        TrialState.FAILED if value is None else TrialState.COMPLETE,
        params={"lr": number / 100, "kernel": "rbf"},
        metrics={} if value is None else {"accuracy": value},
        objective=value,
        reason="it broke" if value is None else "",
        started=f"2026-01-01T00:00:{number % 60:02d}.000Z",
        finished=f"2026-01-01T00:01:{number % 60:02d}.000Z",
        duration_s=60.0,
    )
    return replace(made, **changes)


def two_goals(number: int, accuracy: float, loss: float) -> Record:
    """A COMPLETE record with two objectives."""
    metrics = {"accuracy": accuracy, "loss": loss}
    return record(number, accuracy, metrics=metrics, objective=[accuracy, loss])


def make_run(
    folder: Path,
    records: Iterable[Record],
    *,
    objective: Any = None,
    count: int | None = None,
    repeats: int = 1,
) -> tuple[Ledger, Manifest]:
    """A run in a ledger below a folder."""
    records = list(records)
    spec: dict[str, Any] = {
        "apiVersion": "podmap/v1",
        "name": "digits",
        "search": {"kind": "list", "items": [{"lr": 0.1}], "repeats": repeats},
        "trial": {"command": ["train"], "env": {"TOKEN": "s3cret-value"}},
    }
    if objective is None:
        spec["search"] = {"kind": "shards", "uris": "s3://bucket/day=*/"}
    else:
        spec["objective"] = objective
    ledger = Ledger.open(f"{folder}/digits/0123abcd")
    manifest = Manifest(
        "digits",
        "0123abcd",
        {"kind": "cli"},
        "2026-01-01T00:00:00.000Z",
        spec,
        source="digits.yaml",
        count=len(records) if count is None else count,
    )
    ledger.write_manifest(manifest)
    for one in records:
        ledger.write_record(one)
    return ledger, manifest
