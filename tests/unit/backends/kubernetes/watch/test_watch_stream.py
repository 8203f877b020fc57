"""The stream of a watch as bad networks give it: cut anywhere, doubled, stale, with junk in it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.base import Phase
from podmap.backends.kubernetes.client import ApiError
from podmap.backends.kubernetes.watch.watch import PodWatch, _lines
from podmap.errors import BackendError
from podmap.testing.virtual_time import run_in_virtual_time

from .raw_pods import raw_pod

LIFE = ("gated", "pending", "running", "succeeded")
PHASES = {
    "gated": Phase.PENDING,
    "pending": Phase.PENDING,
    "running": Phase.RUNNING,
    "succeeded": Phase.ENDED,
}
JUNK = (b"\n", b"null\n", b"[]\n", b'{"type": "ADDED"}\n', b"\xff\xfe{\n", b'{"type": "\n')
GONE = json.dumps({"type": "ERROR", "object": {"code": 410, "message": "expired"}}).encode() + b"\n"
AHEAD = b'{"type": "ERROR", "object": {"code": 504, "message": "Too large resource version: 9"}}\n'


@dataclass
class BadServer:
    """Pods, and connections that go wrong in a way each until there are no ways left.

    Attributes:
        pods: Number to the state that it is in at last.
        streams: What each watch sends before it ends; the one after the last stays open.
        lists: What each list fails with, or None.
    """

    pods: Mapping[int, str]
    streams: list[tuple[bytes, bool]]
    lists: list[int | None]
    has_answered: bool = True
    asked: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    def item(self, number: int) -> dict[str, Any]:
        state = self.pods[number]
        gates = ("podmap.io/slot",) if state == "gated" else ()
        version = 100 + 10 * number + LIFE.index(state)
        return raw_pod(state, number=number, version=version, gates=gates)

    async def pages(self, path: str, *, selector: str) -> AsyncIterator[dict[str, Any]]:
        self.asked += 1
        status = self.lists.pop(0) if self.lists else None
        if status is not None:
            raise ApiError("refused", status=status, reason="", body={})
        items = [self.item(number) for number in self.pods]
        yield {"metadata": {"resourceVersion": "1000"}, "items": items}

    @asynccontextmanager
    async def stream(
        self, what: str, path: str, params: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked += 1
        yield self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        if not self.streams:
            self.quiet.set()
            await asyncio.Event().wait()
        sent, dies = self.streams.pop(0)
        for start in range(0, len(sent), 700):
            await asyncio.sleep(0)
            yield sent[start : start + 700]
        if dies:
            raise BackendError("the connection was cut")


@dataclass(frozen=True)
class Sent:
    """What one watch sends: events of number, stage and kind; junk among them; how much of it."""

    events: list[tuple[int, int, str]]
    junk: bytes
    junk_at: int
    share: float
    dies: bool

    def stream(self, ends: list[str]) -> tuple[bytes, bool]:
        """Its bytes: no pod has come further than its end. They are cut at any byte."""
        lines = []
        for number, stage, kind in self.events:
            nth = min(stage, LIFE.index(ends[number]))
            raw = raw_pod(LIFE[nth], number=number, version=100 + 10 * number + nth)
            lines.append(json.dumps({"type": kind, "object": raw}).encode() + b"\n")
        lines.insert(self.junk_at, self.junk)
        whole = b"".join(lines)
        return whole[: int(len(whole) * self.share)], self.dies


EVENTS = st.tuples(
    st.integers(0, 2), st.integers(0, 3), st.sampled_from(["ADDED", "MODIFIED", "BOOKMARK"])
)
SENT = st.builds(
    Sent,
    # The same event twice, and older ones after newer ones, are among them.
    events=st.lists(EVENTS, max_size=6),
    junk=st.sampled_from([b"", *JUNK, GONE, AHEAD]),
    junk_at=st.integers(0, 6),
    share=st.floats(0, 1),
    dies=st.booleans(),
)


@given(
    ends=st.lists(st.sampled_from(LIFE), min_size=3, max_size=3),
    there=st.sets(st.integers(0, 2)),
    bad=st.lists(SENT, max_size=4),
    lists=st.lists(st.sampled_from([None, 410, 429, 500, 503]), max_size=4),
)
def test_whatever_a_watch_sends_all_is_known_in_the_end(
    ends: list[str],
    there: set[int],
    bad: list[Sent],
    lists: list[int | None],
) -> None:
    logging.disable(logging.CRITICAL)
    try:
        pods = {number: ends[number] for number in there}
        run_in_virtual_time(_watched(BadServer(pods, [each.stream(ends) for each in bad], lists)))
    finally:
        logging.disable(logging.NOTSET)


async def _watched(server: BadServer) -> None:
    tries = len(server.streams) + len(server.lists)
    loop = asyncio.get_running_loop()
    client: Any = server
    watch = PodWatch(client, "default", lambda pod: None, clock=loop.time)
    watch.start()
    await server.quiet.wait()
    server.lists.clear()
    await watch.relist()
    known = {each.number: each for each in watch.pods if each.seen.phase is not Phase.GONE}
    assert watch.failure is None
    for number, state in server.pods.items():
        assert PHASES[state] is known[number].seen.phase
    assert set(server.pods) == set(known)
    assert server.asked <= 4 * tries + 4
    await watch.close()


@given(
    st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=8),
    st.lists(st.integers(1, 9), min_size=1),
)
def test_lines_are_the_same_however_they_come(lines: list[bytes], sizes: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in lines)

    async def chunks() -> AsyncIterator[bytes]:
        at = nth = 0
        while at < len(whole):
            size = sizes[nth % len(sizes)]
            yield whole[at : at + size]
            at, nth = at + size, nth + 1

    async def read() -> list[bytes]:
        return [line async for line in _lines(chunks())]

    assert [line for line in lines if line] == run_in_virtual_time(read())
