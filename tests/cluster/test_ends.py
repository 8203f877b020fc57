"""The ways to end of `tests/ends.py`, as a real kubelet tells of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.ends import ENDS, check_ends, spec

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import from_kubeconfig
from podmap.engine.planned import prepare_run
from podmap.engine.run import SweepRun
from podmap.names import new_run_id
from podmap.spec.load import load

from .conftest import Cluster

pytestmark = pytest.mark.cluster

PENDING_S = 30
"""Long enough for pods that have a node, also on a busy machine."""


def test_ends_on_a_real_cluster(account: Cluster, image: str, tmp_path: Path) -> None:
    names = [name for name, end in ENDS.items() if end.real]
    names.sort(key=lambda name: name not in ("no_room", "disk"))  # these take longest
    planned = prepare_run(
        load(spec(names, image, pending=PENDING_S)),
        store=str(tmp_path / "store"),
        run_id=new_run_id(),
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(tmp_path),
        target=Target("kubernetes"),
    )

    async def whole() -> None:
        backend = KubernetesBackend.connect(from_kubeconfig(str(account.kubeconfig)))
        try:
            await SweepRun(planned, backend, epoch="e1").run()
        finally:
            await backend.close()

    asyncio.run(asyncio.wait_for(whole(), 240))
    check_ends(planned.ledger.records())
