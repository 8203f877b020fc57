"""Standard output and standard error as the commands use them.

Talk may be lost, data may not; and no text reaches a terminal with what it would obey.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import select
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

import click

_NULL = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}
"""How /dev/null stands in for a descriptor that is closed: writing data to it must fail."""
DATA_LOST = 3
"""The exit code of a command whose data could not be written, as of one whose store cannot."""
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Control characters but for tab and new line, what changes the direction of text, and what takes
no room: a person would not see it."""


def safe(line: str) -> str:
    """The text, with all that a terminal would obey, or show elsewhere, as a question mark."""
    return UNSAFE.sub("?", line)


class SafeText:
    """A text stream that all text passes through `safe` on its way to another one.

    Bytes that are written to its `buffer` do not: who does that must know what reads them.

    Attributes:
        unfiltered: The other one, for who draws with control characters.
        ascii_only: Whether other characters are shown by their escapes, since the terminal or
            file takes none.
        encoding: The other one's; that of what is escaped is never reached.
    """

    def __init__(self, unfiltered: TextIO) -> None:
        """Takes the stream that it writes to, and which it never closes."""
        self.unfiltered = unfiltered
        named = str(getattr(unfiltered, "encoding", None) or "utf-8")
        self.ascii_only = codecs.lookup(named).name == "ascii"
        # Click would go around a stream that says ASCII.
        self.encoding = "utf-8" if self.ascii_only else named

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unfiltered, name)

    def write(self, text: str) -> int:
        """Writes the text, made safe."""
        encoding = "ascii" if self.ascii_only else "utf-8"  # which lone surrogates are not
        shown = safe(text).encode(encoding, "backslashreplace").decode(encoding)
        self.unfiltered.write(shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of the texts, made safe."""
        for line in lines:
            self.write(line)


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

    A stream that was put in the place of a standard one, as tests do, is the same stream again
    once they are given back.
    """

    def __init__(self) -> None:
        """Takes the place of `sys.stdout` and `sys.stderr`."""
        open_closed_descriptors()
        self._data: UnfailingWriter | None = None
        self._before = sys.stdout, sys.stderr
        if sys.stderr is None or sys.stderr is sys.__stderr__:
            sys.stderr = _text(UnfailingWriter(2), sys.stderr, line_buffering=True)
        if sys.stdout is None or sys.stdout is sys.__stdout__:
            self._data = UnfailingWriter(1)
            sys.stdout = _text(
                self._data, sys.stdout, line_buffering=getattr(sys.stdout, "line_buffering", False)
            )
        sys.stdout = cast(TextIO, SafeText(sys.stdout))
        sys.stderr = cast(TextIO, SafeText(sys.stderr))

    def finish(self) -> OSError | None:
        """Writes what is still held back; why data could not be written, None if all was."""
        sys.stdout.flush()
        return self._data.error if self._data else None

    def give_back(self) -> None:
        """Has streams that are not this process's own take their places again."""
        stdout, stderr = self._before
        if self._data is None:
            sys.stdout = stdout
        if stderr is not None and stderr is not sys.__stderr__:
            sys.stderr = stderr


def unfiltered(stream: TextIO) -> TextIO:
    """The stream below a standard one, for who draws with control characters."""
    return cast(TextIO, getattr(stream, "unfiltered", stream))


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


def end_unless_read() -> None:
    """Ends a command that goes on for its reader alone, once that is gone, as `head` is.

    Raises:
        click.exceptions.Exit: Standard output has no reader, or cannot be written.
    """
    stream: Any = sys.stdout
    raw = getattr(getattr(unfiltered(stream), "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, UnfailingWriter) else None
    if error is not None or _is_hung_up(stream):
        raise click.exceptions.Exit(DATA_LOST)


def _is_hung_up(stream: Any) -> bool:
    """Whether nobody will ever read what is written to a stream."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # none of the system's
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    gone = select.POLLERR | select.POLLHUP
    return any(events & gone for _, events in poll.poll(0))


def _text(raw: UnfailingWriter, before: TextIO | None, *, line_buffering: bool) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=(before.encoding if before else None) or "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
