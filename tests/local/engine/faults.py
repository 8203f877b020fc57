"""Ways to disturb a trial at each of its steps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from podmap.backends.base import Confirm, Observation
from podmap.backends.launch import Launch
from podmap.backends.process import ProcessBackend
from podmap.errors import BackendError, StoreError


class Steps:
    """Counts the steps at which a trial asks something outside, and disturbs one of them."""

    def __init__(self, at: int, disturb: Callable[[], None]) -> None:
        self.passed = 0
        self._at = at
        self._disturb = disturb

    def step(self) -> None:
        self.passed += 1
        if self.passed == self._at + 1:
            self._disturb()

    @property
    def disturbed(self) -> bool:
        return self.passed > self._at


class SteppedBackend(ProcessBackend):
    """A ProcessBackend whose calls are steps, before and after what they do."""

    steps: Steps | None = None

    def _step(self) -> None:
        if self.steps is not None:
            self.steps.step()

    async def list(self, run_id: str, *, number: int | None = None) -> Sequence[Observation]:
        self._step()
        found = await super().list(run_id, number=number)
        self._step()
        return found

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        self._step()
        seen = await super().create(launch, limit=limit, confirm=confirm)
        self._step()
        return seen

    async def wait(self, name: str) -> Observation:
        self._step()
        seen = await super().wait(name)
        self._step()
        return seen

    async def output(self, name: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
        self._step()
        async for chunk in super().output(name, offset=offset):
            yield chunk
            self._step()

    async def tail(self, name: str, *, max_bytes: int) -> bytes:
        self._step()
        return await super().tail(name, max_bytes=max_bytes)

    async def delete(self, name: str) -> None:
        self._step()
        await super().delete(name)
        self._step()


class SteppedExecutor(ThreadPoolExecutor):
    """A thread pool in which the calls are steps: not made, or made but without an answer."""

    steps: Steps | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.steps is None:
            return super().submit(fn, *args, **kwargs)
        self.steps.step()
        future = super().submit(fn, *args, **kwargs)
        future.exception()
        self.steps.step()
        return future


def backend_down() -> None:
    raise BackendError("the backend is down")


def store_down() -> None:
    raise StoreError("the store is down")
