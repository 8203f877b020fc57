"""What signals do to a run of the command line: Ctrl-C, SIGTERM, and a terminal that is closed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from podmap.aio import spawn
from podmap.cli._output import print_error
from podmap.engine.timing import TIMING

if TYPE_CHECKING:
    from podmap.cli._console import Console
    from podmap.cli._display import ProgressDisplay
    from podmap.cli._progress import Progress
    from podmap.engine.run import SweepRun

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SAY_EVERY_S = 5.0
_SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "a closed terminal"}


class Interrupts:
    """Ends a run at the first signal, and the command at the second.

    Attributes:
        code: The exit code of the first signal; 0 as long as there was none.
    """

    def __init__(
        self,
        console: Console,
        display: ProgressDisplay,
        progress: Progress,
        *,
        reference: str,
        run_uri: str,
        as_json: bool,
    ) -> None:
        """Nothing is caught yet.

        Args:
            console: Where it is said.
            display: Shows the run; it is ended before the command is.
            progress: Of the run.
            reference: What to call the run in a command.
            run_uri: The run's.
            as_json: Whether standard output gets JSON.
        """
        self.code = 0
        self._console, self._display, self._progress = console, display, progress
        self._reference, self._run_uri, self._as_json = reference, run_uri, as_json

    @contextlib.contextmanager
    def caught(self, sweep_run: SweepRun) -> Iterator[None]:
        """Catches signals meanwhile, but for those that are ignored already."""
        loop = asyncio.get_running_loop()
        # Under nohup a terminal that is closed is to change nothing.
        caught = [n for n in EXIT_CODES if signal.getsignal(n) is not signal.SIG_IGN]
        for number in caught:
            loop.add_signal_handler(number, self._interrupt, sweep_run, number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _interrupt(self, sweep_run: SweepRun, number: signal.Signals) -> None:
        if self.code:
            self._leave(EXIT_CODES[number])
        self.code = EXIT_CODES[number]
        self._console.warn(
            f"ending the trials that run, in {TIMING.kill_grace_s:.0f}s whether they will or not; "
            "again to leave them running"
        )
        self._progress.expect_kill(TIMING.kill_grace_s)
        if not self._display.shows_failures:
            spawn(self._count_down())
        sweep_run.interrupt(f"interrupted by {_SIGNALS[number]}")

    async def _count_down(self) -> None:
        """Says now and then when trials that do not end by themselves are killed."""
        while (left_s := self._progress.kill_left_s) is not None and left_s > 0:
            await asyncio.sleep(min(SAY_EVERY_S, left_s))
            text = self._progress.ending_text()
            if text:
                self._console.warn(text)

    def _leave(self, code: int) -> None:
        """Leaves at once, and alone what runs."""
        self._display.__exit__(None, None, None)
        self._console.warn(f"left at once; go on with: podmap resume {self._reference}")
        if self._as_json:
            print_error("left at once", code, run_uri=self._run_uri)
            sys.stdout.flush()
        os._exit(code)
