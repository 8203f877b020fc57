"""A proxy on the loopback before an HTTP server, which treats requests as a bad network would.

It stands before the API server, the store, or Airflow's execution API. What it does to requests
is a `Trouble`, which can be set and taken away at any time and from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

START_S = 30.0
LEFT_OPEN_S = 3600.0
_HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding"}
_TIMES = re.compile(rb'("(?:startedAt|finishedAt)":\s*")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(Z")')

MISHAPS = ("delay", "stall", "drop", "lose", "truncate")
"""What can happen to a request beside an answer of a status: it waits for up to 3 s; it is never
answered and never closed; its connection is cut before it is sent on; or after it was answered;
or in the middle of the answer."""


@dataclass(frozen=True)
class Trouble:
    """What happens to requests.

    Attributes:
        mishaps: Names of `MISHAPS`, or statuses of HTTP as text; each as likely as the others.
        share: Of how many requests it happens to one of them, from 0 to 1.
        matches: Which requests it may happen to, by `METHOD /path`; a regular expression.
        cuts_streams: Whether answers that are under way are cut when it begins.
        holds_streams: Whether answers that are under way get nothing more while it lasts, and are
            left open.
        node_clock_s: By how many seconds the nodes' times in what the API server says are off.
    """

    mishaps: Sequence[str] = ()
    share: float = 0.0
    matches: str = ".*"
    cuts_streams: bool = False
    holds_streams: bool = False
    node_clock_s: float = 0.0


NONE = Trouble()


class FaultProxy:
    """The proxy; it runs in a thread while it is entered."""

    def __init__(self, upstream: str, *, authority: str | None = None, seed: int = 1) -> None:
        """Starts nothing yet.

        Args:
            upstream: The server's URL, without a path.
            authority: The PEM certificate that an https server's is signed with.
            seed: Decides which requests fare badly.
        """
        self.happened: Counter[str] = Counter()
        self._upstream = upstream.rstrip("/")
        self._authority = authority
        self._random = random.Random(seed)
        self._trouble = NONE
        self._open: dict[int, web.BaseRequest] = {}
        self._changed = asyncio.Event()
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)
        self._port = 0

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        if not self._ready.wait(START_S):
            raise OSError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    @contextlib.contextmanager
    def trouble(self, trouble: Trouble) -> Iterator[None]:
        """While it lasts, requests fare so."""
        self._set(trouble)
        try:
            yield
        finally:
            self._set(NONE)

    def _set(self, trouble: Trouble) -> None:
        def change() -> None:
            self._trouble = trouble
            self._changed.set()
            self._changed = asyncio.Event()
            if trouble.cuts_streams:
                for request in list(self._open.values()):
                    self._cut(request)

        self._loop.call_soon_threadsafe(change)

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        context = ssl.create_default_context(cadata=self._authority) if self._authority else False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()
        await self._session.close()

    def _mishap(self, request: web.BaseRequest) -> str:
        trouble = self._trouble
        name = f"{request.method} {request.path}"
        if not trouble.mishaps or not re.fullmatch(trouble.matches, name):
            return ""
        if self._random.random() >= trouble.share:
            return ""
        chosen = self._random.choice(list(trouble.mishaps))
        self.happened[chosen] += 1
        return chosen

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        mishap = self._mishap(request)
        if mishap.isdigit():
            return _answer(int(mishap))
        if mishap == "delay":
            await asyncio.sleep(self._random.uniform(0.2, 3.0))
        elif mishap == "stall":
            # Longer than any trouble: who waits for it must give up by itself.
            await asyncio.sleep(LEFT_OPEN_S)
        elif mishap == "drop":
            return self._cut(request)
        try:
            return await self._forward(request, mishap)
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError):
            return self._cut(request)

    @staticmethod
    def _cut(request: web.BaseRequest) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _forward(self, request: web.BaseRequest, mishap: str) -> web.StreamResponse:
        body = await request.read()
        async with self._session.request(
            request.method,
            self._upstream + request.raw_path,
            headers={k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP},
            data=body,
            allow_redirects=False,
        ) as answer:
            if mishap == "lose":
                await answer.content.readany()  # of a watch, only what comes first
                return self._cut(request)
            return await self._pass_on(request, answer, mishap)

    async def _pass_on(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, mishap: str
    ) -> web.StreamResponse:
        kept = {k: v for k, v in answer.headers.items() if k.lower() != "transfer-encoding"}
        if self._trouble.node_clock_s:
            kept.pop("Content-Length", None)
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        self._open[id(request)] = request
        try:
            if mishap == "truncate":
                whole = await answer.content.readany()
                await response.write(whole[: len(whole) // 2])
                return self._cut(request)
            async for chunk in _whole_lines(answer):
                while self._trouble.holds_streams:
                    await self._changed.wait()
                await response.write(_shifted(chunk, self._trouble.node_clock_s))
            await response.write_eof()
            return response
        finally:
            self._open.pop(id(request), None)


async def _whole_lines(answer: aiohttp.ClientResponse) -> Any:
    """The body as it comes; JSON in whole lines, so that a time in it is never split."""
    if "json" not in answer.headers.get("Content-Type", ""):
        async for chunk in answer.content.iter_any():
            yield chunk
        return
    rest = b""
    async for chunk in answer.content.iter_any():
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest


def _shifted(chunk: bytes, by_s: float) -> bytes:
    if not by_s:
        return chunk

    def shift(match: re.Match[bytes]) -> bytes:
        at = datetime.fromisoformat(match[2].decode()) + timedelta(seconds=by_s)
        return match[1] + at.isoformat().encode() + match[3]

    return _TIMES.sub(shift, chunk)


def _answer(status: int) -> web.Response:
    reasons = {403: "Forbidden", 429: "TooManyRequests", 503: "ServiceUnavailable"}
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "refused by the proxy of the chaos suite",
        "reason": reasons.get(status, "InternalError"),
        "code": status,
    }
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.Response(
        status=status,
        text=json.dumps(body),
        content_type="application/json",
        headers=headers,
    )
