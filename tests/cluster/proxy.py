"""Between a client and a real API server: holds requests, or loses answers, at a test's word."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

PATIENCE_S = 90
_HOP_BY_HOP = {"connection", "content-length", "host", "transfer-encoding", "content-encoding"}


@dataclass
class Fault:
    """What happens to requests that match.

    Attributes:
        method: GET, POST, PATCH ...
        path: A pattern of the path without the query.
        forwards: Whether the server gets the request.
        holds: Whether the client waits for an answer until `release`; else the connection is cut.
        times: How many requests it happens to; the rest pass.
        reached: Set once it has happened, after the server has answered if it was asked.
    """

    method: str
    path: str
    forwards: bool
    holds: bool
    times: int
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Returns once it has happened to a request."""
        assert self.reached.wait(PATIENCE_S), f"no {self.method} of {self.path}"

    def release(self) -> None:
        """Lets the requests that are held go on, and gives them their answers."""
        self.released.set()


class ApiProxy:
    """A proxy in front of the server of a kubeconfig; start it by entering it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config: dict[str, Any] = json.loads(kubeconfig.read_text())
        self._faults: list[Fault] = []
        self._ready, self._over = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)
        self._port = 0

    def __enter__(self) -> ApiProxy:
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        for fault in self._faults:
            fault.release()
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def kubeconfig(self, path: Path) -> Path:
        """Writes a kubeconfig of the same account that goes through the proxy; the same path."""
        config = json.loads(json.dumps(self._config))
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self._port}"}
        path.write_text(json.dumps(config))
        return path

    def hold(self, method: str, path: str, *, forwards: bool, times: int = 1) -> Fault:
        """Has requests wait for their answers, for ever if need be."""
        return self._add(Fault(method, path, forwards, True, times))

    def lose_answers(self, method: str, path: str, *, times: int = 1) -> Fault:
        """Has requests carried out, and their connections cut before the answer."""
        return self._add(Fault(method, path, True, False, times))

    def _add(self, fault: Fault) -> Fault:
        self._faults.append(fault)
        return fault

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        cluster = self._config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._server = cluster["server"]
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=ssl.create_default_context(cadata=authority)
            ),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        http = web.Server(self._handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(http, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        fault = self._fault(request)
        if fault is None:
            return await self._forward(request)
        if not fault.forwards:
            fault.reached.set()
            await asyncio.to_thread(fault.released.wait)
            return await self._forward(request)
        answer = await self._ask(request)
        body = await answer.read()
        fault.reached.set()
        if fault.holds:
            await asyncio.to_thread(fault.released.wait)
            return web.Response(status=answer.status, body=body, headers=_kept(answer.headers))
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _fault(self, request: web.BaseRequest) -> Fault | None:
        for fault in self._faults:
            asked = fault.method == request.method and re.fullmatch(fault.path, request.path)
            if fault.times and asked:
                fault.times -= 1
                return fault
        return None

    async def _ask(self, request: web.BaseRequest) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            self._server + request.raw_path,
            headers=_kept(request.headers),
            data=await request.read(),
        )

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._ask(request)
        try:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
        except ConnectionError:
            return web.Response()
        finally:
            answer.close()


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
