"""A run of one local trial, or some, as a sweep's `plan` task leaves it for the trial's trigger."""

from __future__ import annotations

from pathlib import Path

from podmap.backends.connect import Target
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.ledger.encode import dump_manifest
from podmap.names import content_digest, run_id_for
from podmap.spec.load import load


def plan_one(
    folder: Path, command: str, owner: dict[str, str], *, count: int = 1
) -> tuple[PlannedRun, dict[str, str]]:
    """The run, and what its trigger is told of it.

    Args:
        folder: Where the spec is; the store is below it.
        command: What `sh` runs.
        owner: The deployment, DAG, run and group that it is of.
        count: How many trials it has.
    """
    spec = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "list", "items": [{"n": n} for n in range(count)]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["sh", "-c", command], "timeout": "1m"},
    }
    planned = prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=run_id_for(*owner.values()),
        owner={"kind": "airflow", **owner},
        folder=str(folder),
        target=Target("process"),
    )
    digest = content_digest(dump_manifest(planned.manifest))
    places = {"backend": "process", "namespace": "", "connection": ""}
    return planned, {"uri": planned.ledger.run_uri, "digest": digest, **places}
