"""What commands say on standard error, and where its lines go while a bar is drawn."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

import click

Print = Callable[[str], None]

WINDOW_S = 10.0
WARNINGS_PER_WINDOW = 3


class Talk:
    """Says lines on standard error.

    Attributes:
        quiet: Whether only warnings are said.
        on_terminal: Whether a person sees it as it comes, so that a bar may be drawn.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        """Talk on a stream.

        Args:
            quiet: Say warnings only.
            stream: None for standard error.
        """
        self.quiet = quiet
        self._stream = stream or sys.stderr
        self.on_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._print: Print = self._echo

    def say(self, line: str) -> None:
        """Says a line, unless quiet."""
        if not self.quiet:
            self._print(line)

    def warn(self, line: str) -> None:
        """Says a line, quiet or not."""
        self._print(line)

    def through(self, print_line: Print | None) -> None:
        """Makes all lines go through a function, while something else draws; None ends that."""
        self._print = print_line or self._echo

    def catch_logs(self) -> None:
        """Says what podmap's modules log as warnings."""
        logger = logging.getLogger("podmap")
        logger.handlers = [_Handler(self)]
        logger.propagate = False

    def _echo(self, line: str) -> None:
        click.echo(line, file=self._stream)


class _Handler(logging.Handler):
    """Says warnings, but not more than a few of them in a row: 32 trials may say the same."""

    def __init__(self, talk: Talk) -> None:
        super().__init__(logging.WARNING)
        self._talk = talk
        self._window_began = 0.0
        self._said = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._window_began > WINDOW_S:
            self._window_began, self._said = record.created, 0
        self._said += 1
        if self._said <= WARNINGS_PER_WINDOW:
            self._talk.warn(f"podmap: {record.getMessage()}")
        elif self._said == WARNINGS_PER_WINDOW + 1:
            self._talk.warn("podmap: … and more of these")
