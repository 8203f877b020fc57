"""Findings: what is wrong at a place of a spec, and how values and places are shown in messages."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from podmap.spec.characters import printable

Place = tuple[str | int, ...]
"""Keys and list indexes from the top of the spec."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_\-]+")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong.

    Attributes:
        place: Where; what is missing has the place where it should be.
        message: What was given and what is allowed.
        hint: The next step; may be empty.
        on: Whether the key or its value is at fault.
    """

    place: Place
    message: str
    hint: str = ""
    on: Literal["key", "value"] = "value"


def path_text(place: Place) -> str:
    """A place as one reads it: `search.items[3].lr`; odd keys are quoted."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _BARE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{printable(part)}"]'
    return text


def did_you_mean(given: object, allowed: Iterable[str], *, prefix: str = "") -> str:
    """A hint that names the allowed word nearest to what was given; empty if none is near.

    Args:
        given: What was written.
        allowed: The words it may have been meant as.
        prefix: What stands before the word in the hint.
    """
    words = {word.lower(): word for word in allowed}
    near = difflib.get_close_matches(str(given).lower(), words, n=1, cutoff=0.6)
    return f"did you mean {prefix + words[near[0]]!r}?" if near else ""


def show(value: Any) -> str:
    """A value as it stands in a message, short."""
    if isinstance(value, (dict, list)) and not value:
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than some thousand digits
        return "a number of too many digits"
    return text if len(text) <= 60 else text[:57] + "..."


def show_whole(value: Any) -> str:
    """As `show`, with what is in lists and mappings."""
    if not isinstance(value, (dict, list)):
        return show(value)
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:57] + "..."


def any_of(words: Iterable[str]) -> str:
    """Words as a choice in a sentence: `a, b or c`."""
    listed = list(words)
    if len(listed) < 2:
        return "".join(listed)
    return f"{', '.join(listed[:-1])} or {listed[-1]}"
