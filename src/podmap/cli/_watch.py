"""Watches a run: a line whenever a trial ends, or how the run goes on has changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from podmap.cli._output import text
from podmap.errors import RecordError
from podmap.records import Record, TrialState
from podmap.report.words import counts_text, state_text

if TYPE_CHECKING:
    from podmap.cli._progress import Progress
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.run_state import RunState

EVERY_S = 1.0


class RunWatch:
    """What has been told of a run. It asks for little: of trials that have ended nothing more."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        run_state: Callable[[Mapping[str, int], RunState], str],
        progress: Progress | None = None,
    ) -> None:
        """Nothing was told yet.

        Args:
            ledger: Of the run.
            run_state: From the counts of the trials and what was decided to the run's state.
            progress: Is told of each trial, too; None if there is none.
        """
        self._progress = progress
        self._ledger = ledger
        self._run_state = run_state
        self._ended: dict[int, str] = {}
        self._again: Mapping[str, int] = {}
        self._told: dict[str, Any] = {}

    def events(self, *, pause: Callable[[float], None] = time.sleep) -> Iterator[dict[str, Any]]:
        """All events until the run has ended, first those of what has ended before.

        Args:
            pause: Waits for so many seconds.

        Raises:
            StoreError: The store could not be asked.
        """
        while True:
            yield from self._new()
            if self._told["state"] == "ended":
                return
            pause(EVERY_S)

    def _new(self) -> Iterator[dict[str, Any]]:
        state, manifest = self._ledger.read_state(), self._ledger.read_manifest()
        again = [
            int(number)
            for number, asked in state.again.items()
            if asked > self._again.get(number, 0) and number.isdigit()
        ]
        self._again = state.again
        numbers = set(self._ledger.record_numbers())
        for number in [*again, *(self._ended.keys() - numbers)]:
            self._ended.pop(number, None)  # it is run again
            if self._progress is not None:
                self._progress.forget(number)
        counts: Counter[str] = Counter()
        for number in sorted(numbers - self._ended.keys()):
            record = self._read(number)
            if record is None:
                continue
            self._note(record)
            if record.state.terminal:
                self._ended[number] = record.state.value
                yield _trial_event(record)
            else:
                counts[record.state.value] += 1
        counts.update(self._ended.values())
        counts[TrialState.WAITING.value] += max(0, manifest.total - sum(counts.values()))
        if self._progress is not None:
            self._progress.note_run(count=manifest.total, state=state)
        known = {one.value: counts[one.value] for one in TrialState if counts[one.value]}
        run: dict[str, Any] = {
            "state": self._run_state(known, state),
            "count": manifest.total,
            "parallelism": state.parallelism,
            "paused": state.paused,
            "stopped": state.stopped,
        }
        if run != self._told:
            self._told = run
            yield {"event": "run", "run_uri": self._ledger.run_uri, **run, "counts": known}

    def _note(self, record: Record) -> None:
        """Tells the progress of a trial."""
        if self._progress is None:
            return
        if record.state.terminal:
            self._progress.add(record, earlier=not self._told)
        elif record.state is TrialState.RUNNING:
            self._progress.begin(record.number)
        else:
            self._progress.end_attempt(record.number)

    def _read(self, number: int) -> Record | None:
        try:
            return self._ledger.read_record(number)
        except RecordError:
            return None  # `podmap status` says so


def _trial_event(record: Record) -> dict[str, Any]:
    return {
        "event": "trial",
        "number": record.number,
        "key": record.key,
        "state": record.state.value,
        "objective": record.objective,
        "metrics": dict(record.metrics),
        "params": dict(record.params),
        "outputs": dict(record.outputs),
        "reason": record.reason,
        "attempts": len(record.attempts),
        "finished": record.finished,
    }


def event_line(event: Mapping[str, Any]) -> str:
    """An event for a person."""
    if event["event"] == "run":
        more = f", {event['stopped']}" if event["stopped"] else ""
        counts = counts_text(event["counts"])
        return f"{event['state']}, {event['count']} trials: {counts}{more}"
    found = event["reason"] or text(event["objective"])
    return f"trial {event['number']} {state_text(event['state'])}: {found}"
