"""JSON of an API server, within limits: others write parts of what it holds."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_BYTES = 64 * 1024 * 1024
"""The largest answer that is taken. An object of a cluster has a few MiB at most."""
MAX_DEPTH = 100
"""What is nested deeper is left out. Nothing that podmap reads is half as deep."""

_VERSION = re.compile(r"[0-9]{1,20}", re.ASCII)
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_json(raw: bytes) -> Any:
    """The value in a JSON text, without what is nested too deep to be read.

    One object of a list cannot keep the others from being read: `managedFields` and the like are
    as deep as whoever writes them wants.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return json.loads(raw)
    except RecursionError:
        return json.loads(_flattened(raw))


def version_number(version: str) -> int | None:
    """A resourceVersion as the number that it is in every known store; None if it is another text.

    It has at most 64 bits, so a longer one is no number: int() would refuse thousands of digits.
    """
    return int(version) if _VERSION.fullmatch(version) else None


def _flattened(raw: bytes) -> bytes:
    """The text without what stands deeper than `MAX_DEPTH`."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(raw):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                kept.append(raw[start : token.start()] + b"null")
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == MAX_DEPTH:
                start = token.end()
    if depth <= MAX_DEPTH:
        kept.append(raw[start:])
    return b"".join(kept)
