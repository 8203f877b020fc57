"""The objects of a fake cluster: versions, events, watches; patches as the API server does them."""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
ObjectKey = tuple[str, str, str]
"""Resource, namespace, name."""


class RefusedError(Exception):
    """An answer that is an error; `status` is its HTTP status."""

    def __init__(self, status: int, reason: str, message: str, **more: Any) -> None:
        self.status = status
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": status,
            "reason": reason,
            "message": message,
            **more,
        }
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """A change, as it is sent to watches."""

    version: int
    resource: str
    namespace: str
    labels: Mapping[str, str]
    line: bytes


@dataclass(eq=False, slots=True)
class OpenWatch:
    """One open watch."""

    resource: str
    namespace: str
    selector: Mapping[str, str]
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    lines: deque[bytes] = field(default_factory=deque)
    ended: bool = False

    def wants(self, event: ObjectEvent) -> bool:
        """Whether the event is for this watch."""
        return (
            event.resource == self.resource
            and event.namespace == self.namespace
            and matches(self.selector, event.labels)
        )

    def send(self, line: bytes) -> None:
        """Has a line sent."""
        self.lines.append(line)
        self.wake.set()

    def end(self) -> None:
        """Has the watch ended once all lines are sent."""
        self.ended = True
        self.wake.set()


class FakeObjects:
    """All objects, and the events of late."""

    def __init__(self, *, history: int = 10_000) -> None:
        """Holds nothing yet.

        Args:
            history: How many events are kept for watches that begin in the past.
        """
        self.version = 100
        self.by_key: dict[ObjectKey, Object] = {}
        self.watchers: set[OpenWatch] = set()
        self._history: deque[ObjectEvent] = deque(maxlen=history)
        self._forgotten = self.version
        self.on_change: Callable[[ObjectKey, Object | None], None] = lambda key, item: None
        """Called with each object that was changed, or None once it is removed."""
        self.repeats = 0
        """How many older events are sent again after each event."""

    @property
    def oldest(self) -> int:
        """The oldest version from which a watch or a list can go on."""
        return self._forgotten

    def get(self, key: ObjectKey) -> Object:
        """The object itself.

        Raises:
            RefusedError: There is none.
        """
        try:
            return self.by_key[key]
        except KeyError:
            raise RefusedError(404, "NotFound", f'{key[0]} "{key[2]}" not found') from None

    def find(self, resource: str, namespace: str, selector: Mapping[str, str]) -> Iterator[Object]:
        """The objects that match, ordered by name."""
        for key in sorted(self.by_key):
            if key[:2] == (resource, namespace):
                item = self.by_key[key]
                if matches(selector, item["metadata"].get("labels") or {}):
                    yield item

    def create(self, key: ObjectKey, item: Object) -> Object:
        """Adds an object.

        Raises:
            RefusedError: The name is taken.
        """
        if key in self.by_key:
            raise RefusedError(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists')
        item["metadata"].update(namespace=key[1], uid=str(uuid.uuid4()))
        self.by_key[key] = item
        self._publish("ADDED", key, item)
        return item

    def put(self, key: ObjectKey, item: Object) -> Object:
        """Replaces an object by a changed one."""
        self.by_key[key] = item
        self._publish("MODIFIED", key, item)
        return item

    def remove(self, key: ObjectKey) -> None:
        """Removes an object."""
        self._publish("DELETED", key, self.by_key.pop(key))

    def watch(
        self, resource: str, namespace: str, selector: Mapping[str, str], since: int
    ) -> OpenWatch:
        """A new watch, with the events since a version at hand."""
        watcher = OpenWatch(resource, namespace, selector)
        if since < self._forgotten or since > self.version:
            watcher.send(expired_line() if since < self._forgotten else self._too_large_line(since))
            watcher.end()
            return watcher
        for event in self._history:
            if event.version > since and watcher.wants(event):
                watcher.send(event.line)
        self.watchers.add(watcher)
        return watcher

    def forget_history(self) -> None:
        """Has every watch that begins in the past answered with 410."""
        self._history.clear()
        self.version += 1
        self._forgotten = self.version

    def turn_back(self, versions: int) -> None:
        """Makes all versions smaller, as a store that was restored from a backup does."""
        self._history.clear()
        self.version = max(1, self.version - versions)
        self._forgotten = self.version
        for item in self.by_key.values():
            old = int(item["metadata"]["resourceVersion"])
            item["metadata"]["resourceVersion"] = str(max(1, old - versions))

    def _too_large_line(self, since: int) -> bytes:
        text = f"Too large resource version: {since}, current: {self.version}"
        return _line({"type": "ERROR", "object": RefusedError(504, "Timeout", text).body})

    def bookmark(self, kind: str = "Pod") -> bytes:
        """A bookmark of the newest version."""
        metadata = {"resourceVersion": str(self.version)}
        return _line({"type": "BOOKMARK", "object": {"kind": kind, "metadata": metadata}})

    def _publish(self, kind: str, key: ObjectKey, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        labels = dict(item["metadata"].get("labels") or {})
        line = _line({"type": kind, "object": item})
        event = ObjectEvent(self.version, key[0], key[1], labels, line)
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].version
        self._history.append(event)
        self.on_change(key, None if kind == "DELETED" else item)
        for watcher in self.watchers:
            if watcher.wants(event):
                watcher.send(line)
                for older in self._older(event):
                    watcher.send(older)

    def _older(self, event: ObjectEvent) -> Sequence[bytes]:
        """Events of the past, which are sent again where a test wants that."""
        if not self.repeats:
            return []
        past = [old.line for old in self._history if old.resource == event.resource]
        step = max(1, len(past) // self.repeats)
        return [*past[::-step][: self.repeats], event.line]


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether labels have all that a selector asks for."""
    return all(labels.get(name) == value for name, value in selector.items())


def parse_selector(text: str) -> dict[str, str]:
    """A label selector of equalities."""
    return dict(part.split("=", 1) for part in text.replace("==", "=").split(",") if part)


def merge_patch(item: Any, change: Any) -> Any:
    """The result of a JSON merge patch (RFC 7386)."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(item) if isinstance(item, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(item: Object, steps: list[Mapping[str, Any]]) -> Object:
    """The result of a JSON patch (RFC 6902) of test, add, replace and remove.

    Raises:
        RefusedError: A test failed, or there is nothing at a path.
    """
    result = copy.deepcopy(item)
    for step in steps:
        *parents, last = [
            part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:]
        ]
        try:
            at: Any = result
            for part in parents:
                at = at[int(part)] if isinstance(at, list) else at[part]
            _patch_step(at, int(last) if isinstance(at, list) else last, step)
        except (LookupError, ValueError, TypeError) as error:
            raise RefusedError(422, "Invalid", f"{step['op']} {step['path']}: {error}") from error
    return result


def _patch_step(at: Any, place: Any, step: Mapping[str, Any]) -> None:
    if step["op"] == "test":
        if at[place] != step["value"]:
            raise ValueError("the value is another")
    elif step["op"] == "remove":
        del at[place]
    else:
        at[place] = copy.deepcopy(step["value"])


def expired_line() -> bytes:
    """What a watch is sent whose events are forgotten."""
    status = RefusedError(410, "Expired", "too old resource version").body
    return _line({"type": "ERROR", "object": status})


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"
