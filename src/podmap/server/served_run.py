"""One run that pages look at, kept in memory so that a refresh reads what has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from podmap.errors import BackendError
from podmap.ledger.ledger import Ledger
from podmap.report.detail import trial_view
from podmap.report.run_list import listed_run
from podmap.report.view import RunReader
from podmap.server.answer import Answer, RequestError, etag_of, json_answer, text_answer

LOG_BYTES = 64 * 1024
KEPT_VIEWS = 4
"""With the curves of so many metrics, those asked for last."""


class ServedRun:
    """A run, asked again and again. Thread-safe; every call may block, and asks the store.

    All calls raise `StoreError` when the store cannot be asked, `UsageError` when there is no
    such run, and `RecordError` when its manifest cannot be understood.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        links: Mapping[str, str | None] | None = None,
        link_of: Callable[[int], str] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            ledger: Of the run.
            links: `airflow` and `trial`, with {number} in it; None for none.
            link_of: From a trial's number to its page elsewhere; None for none.
        """
        self.ledger = ledger
        self._links = dict(links or {})
        self._link_of = link_of
        self._reader = RunReader(ledger)
        self._lock = threading.Lock()
        self._views: dict[str, Answer] = {}

    def view(self, curve: str = "") -> Answer:
        """The run as the web app reads it; as long as nothing changes it is made once.

        Args:
            curve: The metric of its curves; empty for the view's own choice.
        """
        with self._lock:
            etag = etag_of(self._reader.refresh(), [*sorted(self._links.items()), curve])
            made = self._views.pop(curve, None)
            if made is None or made.etag != etag:
                view = self._reader.view(links=self._links, curve_metric=curve or None)
                made = json_answer(view, etag=etag).packed()
            self._views[curve] = made
            if len(self._views) > KEPT_VIEWS:
                del self._views[next(iter(self._views))]
            return made

    def listed(self) -> dict[str, Any]:
        """The run as a line of a list."""
        with self._lock:
            return listed_run(self._reader)

    def trial(self, number: int) -> Answer:
        """One trial with all that is kept of it.

        Raises:
            RequestError: There is no such trial.
        """
        manifest = self.ledger.read_manifest()
        link = self._link_of(number) if self._link_of and 0 <= number < manifest.total else None
        found = trial_view(self.ledger, manifest, number, link=link)
        if found is None:
            raise RequestError(404, f"run {manifest.run_id} has no trial {number}")
        answer = json_answer(found)
        return json_answer(found, etag=etag_of(answer.body))

    def log(self, number: int, *, live: bool = False) -> Answer:
        """The end of what the trial's last attempt has printed.

        Args:
            number: The trial's.
            live: Whether an attempt that runs is asked itself, on this host or in its cluster.
        """
        record = self.ledger.read_record(number)
        if live and record is not None and not record.state.terminal:
            printed = self._printed(number)
            if printed is not None:
                return text_answer(printed)
        last = self.ledger.next_attempt_number(number, kept=record.attempts if record else ()) - 1
        kept = self.ledger.read_log(number, last) if last else None
        if kept is None:
            kept = record.log_tail.encode("utf-8", "replace") if record else b""
        return text_answer(kept[-LOG_BYTES:])

    def _printed(self, number: int) -> bytes | None:
        """What an attempt that is there has printed; None if none can be asked."""
        from podmap.engine.run_attempts import list_attempts, read_output

        manifest = self.ledger.read_manifest()
        found = [seen for seen in list_attempts(manifest) if seen.number == number]
        if not found:
            return None
        name = max(found, key=lambda seen: seen.attempt).name
        try:
            return read_output(manifest, name, max_bytes=LOG_BYTES)
        except BackendError:  # it has ended meanwhile
            return None
