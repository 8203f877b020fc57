"""Runs on a fake cluster behind a bad network: what the chaos suite does, in seconds, for CI."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from chaos.proxy import FaultProxy, Trouble

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import Connection
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.run import SweepRun
from podmap.names import new_run_id
from podmap.records import Category, Record
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script

TRIALS, PARALLELISM = 24, 6
PATIENCE_S = 120
CUT = ("drop", "lose", "truncate")


def script(pod: dict[str, Any]) -> Script:
    """Trials that end with 3 fail, each fourth says its result on its output."""
    n = int(pod["metadata"]["labels"]["podmap.io/trial"])
    if n % 10 == 3:
        return Script(run_s=0.1, exit_code=1, result="")
    if n % 4 == 0:
        said = f'podmap: {{"final": {{"y": {n}}}}}\n'
        return Script(run_s=0.1, result="", last_output=said)
    return Script(run_s=0.05 * (n % 5), result=f'{{"y": {n}}}')


def expected(n: int) -> tuple[str, float | None, list[Category | None]]:
    if n % 10 == 3:
        return "FAILED", None, [Category.USER_EXIT] * 2
    return "COMPLETE", n, [None]


def found(record: Record) -> tuple[str, float | None, list[Category | None]]:
    ends = [each.diagnosis and each.diagnosis.category for each in record.attempts]
    return record.state.value, record.metrics.get("y"), ends


def plan(folder: Path) -> PlannedRun:
    spec = {
        "apiVersion": "podmap/v1",
        "name": "s",
        "search": {"kind": "list", "items": [{"x": x} for x in range(TRIALS)]},
        "objective": {"metric": "y", "direction": "maximize"},
        "trial": {"image": "image", "command": ["train"]},
        "parallelism": PARALLELISM,
        "retries": {"user": 1, "infra": 9},
        "failures": {"same": 0},
    }
    return prepare_run(
        load(spec),
        store=str(folder / "store"),
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(folder),
        target=Target("kubernetes"),
    )


async def run_all(planned: PlannedRun, server: str, processes: int) -> None:
    connection = Connection(server, "default", "the proxy")
    backends = [KubernetesBackend.connect(lambda: connection) for _ in range(processes)]
    try:
        runs = [SweepRun(planned, backend, epoch="e1").run() for backend in backends]
        await asyncio.wait_for(asyncio.gather(*runs), PATIENCE_S)
    finally:
        for backend in backends:
            await backend.close()


@pytest.mark.parametrize(
    ("trouble", "processes"),
    [
        (Trouble(("403",), 0.2, matches="(?!GET ).*"), 1),
        (Trouble(("500", "504"), 0.2), 2),
        (Trouble(CUT, 0.3), 2),
    ],
    ids=["403", "5xx", "cut"],
)
def test_nothing_is_lost_doubled_or_left_behind_a_bad_network(
    tmp_path: Path, trouble: Trouble, processes: int
) -> None:
    planned = plan(tmp_path)
    with (
        FakeCluster(script=script, speed=1) as cluster,
        FaultProxy(cluster.server) as proxy,
        proxy.trouble(trouble),
    ):
        asyncio.run(run_all(planned, proxy.url, processes))
        records = {record.number: found(record) for record in planned.ledger.records()}
        assert {n: expected(n) for n in range(TRIALS)} == records
        assert cluster.most_alive(planned.manifest.run_id) <= PARALLELISM
        assert [] == cluster.pod_names()
        assert sum(proxy.happened.values()) > 10
