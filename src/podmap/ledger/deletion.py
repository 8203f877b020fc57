"""What must not happen to a run's folder: to be made anew after it was deleted, or be left."""

from __future__ import annotations

import itertools

from podmap import names
from podmap.errors import UsageError
from podmap.ledger.runs import deleted_in_mid_run
from podmap.ledger.store import Store


class DeletionGuard:
    """Notices that a run was deleted while it went on, by its manifest."""

    def __init__(self, store: Store) -> None:
        """Expects no run in the store yet."""
        self._store = store
        self._expected = False

    def expect_run(self) -> None:
        """From now on the manifest is to be there."""
        self._expected = True

    def check(self, *, is_cheap_only: bool = False) -> None:
        """Refuses to make a run's folder anew, with a part of its records.

        Args:
            is_cheap_only: Not where it costs a request.

        Raises:
            LedgerGoneError: The manifest was there, and is not any more.
        """
        if not self._expected or (is_cheap_only and "://" in self._store.uri):
            return
        if not self._store.exists(names.MANIFEST):
            raise deleted_in_mid_run(self._store.uri)


def keep_former(store: Store, number: int, raw: bytes) -> None:
    """Keeps a record that is taken away: `former/<number>-<count>.json`."""
    paths = (names.former_path(number, count) for count in itertools.count(1))
    next(path for path in paths if store.create(path, raw))


def inside_run(name: str) -> str:
    """The name of a file inside a run, as given.

    Raises:
        UsageError: It leads out of the run's folder.
    """
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{name!r} is not the name of a file inside a run")
    return name
