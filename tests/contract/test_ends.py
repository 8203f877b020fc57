"""The ways to end of `tests/ends.py`, on a fake cluster and in `SweepTest`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.ends import ENDS, check_ends, script_of, spec

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.engine.planned import prepare_run
from podmap.engine.run import SweepRun
from podmap.spec.load import load
from podmap.testing import SweepTest
from podmap.testing.fake_cluster import FakeCluster, Script

IMAGE = "train:1"


def test_ends_on_a_fake_cluster(tmp_path: Path) -> None:
    scripts = [script_of(name, tmp_path) for name in ENDS]

    def script(pod: dict[str, Any]) -> Script:
        return scripts[int(pod["metadata"]["labels"]["podmap.io/trial"])]

    planned = prepare_run(
        load(spec(ENDS, IMAGE, pending=1)),
        store=str(tmp_path / "store"),
        run_id="0123abcd",
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(tmp_path),
        target=Target("kubernetes"),
    )

    async def whole(cluster: FakeCluster) -> None:
        backend = KubernetesBackend.connect(cluster.connection())
        try:
            await SweepRun(planned, backend, epoch="e1").run()
        finally:
            await backend.close()

    with FakeCluster(script=script) as cluster:
        asyncio.run(asyncio.wait_for(whole(cluster), 120))
    check_ends(planned.ledger.records())


def test_ends_in_a_sweep_under_test(tmp_path: Path) -> None:
    failures = [end.failure({"end": name}) for name, end in ENDS.items() if end.failure is not None]
    run = SweepTest(spec(ENDS, IMAGE, pending="2h")).run(tmp_path, failures=failures)
    check_ends(run.records)
