"""The backends that a triggerer may run trials with."""

from __future__ import annotations

from podmap.backends.base import Backend
from podmap.errors import UsageError


def make_backend(name: str) -> Backend:
    """The backend of this name.

    Raises:
        UsageError: There is none.
    """
    if name == "process":
        from podmap.backends.process import ProcessBackend

        return ProcessBackend()
    raise UsageError(f"backend {name!r} is not known; 'process' is")
