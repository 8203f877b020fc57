from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.airflow.planned import plan_one

from podmap import uris
from podmap.airflow.plugin.sweeps import FoundSweep, ServedSweeps
from podmap.engine.planned import PlannedRun
from podmap.errors import ManifestChangedError, OwnerError, UsageError

NAMES = {"dag_id": "d", "run_id": "manual__2026-11-29T10:00:00+00:00", "group_id": "outer.s"}
OWNER = {"deployment": "airflow", **NAMES}


def found(folder: Path, **owner: str) -> tuple[PlannedRun, FoundSweep]:
    """A run, and the sweep that its XCom makes."""
    planned, left = plan_one(folder, "true", {**OWNER, **owner}, count=3)
    return planned, FoundSweep(**NAMES, left=left)


def test_a_run_is_shown_with_links_to_its_instances(tmp_path: Path) -> None:
    _, sweep = found(tmp_path)
    served = ServedSweeps().served(sweep)
    page = "/dags/d/runs/manual__2026-11-29T10%3A00%3A00%2B00%3A00"
    assert page == sweep.page()
    assert f'"trial":"{page}/tasks/outer.s.trials/mapped/{{number}}"'.encode() in served.view().body
    assert f'"link":"{page}/tasks/outer.s.trials/mapped/2"'.encode() in served.trial(2).body


def test_trials_that_share_an_instance_lead_to_it(tmp_path: Path) -> None:
    planned, sweep = found(tmp_path)
    chunks = replace(planned.manifest, trials_per_task=2)
    assert ("outer.s.trials", 1) == sweep.task_of(chunks, 2)
    shapes = replace(planned.manifest, tasks={"trials_a": [0, 2], "trials_b": [1]})
    assert [("outer.s.trials_a", 0), ("outer.s.trials_b", 0), ("outer.s.trials_a", 1)] == [
        sweep.task_of(shapes, number) for number in range(3)
    ]


@pytest.mark.parametrize(
    "left",
    [None, [], "run", {}, {"uri": 3, "backend": "process"}, {"uri": "", "backend": "process"}],
    ids=repr,
)
def test_what_plan_never_leaves_is_refused(left: Any) -> None:
    with pytest.raises(OwnerError, match="XCom 'run'"):
        ServedSweeps().served(FoundSweep(**NAMES, left=left))


def test_the_run_of_another_sweep_is_not_shown(tmp_path: Path) -> None:
    _, sweep = found(tmp_path, dag_id="secret")
    with pytest.raises(OwnerError, match="is not that of this task"):
        ServedSweeps().served(sweep)


def test_a_run_of_the_right_id_and_another_owner_is_not_shown(tmp_path: Path) -> None:
    """As somebody could make it who writes both the store and XComs."""
    planned, sweep = found(tmp_path)
    manifest = planned.manifest
    forged = replace(manifest, owner={**manifest.owner, "dag_id": "secret"})
    path = Path(planned.ledger.run_uri, "manifest.json")
    path.write_bytes(path.read_bytes().replace(b'"dag_id":"d"', b'"dag_id":"secret"'))
    assert "secret" == planned.ledger.read_manifest().owner["dag_id"] == forged.owner["dag_id"]
    with pytest.raises(ManifestChangedError):
        ServedSweeps().served(sweep)
    with pytest.raises(ManifestChangedError):
        ServedSweeps().steered(sweep)


def test_a_run_is_shown_from_the_deployments_stores_alone(tmp_path: Path) -> None:
    _, sweep = found(tmp_path)
    uris.use_policy(lambda: uris.UriPolicy(store_roots=(str(tmp_path / "elsewhere"),)))
    with pytest.raises(UsageError, match="store_roots"):
        ServedSweeps().served(sweep)
