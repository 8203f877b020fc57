"""What a trial says on its standard output: lines that begin with `podmap:` and hold JSON."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PREFIX = "podmap:"
MAX_LINE_CHARS = 64 * 1024
"""A longer line is handed on in pieces of this size, so that memory stays bounded."""


class LineSplitter:
    """Turns chunks of bytes into lines; `\\r` ends a line as `\\n` does."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that ended with this chunk, without their ends; empty ones are left out."""
        text = self._rest + self._decoder.decode(data)
        *lines, self._rest = text.replace("\r", "\n").split("\n")
        while len(self._rest) > MAX_LINE_CHARS:
            lines.append(self._rest[:MAX_LINE_CHARS])
            self._rest = self._rest[MAX_LINE_CHARS:]
        return (line for line in lines if line)

    def finish(self) -> Iterator[str]:
        """The last line, if the output did not end with a line's end."""
        rest, self._rest = self._rest + self._decoder.decode(b"", True), ""
        return iter([rest] if rest else [])


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
        """Takes in one line; returns whether it was a message of podmap's."""
        text = line.strip()
        if not text.startswith(PREFIX):
            return False
        try:
            message = json.loads(text[len(PREFIX) :])
        except ValueError:
            return False
        if not isinstance(message, dict):
            return False
        if isinstance(message.get("final"), dict):
            self.final = message["final"]
        elif message.get("pruned") is True:
            self.pruned = True
        elif isinstance(message.get("step"), int):
            if message["step"] >= self.last_report.get("step", 0):
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
