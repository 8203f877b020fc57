from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from podmap import names
from podmap.backends.base import Observation
from podmap.backends.launch import Launch
from podmap.backends.process import ProcessBackend

RUN_ID = "0123abcd"
PATIENCE_S = 60.0
T = TypeVar("T")


class Host:
    """One state folder, and what runs below it."""

    def __init__(self, state_dir: Path, work: Path) -> None:
        self.state_dir = state_dir
        self.work = work
        self._made: list[ProcessBackend] = []

    def backend(self, **options: Any) -> ProcessBackend:
        self._made.append(ProcessBackend(self.state_dir, **options))
        return self._made[-1]

    def name(self, number: int = 0) -> str:
        return names.attempt_name("s", RUN_ID, number, 1)

    def folder(self, number: int = 0) -> Path:
        return self.state_dir / RUN_ID / self.name(number)

    def launch(self, argv: Sequence[str], *, number: int = 0, **more: Any) -> Launch:
        env = {"PODMAP_RESULT": str(self.folder(number) / "result"), "WORK": str(self.work)}
        return Launch(
            name=self.name(number),
            sweep="s",
            run_id=RUN_ID,
            number=number,
            attempt=1,
            epoch="e1",
            argv=argv,
            env={**env, **more.pop("env", {})},
            **more,
        )

    def shell(self, script: str, **more: Any) -> Launch:
        return self.launch(("/bin/sh", "-c", script), **more)

    def play(self, scenario: Callable[[], Awaitable[T]]) -> T:
        """Runs a scenario to its end, then ends and deletes all attempts."""

        async def whole() -> T:
            try:
                return await asyncio.wait_for(scenario(), PATIENCE_S)
            finally:
                for backend in self._made:
                    await backend.close()
                self._made.clear()

        return asyncio.run(whole())

    def run(self, launch: Launch, **options: Any) -> Observation:
        """Creates an attempt and waits for its end."""

        async def scenario() -> Observation:
            backend = self.backend(**options)
            await backend.create(launch)
            return await backend.wait(launch.name)

        return self.play(scenario)

    def output(self, number: int = 0) -> str:
        return (self.folder(number) / "output").read_text()

    def clean(self) -> None:
        async def scenario() -> None:
            backend = self.backend()
            for seen in await backend.list(RUN_ID):
                await backend.delete(seen.name)

        self.play(scenario)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    (tmp_path / "work").mkdir()
    host = Host(tmp_path / "state", tmp_path / "work")
    yield host
    if host.state_dir.is_dir():
        host.clean()


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def wait_until(true: Callable[[], bool]) -> None:
    """Waits for a thing outside this process; fails if it never comes."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            pytest.fail("it never came")
        os.sched_yield()
        time.sleep(0.005)


async def until(true: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, true)


def pids(path: Path, count: int) -> list[int]:
    """The pids, one a line, that processes write to a file; waits until all are there."""

    def there() -> bool:
        return path.exists() and path.read_text().count("\n") >= count

    wait_until(there)
    return [int(line) for line in path.read_text().split()]
