"""Standard output and standard error as the commands use them: talk may be lost, data may not."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

_NULL = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How /dev/null stands in for a descriptor that is closed: writing data to it must fail."""


class UnfailingWriter(io.RawIOBase):
    """Writes to a descriptor; from its first error on, what is written is dropped.

    Attributes:
        error: Why something was dropped; None as long as nothing was.
    """

    def __init__(self, descriptor: int) -> None:
        """Takes an open descriptor, which it never closes."""
        self._descriptor = descriptor
        self.error: OSError | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person may see it."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Always: what cannot be written is dropped."""
        return True

    def write(self, data: Any) -> int:
        """Takes all of the bytes, whether they can be written or not."""
        view = memoryview(data).cast("B")
        written = 0
        while self.error is None and written < len(view):
            try:
                written += os.write(self._descriptor, view[written:])
            except BlockingIOError:  # a descriptor that does not block: until it takes more
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = error
        return len(view)


def open_closed_descriptors() -> None:
    """Gives descriptors 0, 1 and 2 something, lest a file opened later becomes one of them."""
    for descriptor, flags in _NULL.items():
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


class StandardStreams:
    """This process's standard streams in a shape that raises no error where they are used.

    A stream that was put in the place of a standard one, as tests do, is left as it is.
    """

    def __init__(self) -> None:
        """Takes the place of `sys.stdout` and `sys.stderr`."""
        open_closed_descriptors()
        self._data: UnfailingWriter | None = None
        if sys.stderr is None or sys.stderr is sys.__stderr__:
            sys.stderr = _text(UnfailingWriter(2), sys.stderr, line_buffering=True)
        if sys.stdout is None or sys.stdout is sys.__stdout__:
            self._data = UnfailingWriter(1)
            sys.stdout = _text(
                self._data, sys.stdout, line_buffering=getattr(sys.stdout, "line_buffering", False)
            )

    def finish(self) -> OSError | None:
        """Writes what is still held back; why data could not be written, None if all was."""
        sys.stdout.flush()
        return self._data.error if self._data else None


def folder_is_gone() -> bool:
    """Whether the folder that this process works in was deleted."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def reader_is_gone(error: OSError) -> bool:
    """Whether data was lost because whoever read it has seen enough, as `head` has."""
    return error.errno == errno.EPIPE


def _text(raw: UnfailingWriter, before: TextIO | None, *, line_buffering: bool) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=(before.encoding if before else None) or "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
