"""What `collect` does for trials of the triggerer: it settles what their tasks have left."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from podmap.airflow.pods.runtime import RUNTIME
from podmap.backends.base import Phase
from podmap.backends.connect import Target
from podmap.backends.process import ProcessBackend
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.session import open_session
from podmap.engine.trial import run_trial
from podmap.records import Record, TrialState
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

RUN = {"backend": "process", "connection": "", "namespace": ""}
LEAVES = (
    'touch "started-$0"; while [ -e "hold-$0" ]; do sleep 0.01; done; '
    "echo '{\"y\": 1}' >$PODMAP_RESULT"
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))


def plan(folder: Path) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "x",
        "search": {"kind": "grid", "params": {"n": [0, 1, 2, 3]}},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"command": ["sh", "-c", LEAVES, "{params.n}"], "timeout": "1m"},
    }
    return prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id="0123abcd",
        owner={"kind": "airflow"},
        folder=str(folder),
        target=Target("process"),
    )


async def leave(planned: PlannedRun, folder: Path) -> None:
    """Has trial 0 run, trial 1 end unseen, and trial 2 lose its attempt; trial 3 never ran."""
    backend = ProcessBackend()
    with ThreadPoolExecutor(2) as threads:
        session = await open_session(planned, backend, StoreCalls(threads))
        tasks = [asyncio.ensure_future(run_trial(session, n, "e1")) for n in range(3)]
        while not all((folder / f"started-{n}").exists() for n in range(3)):
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await session.close()
    found = {seen.number: seen.name for seen in await backend.list("0123abcd")}
    (folder / "hold-1").unlink()
    await backend.wait(found[1])
    await backend.delete(found[2])
    waiting = Record(number=3, key="k", epoch="e1", state=TrialState.WAITING)
    planned.ledger.write_record(waiting)
    await backend.close()


def test_what_tasks_have_left_is_settled_as_it_has_ended(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"hold-{number}").touch()
    planned = plan(tmp_path)
    asyncio.run(leave(planned, tmp_path))
    states = {f"trials_{n}": "failed" for n in range(4)}
    cleared = {**states, "trials_0": "deferred"}
    before = list(planned.ledger.records())
    assert [] == RUNTIME.before_collect(RUN, planned, states=lambda _: cleared, log=logging)
    assert before == list(planned.ledger.records())
    assert [] == RUNTIME.before_collect(RUN, planned, states=lambda _: states, log=logging)
    records = list(planned.ledger.records())
    assert ["CANCELLED", "COMPLETE", "CANCELLED", "CANCELLED"] == [r.state.value for r in records]
    assert [] == asyncio.run(alive())


async def alive() -> list[str]:
    backend = ProcessBackend()
    found = await backend.list("0123abcd")
    await backend.close()
    return [seen.name for seen in found if seen.phase in (Phase.PENDING, Phase.RUNNING)]
