"""`reports/`: what running trials report, told by each process of a run to all others."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap import names
from podmap.errors import RecordError
from podmap.json_kinds import is_number
from podmap.ledger.ledger import Ledger
from podmap.ledger.store import Store, open_store

log = logging.getLogger(__name__)

PART_BYTES = 64 * 1024
"""A file that has become longer stays as it is, and the next one is begun."""


@dataclass(frozen=True, slots=True)
class TrialReports:
    """What a trial has reported of the objective since the last telling.

    Attributes:
        number: The trial.
        epoch: The asking that it is of.
        points: Steps with values; None stands for NaN and infinity.
        complete: Whether the trial is COMPLETE.
    """

    number: int
    epoch: str
    points: Sequence[tuple[int, float | None]] = ()
    complete: bool = False

    def to_line(self) -> bytes:
        """The reports as a line of JSON."""
        data: dict[str, Any] = {"number": self.number, "epoch": self.epoch, "points": self.points}
        if self.complete:
            data["complete"] = True
        return json.dumps(data, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> TrialReports | None:
        """The reports in a line; None if it is none."""
        try:
            data = json.loads(line)
            number, epoch, points = data["number"], data["epoch"], data["points"]
            known = [(step, value) for step, value in points]
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        whole = type(number) is int and 0 <= number < 2**63 and isinstance(epoch, str)
        if not whole or not all(_is_point(step, value) for step, value in known):
            return None
        return cls(number, epoch, known, data.get("complete") is True)


@dataclass(slots=True)
class _Writer:
    """How far another process's files are read."""

    part: int = 0
    taken: int = 0


@dataclass(slots=True)
class ReportLog:
    """Files of lines: each process writes its own, and reads what is new in those of the others.

    Only one file a process changes, and it stays small, so that a second's reports cost one small
    write, and one small read for each other process. All methods block; one call at a time.
    """

    _store: Store
    _write: Callable[[str, bytes], object]
    _name: str = field(default_factory=lambda: secrets.token_hex(4))
    _part: int = 0
    _written: bytes = b""
    _others: dict[str, _Writer] = field(default_factory=dict)
    _told: bool = False

    @classmethod
    def of(cls, ledger: Ledger) -> ReportLog:
        """The log of a run, with a writer of its own; nothing is read or written yet."""
        return cls(open_store(ledger.run_uri), ledger.write_file)

    def add(self, reports: Sequence[TrialReports]) -> None:
        """Tells reports to the others.

        Raises:
            StoreError: The store could not be asked; call again with the same.
        """
        text = self._written + b"".join(each.to_line() for each in reports)
        self._write(names.report_path(self._name, self._part), text)
        self._written = text
        if len(text) > PART_BYTES:
            self._part, self._written = self._part + 1, b""

    def read_new(self) -> Iterator[TrialReports]:
        """What others have told since the last call.

        Raises:
            StoreError: The store could not be asked; call again.
        """
        last: dict[str, int] = {}
        for found in map(names.parse_report_file, self._store.list(names.REPORTS)):
            if found is not None and found[0] != self._name:
                last[found[0]] = max(last.get(found[0], 0), found[1])
        for name, newest in sorted(last.items()):
            writer = self._others.setdefault(name, _Writer())
            while True:
                yield from self._read_part(name, writer)
                if writer.part >= newest:
                    break
                writer.part, writer.taken = writer.part + 1, 0

    def _read_part(self, name: str, writer: _Writer) -> Iterator[TrialReports]:
        path = names.report_path(name, writer.part)
        try:
            raw = self._store.read(path) or b""
        except RecordError as error:
            return self._tell(str(error))
        new = raw[writer.taken : raw.rfind(b"\n") + 1]
        writer.taken += len(new)
        for line in new.splitlines():
            reports = TrialReports.from_line(line)
            if reports is None:
                self._tell(f"{self._store.uri}/{path} holds what is none of podmap's reports")
            else:
                yield reports

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            log.warning("reports of trials are left out: %s", text)


def _is_point(step: Any, value: Any) -> bool:
    return type(step) is int and abs(step) < 2**63 and (value is None or is_number(value))
