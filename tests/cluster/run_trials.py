"""One process that runs a run's trials as pods: `run_trials.py LEDGER KUBECONFIG EPOCH`."""

from __future__ import annotations

import asyncio
import sys

from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.client import from_kubeconfig
from podmap.engine.planned import PlannedRun
from podmap.engine.run import SweepRun


async def main(run_uri: str, kubeconfig: str, epoch: str) -> None:
    planned = PlannedRun.open(run_uri)
    backend = KubernetesBackend.connect(from_kubeconfig(kubeconfig))
    try:
        await SweepRun(planned, backend, epoch=epoch).run()
    finally:
        await backend.close()


asyncio.run(main(*sys.argv[1:]))
