"""What commands say on standard error: messages, and warnings that modules log."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TextIO

import click

from podmap.cli._streams import safe

WINDOW_S = 10.0
WARNINGS_PER_WINDOW = 3


class Console:
    """Says lines on standard error.

    Attributes:
        quiet: Whether only warnings are said.
        on_terminal: Whether a person sees it as it comes, so that a bar may be drawn.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        """A console on a stream.

        Args:
            quiet: Say warnings only.
            stream: None for standard error.
        """
        self.quiet = quiet
        self._stream = stream or sys.stderr
        self.on_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._print: Callable[[str], None] = self._echo

    def say(self, line: str) -> None:
        """Says a line, unless quiet."""
        if not self.quiet:
            self._print(safe(line))

    def warn(self, line: str) -> None:
        """Says a line, quiet or not."""
        self._print(safe(line))

    def redirect(self, print_line: Callable[[str], None] | None) -> None:
        """Hands all lines to a function, while a bar is drawn; None ends that."""
        self._print = print_line or self._echo

    def show_logged_warnings(self) -> None:
        """Says what podmap's modules log as warnings, from now on."""
        logger = logging.getLogger("podmap")
        logger.handlers = [_WarningHandler(self)]
        logger.propagate = False

    def _echo(self, line: str) -> None:
        click.echo(line, file=self._stream)


class _WarningHandler(logging.Handler):
    """Says warnings, but not more than a few of them in a row: 32 trials may say the same."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._window_began = 0.0
        self._said = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.created - self._window_began > WINDOW_S:
            self._window_began, self._said = record.created, 0
        self._said += 1
        if self._said <= WARNINGS_PER_WINDOW:
            self._console.warn(f"podmap: {record.getMessage()}")
        elif self._said == WARNINGS_PER_WINDOW + 1:
            self._console.warn("podmap: … and more of these")
