"""What a backend must do beyond the usual if ended attempts can stay, to be looked at."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from podmap.backends.base import Backend


@runtime_checkable
class KeepingBackend(Backend, Protocol):
    """A backend that can let go of an ended attempt without removing it."""

    async def keep(self, name: str) -> None:
        """Has an ended attempt stay; it is not listed any more, and nothing waits for it.

        Raises:
            BackendError: It could not be asked.
        """
        ...

    async def remove_kept(self, run_id: str) -> int:
        """Removes the attempts of a run that were kept; returns how many.

        Raises:
            BackendError: It could not be asked.
        """
        ...
