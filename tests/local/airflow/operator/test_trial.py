"""A trial of `runtime="operator"` that reaches the target: what is written, and what is ended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from podmap.airflow.operator.attempt import PodAttempt
from podmap.airflow.operator.stop import UserStop
from podmap.airflow.operator.trial import OperatorTrial
from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_state import RunState
from podmap.records import Record, TrialState
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script

pytestmark = pytest.mark.airflow


def plan(folder: Path, **more: Any) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "grid", "params": {"x": [0, 1, 2]}},
        "objective": {"metric": "y", "direction": "maximize", "target": 1},
        "trial": {"image": "i", "command": ["x"]},
        **more,
    }
    return prepare_run(
        load(spec),
        store=str(folder),
        run_id="0123abcd",
        owner={"kind": "airflow"},
        folder=str(folder),
        target=Target("kubernetes"),
    )


async def begin(planned: PlannedRun, backend: Any, number: int, ti_id: str = "t") -> PodAttempt:
    trial = OperatorTrial(planned, number, ti_id=f"{ti_id}{number}")
    attempt = PodAttempt(trial, backend, last_try=False)
    if await attempt.find_or_prepare():
        await attempt.create(attempt.pod_body("default"))
    return attempt


def script(pod: dict[str, Any]) -> Script:
    number = int(pod["metadata"]["labels"]["podmap.io/trial"])
    return Script(result='{"y": 1}', holds=number == 0)


@pytest.fixture
def cluster() -> Any:
    with FakeCluster(script=script) as cluster:
        yield cluster


def test_a_reached_target_ends_what_runs_and_starts_no_more(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    planned = plan(tmp_path)

    async def scenario() -> list[Record]:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            held, good = [await begin(planned, backend, number) for number in (0, 1)]
            held_end = asyncio.ensure_future(held.wait_for_end())
            await good.wait_for_end()
            await held_end
            late = await begin(planned, backend, 2)
            cleared = await begin(planned, backend, 2, ti_id="cleared")
            return [each.trial.record() for each in (held, good, late, cleared)]
        finally:
            await backend.close()

    held, good, late, cleared = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert good.state is TrialState.COMPLETE
    reason = "trial 1 has reached the target: y 1 is at least 1 (objective.target)"
    for record in (held, late, cleared):
        assert (record.state, record.reason) == (TrialState.CANCELLED, reason)
    assert (1, 0) == (len(held.attempts), len(late.attempts))
    assert planned.ledger.read_state().decided.lasts


@pytest.mark.parametrize("on_exceed", ["finish", "cancel"])
def test_spent_gpu_hours_start_no_more_and_end_what_runs_if_asked_to(
    cluster: FakeCluster, tmp_path: Path, on_exceed: str
) -> None:
    planned = plan(
        tmp_path,
        objective={"metric": "y", "direction": "maximize"},
        trial={"image": "i", "command": ["x"], "resources": {"gpu": 1}},
        budget={"gpu_hours": 1e-9, "on_exceed": on_exceed},  # any moment spends it
    )
    # Made before there is anything that counts.
    trials = [OperatorTrial(planned, number, ti_id=f"t{number}") for number in (0, 1, 2)]

    async def scenario() -> list[Record]:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            attempts = [PodAttempt(each, backend, last_try=False) for each in trials]
            held, good, late = attempts
            assert await held.find_or_prepare()
            assert await good.find_or_prepare()
            for each in (held, good):
                await each.create(each.pod_body("default"))
            held_end = asyncio.ensure_future(held.wait_for_end())
            await good.wait_for_end()
            assert not await late.find_or_prepare()
            if on_exceed == "finish":
                cluster.release(held.name or "")
            await held_end
            return [each.record() for each in trials]
        finally:
            await backend.close()

    held, good, late = asyncio.run(asyncio.wait_for(scenario(), 60))
    reason = "the run's GPU-hours are spent (budget.gpu_hours: 1e-09)"
    assert (TrialState.CANCELLED, reason) == (late.state, late.reason)
    assert good.state is TrialState.COMPLETE
    if on_exceed == "finish":
        assert held.state is TrialState.COMPLETE
    else:
        assert (TrialState.CANCELLED, reason) == (held.state, held.reason)


def test_results_that_are_kept_end_the_run_that_is_planned_anew(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    plan(tmp_path)

    async def scenario() -> tuple[Record, Record]:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            await (await begin(plan(tmp_path), backend, 1)).wait_for_end()
            planned = plan(tmp_path)
            kept = await begin(planned, backend, 1, ti_id="again")
            late = await begin(planned, backend, 2, ti_id="again")
            return kept.trial.record(), late.trial.record()
        finally:
            await backend.close()

    kept, late = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert (TrialState.COMPLETE, TrialState.CANCELLED) == (kept.state, late.state)


@pytest.mark.parametrize("cancel", [False, True])
def test_a_users_stop_starts_no_more_and_ends_what_runs_if_asked_to(
    cluster: FakeCluster, tmp_path: Path, cancel: bool
) -> None:
    planned = plan(tmp_path)

    async def scenario() -> list[Record]:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            held = await begin(planned, backend, 0)
            held_end = asyncio.ensure_future(held.wait_for_end())
            planned.ledger.update_state(stopped="enough", cancel=cancel)
            if cancel:
                await held_end
            late = await begin(planned, backend, 2)
            held_end.cancel()
            return [each.trial.record() for each in (held, late)]
        finally:
            await backend.close()

    held, late = asyncio.run(asyncio.wait_for(scenario(), 60))
    assert (late.state, late.reason) == (TrialState.CANCELLED, "enough")
    assert (TrialState.CANCELLED if cancel else TrialState.RUNNING) is held.state
    assert held.reason == ("enough" if cancel else "")


def test_run_json_is_read_once_for_all_attempts_of_a_run(tmp_path: Path) -> None:
    ledger = plan(tmp_path).ledger
    reads: list[int] = []

    class Counted(Ledger):
        def read_state(self, **more: Any) -> RunState:
            reads.append(1)
            return super().read_state(**more)

    async def scenario() -> None:
        counted = Counted(ledger._store)
        waiting = [asyncio.ensure_future(UserStop.of(counted).next(0.05)) for _ in range(50)]
        while len(reads) < 3:
            await asyncio.sleep(0.01)
        ledger.update_state(stopped="enough", cancel=True)
        stops = await asyncio.gather(*waiting)
        assert {("enough", True)} == {(stop.reason, stop.cancel) for stop in stops}

    asyncio.run(asyncio.wait_for(scenario(), 60))
    assert len(reads) < 50
