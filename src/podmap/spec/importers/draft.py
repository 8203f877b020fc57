"""A spec made of another tool's file: its keys, what to know of them, and what cannot be kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from podmap.spec.findings import Place, path_text
from podmap.spec.yaml import Node, scalar, to_data

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./=%-]*")
_FLOW_CHARS = 72


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of a file that the spec does not do, or does otherwise.

    Attributes:
        line: One-based, in the file.
        path: The key in the file.
        message: What becomes of it, and what to do.
    """

    line: int
    path: str
    message: str

    def describe(self, source: str) -> str:
        """The loss as a line for people."""
        return f"{source}:{self.line}: {self.path}: {self.message}"


@dataclass
class Draft:
    """A spec under construction.

    Attributes:
        root: The file.
        spec: The spec so far.
        lost: What cannot be kept.
        comments: Key path of the spec to what stands above it.
        asked: The place of the file that was last looked at.
    """

    root: Node
    spec: dict[str, Any] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    comments: dict[tuple[str, ...], str] = field(default_factory=dict)
    asked: Place = ()
    _read: set[Place] = field(default_factory=set)

    def get(self, *place: str | int) -> Any:
        """The plain value at a place of the file, which is known from now on; None if none."""
        found = self.look(*place)
        self._read.add(place)
        return found

    def look(self, *place: str | int) -> Any:
        """As `get`, without what stands there being known from then on."""
        self.asked = place
        node = self.root.at(place)
        return None if node is None else to_data(node)

    def is_known(self, *place: str | int) -> bool:
        """Whether what stands at a place was read, or is lost."""
        return place in self._read

    def line(self, *place: str | int) -> int:
        """The line of what stands at a place, or around it."""
        return self.root.mark_of(place, key=True)[0]

    def lose(self, message: str, *place: str | int) -> None:
        """Says what cannot be kept; of what was read in part the rest is still unknown."""
        if not any(known[: len(place)] == place for known in self._read):
            self._read.add(place)
        self.lost.append(Lost(self.line(*place), path_text(place), message))

    def lose_unread(self, message: str) -> None:
        """Says of all that was neither read nor lost that it has no meaning here."""
        for place in self._unread(self.root, ()):
            self.lose(message, *place)

    def _unread(self, node: Node, place: Place) -> Iterator[Place]:
        if place in self._read:
            return
        if place and not any(known[: len(place)] == place for known in self._read):
            yield place
            return
        if isinstance(node.value, dict):
            for name, child in node.value.items():
                yield from self._unread(child, (*place, name))
        elif isinstance(node.value, list):
            for index, child in enumerate(node.value):
                yield from self._unread(child, (*place, index))

    def text(self, *, head: str, source: str) -> str:
        """The spec as YAML, with its comments, and below them what was lost.

        Args:
            head: The first comment.
            source: What the file is called.
        """
        self.lost.sort(key=lambda one: (one.line, one.path))
        lines = [f"# {line}" for line in head.splitlines()]
        if self.lost:
            lines += ["#", "# Not kept, or not as it was:"]
            lines += [f"#   {one.describe(source)}" for one in self.lost]
        lines += list(self._lines(self.spec, (), 0))
        return "\n".join(lines) + "\n"

    def _lines(self, value: Mapping[str, Any], path: tuple[str, ...], depth: int) -> Iterator[str]:
        pad = "  " * depth
        for name, child in value.items():
            here = (*path, name)
            if here in self.comments:
                yield from (f"{pad}# {line}" for line in self.comments[here].splitlines())
            flow = flow_text(child)
            is_long = len(flow) + 2 * depth > _FLOW_CHARS or self._has_comments(here)
            if isinstance(child, Mapping) and child and is_long:
                yield f"{pad}{flow_text(name)}:"
                yield from self._lines(child, here, depth + 1)
            else:
                yield f"{pad}{flow_text(name)}: {flow}"

    def _has_comments(self, path: tuple[str, ...]) -> bool:
        return any(known[: len(path)] == path for known in self.comments)


def flow_text(value: Any) -> str:
    """A value in one line of YAML 1.2."""
    if isinstance(value, Mapping):
        pairs = (f"{flow_text(name)}: {flow_text(child)}" for name, child in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow_text, value)) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and scalar(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def dns_label(text: str) -> str:
    """A sweep's name made of another name."""
    label = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    return label[:40].strip("-") or "imported"
