"""Output in pieces of bytes, as lines of bounded length."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

MAX_LINE_CHARS = 64 * 1024
"""A longer line is handed on in pieces of this size, so that memory stays bounded."""


class LineSplitter:
    r"""Turns chunks of bytes into lines; `\r` ends a line as `\n` does.

    The lines are the same however the bytes are cut into chunks.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that ended with this chunk, without their ends; empty ones are left out."""
        text = self._rest + self._decoder.decode(data)
        *lines, rest = text.replace("\r", "\n").split("\n")
        # The last piece waits for more even if it is full: its end may be all that is missing.
        while len(rest) > MAX_LINE_CHARS:
            lines.append(rest[:MAX_LINE_CHARS])
            rest = rest[MAX_LINE_CHARS:]
        self._rest = rest
        return _pieces(lines)

    def finish(self) -> Iterator[str]:
        """The last line, if the output did not end with a line's end."""
        rest, self._rest = self._rest + self._decoder.decode(b"", True), ""
        return _pieces([rest])


def _pieces(lines: list[str]) -> Iterator[str]:
    if max(map(len, lines), default=0) <= MAX_LINE_CHARS:
        return filter(None, lines)  # a flood of short lines is hundreds of thousands of them
    return _cut(lines)


def _cut(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if len(line) <= MAX_LINE_CHARS:
            if line:
                yield line
        else:
            for start in range(0, len(line), MAX_LINE_CHARS):
                yield line[start : start + MAX_LINE_CHARS]
