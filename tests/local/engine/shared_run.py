"""A run of pods on a fake cluster, at which several processes can be.

A process is a session with a backend of its own; the fake cluster gives it all that a real one
would, the run's lease too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.kubernetes.pauses import Pauses
from podmap.engine.gatekeeper import Role
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.session import RunSession, open_session
from podmap.engine.timing import Timing
from podmap.engine.trial import run_trial
from podmap.records import Record, TrialState
from podmap.spec.load import load
from podmap.testing.fake_cluster import FakeCluster, Script
from podmap.testing.fake_cluster.objects import RefusedError

RUN_ID = "0123abcd"
PATIENCE_S = 30.0
TIMING = Timing(first_pause_s=0.001, read_state_s=0.01, read_share=1)
PAUSES = Pauses(log_pauses_s=(0.01, 0.1), notice_every_s=0.05)
MI = 2**20
COMPLETE, FAILED, CANCELLED = TrialState.COMPLETE, TrialState.FAILED, TrialState.CANCELLED
GOOD = Script(result='{"y": 1}')
BAD = Script(exit_code=1)
HELD = Script(result='{"y": 1}', holds=True)
NO_IMAGE = Script(waiting="InvalidImageName", message="it is no name")


class Scene:
    """A run on a fake cluster, whose pods do what a script tells of their trial's number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script: Callable[[int], Script] = lambda number: GOOD
        self.cluster = FakeCluster(script=self._tell)
        self.limits: list[tuple[int, str]] = []

    def _tell(self, pod: dict[str, Any]) -> Script:
        number = int(pod["metadata"]["labels"]["podmap.io/trial"])
        resources = pod["spec"]["containers"][0].get("resources", {})
        assert resources.get("limits", {}).get("memory") == resources.get("requests", {}).get(
            "memory"
        )
        self.limits.append((number, resources.get("limits", {}).get("memory", "")))
        return self.script(number)

    def plan(self, count: int, **more: Any) -> PlannedRun:
        trial = {"image": "i", "command": ["x"], **more.pop("trial", {})}
        spec = {
            "apiVersion": "podmap/v1",
            "name": "s",
            "search": {"kind": "list", "items": [{"x": x} for x in range(count)]},
            "objective": {"metric": "y", "direction": "maximize"},
            "parallelism": 4,
            **more,
            "trial": trial,
        }
        return prepare_run(
            load(spec),
            store=str(self.folder),
            run_id=RUN_ID,
            owner={"kind": "cli", "epoch": "e1"},
            folder=str(self.folder),
            target=Target("kubernetes"),
        )

    @asynccontextmanager
    async def process(
        self, planned: PlannedRun, timing: Timing = TIMING, pauses: Pauses = PAUSES
    ) -> AsyncIterator[RunSession]:
        backend = KubernetesBackend.connect(
            self.cluster.connection(), renew_every_s=0.1, pauses=pauses
        )
        with ThreadPoolExecutor(4) as io:
            session = await open_session(planned, backend, StoreCalls(io), timing=timing)
            try:
                yield session
            finally:
                await session.close()
                await backend.close()

    @asynccontextmanager
    async def two(self, planned: PlannedRun) -> AsyncIterator[tuple[RunSession, RunSession]]:
        """Two processes, of which the first holds the lease."""
        async with self.process(planned) as first:
            await until(lambda: role(first) is Role.COORDINATOR)
            async with self.process(planned) as second:
                await until(lambda: role(second) is Role.FOLLOWER)
                yield first, second


def role(session: RunSession) -> Role:
    assert session.coordinator.gates is not None
    return session.coordinator.gates.role


def stopped(session: RunSession) -> str:
    return session.slots.stopped_reason


async def until(true: Callable[[], Any]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, "it never came"
        await asyncio.sleep(0.002)


async def settle_all(session: RunSession, *numbers: int, epoch: str = "e1") -> list[Record]:
    return await asyncio.gather(*(run_trial(session, number, epoch) for number in numbers))


def release_all(scene: Scene) -> None:
    """Lets all pods go on that are there and hold."""
    for name in scene.cluster.pod_names():
        with contextlib.suppress(RefusedError):
            scene.cluster.release(name)


def states(records: list[Record]) -> list[TrialState]:
    return [record.state for record in records]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    with scene.cluster:
        yield scene


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 2 * PATIENCE_S))  # type: ignore[arg-type]


LADDER = {
    "trial": {"resources": {"memory": "100Mi"}},
    "retries": {"oom": {"times": 2, "factor": 2, "limit": "300Mi"}},
}
