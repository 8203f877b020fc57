"""The lines of a list of runs: read again as far as they may have changed, and within a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from podmap.clock import utc_now
from podmap.errors import PodmapError
from podmap.ledger.run_summary import RunSummary
from podmap.report.document import SCHEMA
from podmap.report.run_list import unread_run
from podmap.server.answer import Answer, etag_of, json_answer

K = TypeVar("K")

LIST_S = 2.0
"""For how long a list is read; what is not read then is, at the next refresh."""
ENDED_AGAIN_S = 30.0
"""After how long the line of a run that has ended is read again."""
NOT_READ = "not read yet"


class RunLines(Generic[K]):
    """What is known of the runs of a list. Thread-safe."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is known.

        Args:
            clock: Gives seconds.
        """
        self._clock = clock
        self._lock = Lock()
        self._known: dict[K, tuple[float, dict[str, Any]]] = {}

    def read(self, keys: Iterable[K], line: Callable[[K], dict[str, Any]]) -> Mapping[K, Any]:
        """Key to line, in the order of the keys; those that were not read yet say so.

        Args:
            keys: Of the runs.
            line: Reads one; what it raises becomes the line's `error`.
        """
        wanted = list(keys)
        ends = self._clock() + LIST_S
        with self._lock:
            known = {key: self._known[key] for key in wanted if key in self._known}
        # What is new comes first, so that a list that takes several refreshes grows.
        for place, key in enumerate(sorted(wanted, key=lambda key: key in known)):
            if self._is_due(known.get(key)) and (place == 0 or self._clock() < ends):
                known[key] = self._clock(), _read(key, line)
        with self._lock:
            self._known.update(known)
        return {key: known[key][1] if key in known else _unread(NOT_READ) for key in wanted}

    def keep(self, keys: Iterable[K]) -> None:
        """Forgets all runs but these."""
        with self._lock:
            there = set(keys)
            self._known = {key: line for key, line in self._known.items() if key in there}

    def forget(self, key: K) -> None:
        """Has a line read at the next refresh."""
        with self._lock:
            self._known.pop(key, None)

    def _is_due(self, known: tuple[float, dict[str, Any]] | None) -> bool:
        if known is None:
            return True
        at, line = known
        return line["finished"] is None or self._clock() - at > ENDED_AGAIN_S


def list_answer(store: str, lines: Sequence[Mapping[str, Any]]) -> Answer:
    """A list of runs as the web app reads it.

    Args:
        store: Where they are.
        lines: One a run.
    """
    data = {"schema": SCHEMA, "store": store, "runs": list(lines)}
    etag = etag_of(json_answer(data).body)
    return json_answer({**data, "made": utc_now().timestamp()}, etag=etag)


def _read(key: K, line: Callable[[K], dict[str, Any]]) -> dict[str, Any]:
    try:
        return line(key)
    except PodmapError as error:
        return _unread(str(error))


def _unread(why: str) -> dict[str, Any]:
    return unread_run(RunSummary("", "", ""), why)
