"""What can be read of a result that was too large to be kept whole. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from podmap.backends.base import Cut

_SPACE = " \t\r\n"
# The comma shows that the quote opens a string, and is not an escaped one within.
_NEXT_PAIR = re.compile(r',[ \t\r\n]*(?=")')


def whole_pairs(raw: bytes, cut: Cut) -> Mapping[str, Any]:
    """The pairs of an object that are whole, and certainly its own, in what was kept of it.

    Args:
        raw: What was kept.
        cut: Which end of it is missing. With both ends gone nothing is certain, since the pairs
            of an object within the result look the same as its own.
    """
    if cut is Cut.END:
        return leading_pairs(raw)
    return trailing_pairs(raw) if cut is Cut.START else {}


def leading_pairs(raw: bytes) -> dict[str, Any]:
    """The whole leading pairs of an object whose end was cut off; empty if there are none."""
    text = _decoded(raw)
    decoder = json.JSONDecoder()
    pairs: dict[str, Any] = {}
    position = _after(text, 0, "{")
    try:
        while position >= 0:
            key, position = decoder.raw_decode(text, _after_space(text, position))
            position = _after(text, position, ":")
            if not isinstance(key, str) or position < 0:
                break
            value, end = decoder.raw_decode(text, _after_space(text, position))
            position = _after(text, end, ",")
            if position < 0 and _after(text, end, "}") < 0:
                break  # the value may itself be cut: 12 of 12.5, or 1 of 1e-5
            pairs[key] = value
    except (ValueError, RecursionError):
        pass  # here it was cut
    return pairs


def trailing_pairs(raw: bytes) -> dict[str, Any]:
    """The whole trailing pairs of an object whose beginning was cut off; empty if there are none.

    They begin behind the first comma from where the rest, with a brace before it, is one object
    that ends where the result does. There the real object is as deep in brackets as that one, so
    the pairs are its own. A pair counts only if the comma before it was kept.
    """
    text = _decoded(raw)
    if not text.rstrip(_SPACE).endswith("}"):
        return {}
    for found in _NEXT_PAIR.finditer(text):
        try:
            pairs = json.loads("{" + text[found.end() :])
        except (ValueError, RecursionError):
            continue
        if isinstance(pairs, dict):
            return pairs
    return {}


def _decoded(raw: bytes) -> str:
    """The text between the characters that were cut through, if it was text at all."""
    start = 0
    while start < min(3, len(raw)) and raw[start] & 0b1100_0000 == 0b1000_0000:
        start += 1
    try:
        return raw[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        return raw[start : start + error.start].decode("utf-8")


def _after(text: str, position: int, mark: str) -> int:
    """The position behind the mark that comes next, space apart; -1 if another thing does."""
    position = _after_space(text, position)
    return position + 1 if text.startswith(mark, position) else -1


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
