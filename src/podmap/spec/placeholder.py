"""Placeholders: `{root.name}` in command, args, env, checkpoint, output, image and labels.

Only `{root.name}` with a known root is a placeholder; all other braces are literal, and
`{{root.name}}` stands for the literal text `{root.name}`. Replacement is done once: a value
that looks like a placeholder stays as it is. Nothing is evaluated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROOTS = ("params", "trial", "run", "sweep", "shard")
KNOWN: Mapping[str, tuple[str, ...]] = {
    "trial": (
        *("number", "key", "seed", "repeat", "slot"),
        *("result", "attempt", "checkpoint", "output"),
    ),
    "run": ("id", "uri"),
    "sweep": ("name",),
    "shard": ("uri", "name", "index"),
}
"""The names under each root; those under `params` depend on the search."""

_REFERENCE = rf"\{{(?:{'|'.join(ROOTS)})\.[A-Za-z0-9_.\-]+\}}"
_PATTERN = re.compile(rf"\{{({_REFERENCE})\}}|({_REFERENCE})")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder in a text.

    Attributes:
        root: One of `ROOTS`.
        name: What follows the first dot.
    """

    root: str
    name: str

    def __str__(self) -> str:
        return f"{{{self.root}.{self.name}}}"


SLOT = Placeholder("trial", "slot")


def names_slot(text: str) -> bool:
    """Whether the slot stands in a text."""
    return "trial.slot" in text and SLOT in find_placeholders(text)


def find_placeholders(text: str) -> list[Placeholder]:
    """The placeholders in a text, in order, without escaped ones."""
    found = []
    for match in _PATTERN.finditer(text):
        if match[2] is not None:
            root, _, name = match[2][1:-1].partition(".")
            found.append(Placeholder(root, name))
    return found


def fill_placeholders(text: str, values: Mapping[str, Mapping[str, Any]]) -> str:
    """The text with every placeholder replaced and every escape undone.

    Args:
        text: The template.
        values: Root to name to value; text is taken as it is, all else as by `to_text`.

    Raises:
        LookupError: A placeholder has no value; the message names it.
    """
    if "{" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        root, _, name = match[2][1:-1].partition(".")
        try:
            return to_text(values[root][name])
        except KeyError:
            raise LookupError(f"{match[2]} has no value") from None

    return _PATTERN.sub(replace, text)


def to_text(value: Any) -> str:
    """A param's value as training code gets it.

    Text as it is, numbers in their shortest form, `true`, `false` and `null`, lists as JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
