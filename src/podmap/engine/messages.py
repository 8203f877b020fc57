"""What a trial says on its standard output: `podmap:` and a JSON object, at the end of a line."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "podmap:"
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
    for line in lines:
        if len(line) <= MAX_LINE_CHARS:
            if line:
                yield line
        else:
            for start in range(0, len(line), MAX_LINE_CHARS):
                yield line[start : start + MAX_LINE_CHARS]


@dataclass(slots=True)
class Messages:
    """What has been heard so far from one attempt.

    Attributes:
        final: The last `{"final": {...}}`; None if there was none.
        pruned: Whether it said `{"pruned": true}`.
        last_report: The report with the highest step; empty if there was none.
    """

    final: Mapping[str, Any] | None = None
    pruned: bool = False
    last_report: Mapping[str, Any] = field(default_factory=dict)

    def hear(self, line: str) -> bool:
        """Takes in one line; returns whether it was a message of podmap's.

        What stands before the prefix is left out: a progress bar on stderr that has not ended
        its line shares it with the message that comes after.
        """
        start = line.find(PREFIX)
        if start < 0:
            return False
        try:
            message = json.loads(line[start + len(PREFIX) :])
        except (ValueError, RecursionError):
            return False
        return isinstance(message, dict) and self._take(message)

    def _take(self, message: dict[str, Any]) -> bool:
        step = message.get("step")
        if isinstance(message.get("final"), dict):
            self.final = message["final"]
        elif message.get("pruned") is True:
            self.pruned = True
        elif isinstance(step, int) and not isinstance(step, bool):
            if step >= self.last_report.get("step", -math.inf):
                self.last_report = message
        else:
            return False
        return True


def read_messages(output: bytes) -> Messages:
    """What the messages in a piece of output say."""
    messages = Messages()
    if PREFIX.encode() in output:
        splitter = LineSplitter()
        for line in (*splitter.feed(output), *splitter.finish()):
            messages.hear(line)
    return messages
