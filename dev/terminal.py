"""A terminal for tests: a real pty of a given size, and the screen that its output makes."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

_PART = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|[\r\n\b]|[^\x1b\r\n\b]")


class Screen:
    """What a terminal shows of what is written to it: the lines, all the way up.

    It knows what podmap's commands write: text, new lines, cursor up and down, and erasing.
    """

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        self.wrapped = 0
        """How often a text went on in the next line, since it was too long for its own."""

    def feed(self, text: str) -> Screen:
        at = 0
        while at < len(text):
            found = _PART.match(text, at)
            if found is None:
                raise AssertionError(f"unknown: {text[at : at + 20]!r}")
            self._take(found)
            at = found.end()
        return self

    @property
    def lines(self) -> list[str]:
        return ["".join(line).rstrip() for line in self._lines]

    def _take(self, part: re.Match[str]) -> None:
        private, number, command = part.groups()
        if command is None:
            self._char(part[0])
        elif private or command == "m":
            pass  # the cursor is shown or not; colours
        elif command == "A":
            self._row = max(0, self._row - int(number or 1))
        elif command == "B":
            self._row += int(number or 1)
        elif command == "G":
            self._column = int(number or 1) - 1
        elif command == "K":
            line = self._lines[self._row]
            del line[0 if number == "2" else self._column :]
        elif command == "J":
            del self._lines[self._row + 1 :]
            del self._lines[self._row][self._column :]
        else:
            raise AssertionError(f"unknown: {part[0]!r}")

    def _char(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._down()
        elif char == "\b":
            self._column = max(0, self._column - 1)
        else:
            wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if self._column + wide > self._columns:
                self.wrapped += 1
                self._down()
                self._column = 0
            line = self._lines[self._row]
            line.extend(" " * (self._column + 1 - len(line)))
            line[self._column] = char
            self._column += 1
            if wide == 2:
                line[self._column : self._column + 1] = [""]
                self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])


def open_terminal(columns: int) -> tuple[int, int]:
    """The two ends of a pty that is so wide: ours, and that of a command."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def read_terminal(ours: int) -> str:
    """All that a command writes, until it has ended."""
    seen = b""
    with open(ours, "rb", buffering=0) as file:
        try:
            while chunk := file.read(65536):
                seen += chunk
        except OSError:  # Linux says so when the other end is closed
            pass
    return seen.decode()


def on_terminal(
    args: Sequence[str], *, columns: int, folder: Path, env: Mapping[str, str], code: int = 0
) -> str:
    """What a command of podmap writes on a terminal, standard output and error together."""
    ours, theirs = open_terminal(columns)
    clean = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES", "CI")}
    process = subprocess.Popen(
        [sys.executable, "-m", "podmap.cli.main", *args],
        cwd=folder,
        env={"TERM": "xterm-256color", **clean},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = read_terminal(ours)
    assert code == process.wait()
    return seen
