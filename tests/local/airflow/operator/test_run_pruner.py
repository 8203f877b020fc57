"""Pods of `TrialPodOperator` are pruned, by what the pods of all tasks of the run report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.airflow.operator.test_trial import begin, plan

from podmap.airflow.operator import run_pruner
from podmap.airflow.operator.run_pruner import RunPruner
from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.planned import PlannedRun
from podmap.ledger.ledger import Ledger
from podmap.records import Record, TrialState
from podmap.testing.fake_cluster import FakeCluster, Script

pytestmark = pytest.mark.airflow
WORST = 4


def said(value: float, count: int) -> str:
    lines = ({"step": step, "y": value} for step in range(1, count + 1))
    return "".join(f"podmap: {json.dumps(line)}\n" for line in lines)


def script(pod: dict[str, Any]) -> Script:
    number = int(pod["metadata"]["labels"]["podmap.io/trial"])
    if number == WORST:  # it never ends by itself
        return Script(output=said(0.5, 1), holds=True)
    return Script(output=said(number + 1.0, 9), result=json.dumps({"y": number + 1.0}))


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with FakeCluster(script=script) as cluster:
        yield cluster


def pruned_run(folder: Path) -> PlannedRun:
    return plan(
        folder,
        search={"kind": "grid", "params": {"x": [0, 1, 2, 3, 4]}},
        objective={"metric": "y", "direction": "maximize"},
        prune={"kind": "asha", "max_steps": 9},
    )


async def wait(planned: PlannedRun, cluster: FakeCluster, number: int) -> Record:
    """The record of a trial that a task has waited for, in a loop of its own."""
    backend = KubernetesBackend.connect(cluster.connection())
    try:
        attempt = await begin(planned, backend, number)
        await attempt.wait_for_end()
        return attempt.trial.record()
    finally:
        await backend.close()


def check_pruned(planned: PlannedRun) -> None:
    found = [planned.ledger.read_record(number) for number in range(5)]
    records = [record for record in found if record is not None]
    assert [TrialState.COMPLETE] * 4 + [TrialState.PRUNED] == [one.state for one in records]
    worst = records[WORST]
    assert ({"y": 0.5}, 0.5, 1) == (worst.metrics, worst.objective, len(worst.attempts))
    assert worst.reason.startswith("asha: by step 1 its best y was 0.5, and the best")
    assert [9] * 4 == [len(each.reports) for each in records[:4]]


def test_a_hopeless_pod_is_ended_for_what_workers_have_told_before(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    planned = pruned_run(tmp_path)
    for number in range(5):  # nothing but the ledger goes from one to the next
        asyncio.run(asyncio.wait_for(wait(planned, cluster, number), 60))
    check_pruned(planned)


def test_a_hopeless_pod_is_ended_for_what_others_in_the_triggerer_report(tmp_path: Path) -> None:
    planned = pruned_run(tmp_path)

    def hold(pod: dict[str, Any]) -> Script:
        number = int(pod["metadata"]["labels"]["podmap.io/trial"])
        return replace(script(pod), holds=number >= 3)

    async def scenario(cluster: FakeCluster) -> None:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            *others, held = [await begin(planned, backend, number) for number in range(4)]
            held_end = asyncio.ensure_future(held.wait_for_end())
            await asyncio.gather(*(each.wait_for_end() for each in others))
            await (await begin(planned, backend, WORST)).wait_for_end()
            cluster.release(held.name or "")
            await held_end
        finally:
            await backend.close()

    with FakeCluster(script=hold) as cluster:
        asyncio.run(asyncio.wait_for(scenario(cluster), 60))
    check_pruned(planned)


def test_all_who_wait_share_one_and_it_ends_with_the_last(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    planned = pruned_run(tmp_path)

    async def scenario() -> None:
        backend = KubernetesBackend.connect(cluster.connection())
        known = run_pruner._of_loops.setdefault(asyncio.get_running_loop(), {})
        try:
            async with RunPruner.joined(planned, "a", backend) as one:
                async with RunPruner.joined(planned, "b", backend) as other:
                    assert one is other is not None
                assert [one] == list(known.values())
            assert {} == known
            async with RunPruner.joined(planned, "a", backend) as anew:
                assert anew is not one
        finally:
            await backend.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("fails", [True, False])
def test_a_store_that_cannot_be_asked_leaves_nothing_behind(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    from podmap.errors import StoreError

    planned = pruned_run(tmp_path)

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise StoreError("no answer")

    if fails:
        monkeypatch.setattr(Ledger, "records", refuse)

    async def scenario() -> None:
        raises: AbstractContextManager[Any] = pytest.raises(StoreError) if fails else nullcontext()
        with raises:
            async with RunPruner.joined(planned, "a", None):  # type: ignore[arg-type]
                pass
        assert {} == run_pruner._of_loops[asyncio.get_running_loop()]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_without_a_rule_there_is_none(tmp_path: Path) -> None:
    planned = plan(tmp_path)

    async def scenario() -> None:
        async with RunPruner.joined(planned, "a", None) as none:  # type: ignore[arg-type]
            assert none is None

    asyncio.run(scenario())
