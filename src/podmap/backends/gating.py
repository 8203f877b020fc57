"""What a backend must do beyond the usual if its attempts can wait at a gate.

A gate makes the limit of a run hard, however many processes create its attempts: each attempt is
created held back, and one process, the holder of the run's lease, decides which are let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from podmap.backends.base import Backend, Confirm, Launch, Observation


class Held(Protocol):
    """An attempt as the gatekeeper sees it."""

    @property
    def name(self) -> str:
        """The attempt's name."""

    @property
    def number(self) -> int:
        """The trial's number."""

    @property
    def resource_version(self) -> str:
        """Its version, so that a gate is opened only on what was seen."""

    @property
    def alive(self) -> bool:
        """Whether it is there and has not ended."""

    @property
    def gated(self) -> bool:
        """Whether it waits at our gate."""

    @property
    def memory_bytes(self) -> int | None:
        """The memory that it may use; None if there is no limit."""

    @property
    def openable(self) -> bool:
        """Whether opening our gate lets it run: nobody else holds or deletes it."""


class Gates(Protocol):
    """The gates of one run's attempts, in a backend that has them."""

    def attempts(self) -> Iterable[Held]:
        """All attempts of the run that are known, of all processes."""

    async def relist(self) -> None:
        """Brings `attempts` up to date by a consistent list begun after this call.

        Raises:
            BackendError: It could not be asked.
        """

    async def open(self, attempt: Held, *, limit_s: float) -> None:
        """Opens the gate of an attempt that is still as it was seen.

        Raises:
            ConflictError: It has changed or is gone; nothing was done.
            BackendError: It is not known whether it was opened.
        """

    def subscribe(self, on_change: Callable[[], None]) -> Callable[[], None]:
        """Calls back at every change of an attempt of the run; returns what ends that."""


class Lease(Protocol):
    """The right to decide for a run, held by one process at a time."""

    @property
    def held(self) -> bool:
        """Whether this process holds it now."""

    @property
    def taken(self) -> bool:
        """Whether another process holds it, as far as is known."""

    @property
    def forbidden(self) -> bool:
        """Whether this account has no right to leases, so that nobody can hold one."""

    @property
    def remaining_s(self) -> float:
        """For how long nobody else can hold it; 0 or less when not held."""

    def start(self) -> None:
        """Begins to try for it, and to renew it once it is held."""

    async def close(self) -> None:
        """Stops, and lets others have it at once if it is held."""


@runtime_checkable
class GatedBackend(Backend, Protocol):
    """A backend whose attempts can wait at a gate."""

    def gates(self, run_id: str) -> Gates:
        """The gates of a run's attempts."""
        ...

    async def lease(self, run_id: str, on_change: Callable[[], None]) -> Lease:
        """A candidate for the run's lease; not started yet.

        Args:
            run_id: The run.
            on_change: Called whenever it was got or lost.

        Raises:
            BackendError: It could not be asked where leases are.
        """
        ...

    @property
    def hoards(self) -> bool:
        """Whether attempts that wait at a gate take from others what they cannot use yet."""
        ...

    async def create(
        self,
        launch: Launch,
        *,
        limit: int | None = None,
        confirm: Confirm | None = None,
        gated: bool = False,
    ) -> Observation:
        """As `Backend.create`; with `gated` it waits at the gate, and no limit is looked at."""
        ...
