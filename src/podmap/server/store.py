"""All runs of a store, as `podmap ui` serves them: listed, looked at, and steered."""

from __future__ import annotations

import getpass
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from podmap import names
from podmap.engine.steering import SteeredRun
from podmap.errors import UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.run_summary import RunSummary
from podmap.ledger.runs import run_ids
from podmap.ledger.store import open_store
from podmap.report.run_list import unread_run
from podmap.server.actions import Action, carry_out
from podmap.server.answer import Answer, RequestError, json_answer
from podmap.server.run_lines import RunLines, list_answer
from podmap.server.served_run import ServedRun

T = TypeVar("T")

MOST_OPEN = 32
_GONE = "there is no run"


class ServedStore:
    """The runs of a store. Thread-safe; every call may block, and raises `StoreError`."""

    def __init__(self, store: str, *, can_edit: bool = True) -> None:
        """Nothing is read yet.

        Args:
            store: Its URI.
            can_edit: Whether runs may be steered and deleted.
        """
        self.uri = open_store(store).uri
        self._can_edit = can_edit
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], ServedRun] = OrderedDict()
        self._lines: RunLines[tuple[str, str]] = RunLines()

    def rights(self) -> dict[str, Any]:
        """What the page may offer."""
        return {"can_edit": self._can_edit, "can_delete": self._can_edit, "prefix": ""}

    def runs(self) -> Answer:
        """All runs, those that were not read yet too; a run that cannot be read says why."""
        broken: list[dict[str, Any]] = []

        def leave_out(sweep: str, why: Exception) -> None:
            line = unread_run(RunSummary("", "", ""), str(why))
            broken.append(_named((sweep, ""), f"{self.uri}/{sweep}", line))

        found = list(run_ids(self.uri, on_error=leave_out))
        self._lines.keep(found)
        read = self._lines.read(found, self._line)
        lines = {key: line for key, line in read.items() if line["error"] != _GONE}
        named = [_named(key, names.run_uri(self.uri, *key), line) for key, line in lines.items()]
        return list_answer(self.uri, [*named, *broken])

    def view(self, sweep: str, run_id: str, curve: str = "") -> Answer:
        """One run as the web app reads it, with the curves of a metric.

        Raises:
            RequestError: There is no such run.
        """
        return self._asked(sweep, run_id, lambda run: run.view(curve))

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
        self._lines.forget((sweep, run_id))
        if action.name == "delete":
            with self._lock:
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

    def _line(self, key: tuple[str, str]) -> dict[str, Any]:
        with self._lock:
            run = self._open.get(key)
        run = run or ServedRun(Ledger.open(names.run_uri(self.uri, *key)))
        try:
            line = run.listed()
        except UsageError:  # a folder without a manifest: deleted, or nobody's run
            return unread_run(RunSummary("", "", ""), _GONE)
        if line["finished"] is None:  # so that the next refresh reads what is new alone
            with self._lock:
                if len(self._open) < MOST_OPEN:
                    self._open.setdefault(key, run)
        return line


def _named(key: tuple[str, str], uri: str, line: dict[str, Any]) -> dict[str, Any]:
    """A line with the names of its run, also where nothing of it could be read."""
    sweep, run_id = key
    named = {"key": f"{sweep}/{run_id}".rstrip("/"), "sweep": sweep, "id": run_id, "uri": uri}
    return {**line, **named}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return "a user"
