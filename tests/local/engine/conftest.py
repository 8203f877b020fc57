from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from podmap.backends.base import Backend
from podmap.backends.connect import Target
from podmap.backends.process import ProcessBackend
from podmap.engine.events import RecordSettled, RunEvent, RunEvents
from podmap.engine.io import StoreCalls
from podmap.engine.planned import PlannedRun, prepare_run
from podmap.engine.run import SweepRun
from podmap.engine.session import RunSession, open_session
from podmap.engine.timing import Timing
from podmap.records import Record
from podmap.spec.load import load

RUN_ID = "0123abcd"
PATIENCE_S = 60.0
TIMING = Timing(first_pause_s=0.001, ask_again_s=0.001, kill_grace_s=0.2)
"""No test waits for longer than it must."""
T = TypeVar("T")

OK = """\
echo "S $1 $PODMAP_ATTEMPT" >>journal
echo "{\\"y\\": $1}" >"$PODMAP_RESULT"
echo "E $1 $PODMAP_ATTEMPT" >>journal
"""
GATED = f"""\
echo "S $1 $PODMAP_ATTEMPT" >>journal
while [ -e gate ]; do sleep 0.01; done
{OK.splitlines()[1]}
echo "E $1 $PODMAP_ATTEMPT" >>journal
"""
"""Waits as long as the file `gate` is there."""


@dataclass
class World:
    """A folder that trials work in, with a store and a state folder of its own."""

    folder: Path
    store: str
    made: list[ProcessBackend] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        return self.folder / "state"

    def backend(self, kind: type[ProcessBackend] = ProcessBackend, **options: Any) -> Any:
        self.made.append(kind(self.state_dir, **options))
        return self.made[-1]

    def plan(self, script: str, count: int = 1, *, run_id: str = RUN_ID, **more: Any) -> PlannedRun:
        """A run of `count` trials of a shell script, whose `$1` is the trial's number."""
        trial = {"command": ["sh", "-c", script, "sh", "{params.x}"], **more.pop("trial", {})}
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
            load({name: value for name, value in spec.items() if value is not None}),
            store=self.store,
            run_id=run_id,
            owner={"kind": "cli", "epoch": "e1"},
            folder=str(self.folder),
            target=Target(),
        )

    def run(self, script: str, count: int = 1, **more: Any) -> dict[int, Record]:
        """Plans a run and runs it to its end; its records as they came."""
        return self.go(self.plan(script, count, **more))

    def go(
        self,
        planned: PlannedRun,
        *,
        epoch: str = "e1",
        alone: bool = False,
        **more: Any,
    ) -> dict[int, Record]:
        """Runs a run to its end; its records as they came."""
        records: dict[int, Record] = {}
        events = more.pop("events", None) or collecting(records)

        async def whole() -> None:
            await self.sweep_run(planned, epoch=epoch, alone=alone, events=events).run(**more)

        self.play(whole)
        return records

    def sweep_run(self, planned: PlannedRun, *, epoch: str = "e1", **more: Any) -> SweepRun:
        """A run that is not started."""
        return SweepRun(planned, self.backend(), epoch=epoch, **{"timing": TIMING, **more})

    def play(self, scenario: Callable[[], Awaitable[T]]) -> T:
        """Runs a scenario in an event loop of its own, and closes its backends."""

        async def whole() -> T:
            try:
                return await asyncio.wait_for(scenario(), PATIENCE_S)
            finally:
                for backend in self.made:
                    await backend.close()
                self.made.clear()

        return asyncio.run(whole())

    @asynccontextmanager
    async def session(
        self, planned: PlannedRun, backend: Backend | None = None, **more: Any
    ) -> Any:
        """A session of a run, as a hub opens it."""
        with more.get("io") or ThreadPoolExecutor(4) as io:
            made = backend or self.backend()
            timing = more.get("timing", TIMING)
            session = await open_session(planned, made, StoreCalls(io), timing=timing)
            yield session
            await session.close()

    def journal(self) -> list[str]:
        """What the trials wrote, in order."""
        path = self.folder / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def starts(self) -> Counter[int]:
        """How often each trial was started."""
        return Counter(int(line.split()[1]) for line in self.journal() if line[0] == "S")

    def most_at_once(self) -> int:
        """How many trials were between their S and their E at the same time."""
        alive = most = 0
        for line in self.journal():
            alive += 1 if line[0] == "S" else -1
            most = max(most, alive)
        return most

    def close_gate(self) -> None:
        (self.folder / "gate").touch()

    def open_gate(self) -> None:
        (self.folder / "gate").unlink(missing_ok=True)

    async def started(self, count: int) -> None:
        """Returns once so many attempts have started."""
        await until(lambda: sum(self.starts().values()) >= count)

    def left(self) -> list[str]:
        """Names of the attempts whose folders are still there."""
        return sorted(path.name for path in self.state_dir.glob("*/*-a*"))


def collecting(records: dict[int, Record]) -> RunEvents:
    """Events of a run of which the records are put into a dict, by number."""
    events = RunEvents()

    def add(event: RunEvent) -> None:
        if isinstance(event, RecordSettled):
            records[event.record.number] = event.record

    events.subscribe(add)
    return events


async def until(true: Callable[[], bool]) -> None:
    """Waits for a thing outside this event loop; fails if it never comes."""
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, "it never came"
        await asyncio.sleep(0.002)


def free_slots(session: RunSession) -> int:
    """How many slots can be taken at once; they are taken."""
    slots = iter(session.slots.acquire_now, None)
    return sum(1 for _ in slots)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "work"
    folder.mkdir()
    world = World(folder, str(tmp_path / "store"))
    yield world
    world.open_gate()

    async def clean() -> None:
        backend = world.backend()
        for folder in world.state_dir.glob("[0-9a-f]*"):
            for seen in await backend.list(folder.name):
                await backend.delete(seen.name)

    world.play(clean)


@pytest.fixture(params=["local", "memory"])
def any_store(world: World, request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        world.store = f"memory://{world.folder}"
    return world
