"""All runs of a store, as `podmap ui` serves them: listed, looked at, and steered."""

from __future__ import annotations

import getpass
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from podmap import names
from podmap.clock import utc_now
from podmap.engine.steering import SteeredRun
from podmap.errors import PodmapError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_summary import RunSummary
from podmap.ledger.runs import run_ids
from podmap.ledger.store import open_store
from podmap.report.document import SCHEMA
from podmap.report.run_list import unread_run
from podmap.server.actions import Action, carry_out
from podmap.server.answer import Answer, RequestError, etag_of, json_answer
from podmap.server.served_run import ServedRun

T = TypeVar("T")

MOST_OPEN = 32
LIST_S = 2.0
"""For how long a list is read; runs that are not read then are, at the next refresh."""
ENDED_AGAIN_S = 30.0
NOT_READ = "not read yet"


class ServedStore:
    """The runs of a store. Thread-safe; every call may block, and raises `StoreError`."""

    def __init__(
        self,
        store: str,
        *,
        can_edit: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet.

        Args:
            store: Its URI.
            can_edit: Whether runs may be steered and deleted.
            clock: Gives seconds.
        """
        self.uri = open_store(store).uri
        self._can_edit = can_edit
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], ServedRun] = OrderedDict()
        self._listed: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}

    def rights(self) -> dict[str, Any]:
        """What the page may offer."""
        return {"can_edit": self._can_edit, "can_delete": self._can_edit, "prefix": ""}

    def runs(self) -> Answer:
        """All runs, those that were not read yet too; a run that cannot be read says why."""
        ends = self._clock() + LIST_S
        broken: list[dict[str, Any]] = []
        found = list(
            run_ids(
                self.uri,
                on_error=lambda sweep, why: broken.append(self._unread((sweep, ""), str(why))),
            )
        )
        self._forget(set(found))
        # What is new comes first, so that a list that takes several refreshes grows.
        for key in sorted(found, key=lambda key: key in self._listed):
            if self._is_due(key) and (self._clock() < ends or not self._listed):
                self._listed[key] = self._clock(), self._read(key)
        lines = [
            self._listed[key][1] if key in self._listed else self._unread(key, NOT_READ)
            for key in found
        ]
        data = {"schema": SCHEMA, "store": self.uri, "runs": [*lines, *broken]}
        etag = etag_of(json_answer(data).body)
        return json_answer({**data, "made": utc_now().timestamp()}, etag=etag)

    def view(self, sweep: str, run_id: str) -> Answer:
        """One run as the web app reads it.

        Raises:
            RequestError: There is no such run.
        """
        return self._asked(sweep, run_id, lambda run: run.view())

    def trial(self, sweep: str, run_id: str, number: int) -> Answer:
        """One trial of a run; raises as `view`."""
        return self._asked(sweep, run_id, lambda run: run.trial(number))

    def log(self, sweep: str, run_id: str, number: int) -> Answer:
        """What the last attempt of a trial has printed; raises as `view`."""
        return self._asked(sweep, run_id, lambda run: run.log(number, live=True))

    def act(self, sweep: str, run_id: str, body: bytes) -> Answer:
        """Does what a request asks for with a run, and says what was done.

        Raises:
            RequestError: There is no such run, or nothing may be changed.
            UsageError: It cannot be done.
        """
        if not self._can_edit:
            raise RequestError(403, "this server was started with --read-only")
        action = Action.parse(body)
        ledger = self._run(sweep, run_id).ledger
        manifest = self._asked(sweep, run_id, lambda run: run.ledger.read_manifest())
        steered = SteeredRun.find(ledger, manifest, reference=ledger.run_uri)
        text = carry_out(action, steered, by=f"{_user()} (podmap ui)")
        with self._lock:
            self._listed.pop((sweep, run_id), None)
            if action.name == "delete":
                self._open.pop((sweep, run_id), None)
        return json_answer({"text": text})

    def _asked(self, sweep: str, run_id: str, question: Callable[[ServedRun], T]) -> T:
        try:
            return question(self._run(sweep, run_id))
        except UsageError as error:
            raise RequestError(404, str(error)) from error

    def _run(self, sweep: str, run_id: str) -> ServedRun:
        """The run, opened if it was not; the one that nobody has asked for longest is closed.

        Raises:
            RequestError: These are no names of a run.
        """
        if not names.is_dns_label(sweep) or not names.is_run_id(run_id):
            raise RequestError(404, "a run is named by its sweep and its id, as in digits/3f9a12c0")
        with self._lock:
            run = self._open.get((sweep, run_id))
            if run is None:
                uri = names.run_uri(self.uri, sweep, run_id)
                run = self._open[sweep, run_id] = ServedRun(Ledger.open(uri))
            self._open.move_to_end((sweep, run_id))
            while len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            return run

    def _is_due(self, key: tuple[str, str]) -> bool:
        if key not in self._listed:
            return True
        at, line = self._listed[key]
        return line["finished"] is None or self._clock() - at > ENDED_AGAIN_S

    def _read(self, key: tuple[str, str]) -> dict[str, Any]:
        with self._lock:
            run = self._open.get(key)
        run = run or ServedRun(Ledger.open(names.run_uri(self.uri, *key)))
        try:
            line = run.listed()
        except PodmapError as error:
            return self._unread(key, str(error))
        if line["finished"] is None:
            with self._lock:
                if len(self._open) < MOST_OPEN:
                    self._open.setdefault(key, run)
        return line

    def _forget(self, there: set[tuple[str, str]]) -> None:
        with self._lock:
            for key in self._listed.keys() - there:
                del self._listed[key]
            for key in self._open.keys() - there:
                del self._open[key]

    def _unread(self, key: tuple[str, str], why: str) -> dict[str, Any]:
        sweep, run_id = key
        uri = f"{self.uri}/{sweep}/{run_id}".rstrip("/")
        return unread_run(RunSummary(uri, sweep, run_id), why)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return "a user"
