"""Runs a run to its end, shows how far it is, and leaves its results: `run` and `resume`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podmap.cli._failures import SHOWN_FAILURES, Failures
from podmap.cli._progress import Display, Progress, display
from podmap.clock import parse_iso, utc_now
from podmap.engine.run import SweepRun
from podmap.errors import UnreachableError
from podmap.records import Record, TrialState
from podmap.retries import Budget, budget_of

if TYPE_CHECKING:
    from podmap.backends.base import Backend
    from podmap.cli._talk import Talk
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest
    from podmap.spec.model import Sweep

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How the running of a run ended.

    Attributes:
        failures: The failed trials by reason.
        stopped_reason: Why trials were left out; empty if none were.
        cannot_run: Why no trial can run at all; empty if they can.
        signal_code: The exit code of the signal that ended it; 0 if none did.
        ended: How many trials have ended, before and now.
    """

    failures: Failures
    stopped_reason: str
    cannot_run: str
    signal_code: int
    ended: int


class Execution:
    """One process's work on one run."""

    def __init__(
        self,
        ledger: Ledger,
        manifest: Manifest,
        sweep: Sweep,
        talk: Talk,
        *,
        backend: Callable[[], Backend],
        run: str,
        logs: bool,
        patience_s: float,
    ) -> None:
        """Nothing is started yet.

        Args:
            ledger: The run's records.
            manifest: What the run is; its owner's epoch is the one asked for.
            sweep: The effective spec.
            talk: Where progress goes.
            backend: Makes what runs the attempts, on the event loop.
            run: What to call the run in commands that are suggested.
            logs: Whether to show the trials' output.
            patience_s: How long to go on asking what cannot be asked.
        """
        self._ledger = ledger
        self._manifest = manifest
        self._talk = talk
        self._backend = backend
        self._run = run
        self._logs = logs
        self._patience_s = patience_s
        self._began = utc_now()
        self._failures = Failures()
        self._shown_failures = 0
        self._cannot_run = ""
        self._signal_code = 0
        self._progress = Progress(count=manifest.count, objectives=sweep.objectives)
        self._display: Display = display(talk, count=manifest.count)

    def run(self) -> Ended:
        """Runs what has not ended yet, until all has or a signal comes.

        Raises:
            UnreachableError: Store or processes could not be asked for too long; what runs
                goes on.
        """
        try:
            with self._display:
                stopped_reason = asyncio.run(self._settle_all())
        except UnreachableError as error:
            if not self._signal_code:
                raise type(error)(
                    f"{error}\n{self._counted()}; what runs goes on, nothing that ended is "
                    f"lost; when this is mended: podmap resume {self._run}"
                ) from error
            self._talk.warn(f"podmap: {error}")
            stopped_reason = ""
        return Ended(
            failures=self._failures,
            stopped_reason=stopped_reason,
            cannot_run=self._cannot_run,
            signal_code=self._signal_code,
            ended=self._progress.ended,
        )

    async def _settle_all(self) -> str:
        backend = self._backend()
        sweep_run = SweepRun(
            self._ledger,
            self._manifest,
            backend,
            epoch=str(self._manifest.owner["epoch"]),
            alone=True,  # it runs while the run is held: see podmap.cli._lock
        )
        try:
            with self._signals(sweep_run):
                await sweep_run.run(
                    on_record=self._take,
                    on_line=self._line if self._logs else None,
                    patience_s=self._patience_s,
                )
        finally:
            await backend.close()
        return sweep_run.stopped_reason

    @contextlib.contextmanager
    def _signals(self, sweep_run: SweepRun) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in EXIT_CODES:
            loop.add_signal_handler(number, self._interrupt, sweep_run, number)
        try:
            yield
        finally:
            for number in EXIT_CODES:
                loop.remove_signal_handler(number)

    def _interrupt(self, sweep_run: SweepRun, number: signal.Signals) -> None:
        if self._signal_code:  # the second time: at once, leaving alone what runs
            self._display.__exit__(None, None, None)
            self._talk.warn(f"left at once; go on with: podmap resume {self._run}")
            os._exit(EXIT_CODES[number])
        self._signal_code = EXIT_CODES[number]
        self._talk.warn("ending the trials that run; again to leave them running")
        sweep_run.interrupt(f"interrupted by {_NAMES[number]}")

    def _take(self, record: Record) -> None:
        if not record.state.terminal:
            return
        earlier = bool(record.finished) and parse_iso(record.finished or "") < self._began
        if earlier:
            self._progress.take_earlier(record)
        else:
            self._progress.take(record)
        if record.state is TrialState.FAILED:
            self._failures.take(record)
            self._look_at_failure(record)
            if not earlier:
                self._tell_failure(record)
        self._display.update(self._progress)

    def _look_at_failure(self, record: Record) -> None:
        attempt = record.attempts[-1] if record.attempts else None
        if attempt and attempt.diagnosis and budget_of(attempt, {}) is Budget.SWEEP:
            self._cannot_run = f"trial {record.number} cannot run: {attempt.diagnosis.summary}"

    def _tell_failure(self, record: Record) -> None:
        self._shown_failures += 1
        if self._shown_failures <= SHOWN_FAILURES:
            self._talk.say(f"trial {record.number} failed: {record.reason}")
        elif self._shown_failures == SHOWN_FAILURES + 1:
            self._talk.say("more trials fail; they are shown together at the end")

    def _line(self, number: int, line: str) -> None:
        self._talk.warn(f"[{number}] {line}")

    def _counted(self) -> str:
        return f"{self._progress.ended} of {self._manifest.count} trials have ended"
