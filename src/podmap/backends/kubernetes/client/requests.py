"""Requests to an API server: raw JSON in and out, retried where that is safe, counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from podmap.aio import Backoff, Turns
from podmap.backends.kubernetes.client.answers import MAX_BYTES, parse_json
from podmap.backends.kubernetes.client.connection import Connection, Load
from podmap.backends.kubernetes.client.errors import (
    ApiError,
    CredentialsError,
    TooLargeError,
    api_error,
    describe,
    resource_of,
)
from podmap.backends.kubernetes.client.server_clock import ServerClock
from podmap.backends.kubernetes.client.transport import CONNECT_S, SessionSource, unreachable
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.errors import BackendError

LIMIT_S = 30.0
"""How long a request may take, with all its retries."""
ATTEMPT_S = 15.0
AT_ONCE = 32
"""Short requests at once: more would only wait in the server's queue, each with a connection.
Those with a time limit of their own do not wait for others: a lease must be renewed in time."""
PAGE = 500
IN_A_TURN = 8
"""So many requests are begun in one turn of the event loop: each takes it about a millisecond."""
_RETRIED = frozenset({429, 500, 502, 503, 504})
_REFUSAL_BYTES = 256 * 1024

PatchKind = Literal["merge", "json"]
_PATCH_TYPES: Mapping[PatchKind, str] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


@dataclass(frozen=True, slots=True)
class _Request:
    verb: str
    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None
    content_type: str = "application/json"
    part: str = ""

    @property
    def counted_as(self) -> str:
        resource = resource_of(self.path)
        return f"{self.verb} {resource}{self.part}"


class Client:
    """One connection to one API server, shared by everything in one event loop.

    Every method raises BackendError when the server could not be asked within the time limit, and
    ApiError, which is one too, when its answer is an error. What may be sent again is sent again,
    after growing random pauses or the server's own Retry-After, as long as there is time.

    Attributes:
        requests: Verb and resource to how many requests were sent, for example "create pods".
        missing_rights: Verb and resource that were forbidden, to what the server said of it last.
        turns: Has a few requests be made, and sent, in a turn of the event loop.
        clock: Tells the server's time.
    """

    def __init__(
        self,
        load: Load,
        *,
        limit_s: float = LIMIT_S,
        pauses: Pauses = USUAL,
        page: int = PAGE,
    ) -> None:
        """Connects on first use.

        Args:
            load: Reads the connection; again when the server no longer accepts its credentials.
            limit_s: How long a request may take, with all its retries.
            pauses: How often it is sent again.
            page: How many objects of a list come with one answer.
        """
        self._pauses = pauses
        self._page = page
        self.requests: Counter[str] = Counter()
        self.missing_rights: dict[str, str] = {}
        self.clock = ServerClock()
        self._sessions = SessionSource(load)
        self._limit_s = limit_s
        self._places = asyncio.Semaphore(AT_ONCE)
        self.turns = Turns(IN_A_TURN)
        self._has_answered = False

    @property
    def has_answered(self) -> bool:
        """Whether the server has ever answered, be it with an error."""
        return self._has_answered

    async def connection(self) -> Connection:
        """The connection in use.

        Raises:
            UsageError: It cannot be read, or makes no sense.
            BackendError: The credentials cannot be had.
        """
        return (await self._sessions.current()).connection

    async def get(self, path: str, *, limit_s: float | None = None) -> Any:
        """One object."""
        return await self._send(_Request("get", "GET", path), limit_s=limit_s)

    async def pages(self, path: str, *, selector: str = "") -> AsyncIterator[Any]:
        """A consistent list of all objects that match, as it is now, page by page.

        Raises:
            ApiError: With status 410 when the list has to be begun anew.
        """
        params = {"limit": str(self._page)}
        if selector:
            params["labelSelector"] = selector
        while True:
            try:
                page = await self._send(_Request("list", "GET", path, dict(params)))
            except TooLargeError:
                if params["limit"] == "1":
                    raise
                params["limit"] = str(max(1, int(params["limit"]) // 8))
                continue
            yield page
            more = page.get("metadata", {}).get("continue")
            if not more:
                return
            params["continue"] = more

    async def create(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        dry_run: bool = False,
        limit_s: float | None = None,
    ) -> Any:
        """The object as created. A retry may answer 409 to what an earlier try has created.

        Args:
            path: Where to create it.
            body: The object. A field that the server does not know is an error.
            dry_run: Whether all of it is only checked.
            limit_s: As for the client, for this request.
        """
        params = {"fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        request = _Request("create", "POST", path, params, _encoded(body))
        return await self._send(request, limit_s=limit_s)

    async def update(
        self, path: str, body: Mapping[str, Any], *, limit_s: float | None = None
    ) -> Any:
        """The object as replaced. A lost answer may be followed by 409, as for a change of others.

        Args:
            path: The object's.
            body: The object, with the resourceVersion that was seen.
            limit_s: As for the client, for this request.
        """
        request = _Request("update", "PUT", path, {}, _encoded(body))
        return await self._send(request, limit_s=limit_s, retry=False)

    async def patch(
        self,
        path: str,
        change: Any,
        *,
        kind: PatchKind = "merge",
        retry: bool = True,
        limit_s: float | None = None,
    ) -> Any:
        """The object as changed.

        Args:
            path: The object's.
            change: The patch.
            kind: A merge patch, or a JSON patch, which can test what it changes.
            retry: Whether the same patch may be sent twice.
            limit_s: As for the client, for this request.
        """
        request = _Request("patch", "PATCH", path, {}, _encoded(change), _PATCH_TYPES[kind])
        return await self._send(request, limit_s=limit_s, retry=retry)

    async def delete(
        self, path: str, *, grace_s: int | None = None, uid: str = "", version: str = ""
    ) -> Any:
        """The answer to deleting an object.

        Args:
            path: The object's.
            grace_s: Seconds its containers have; 0 removes the object without waiting for them.
            uid: Only the object with this uid.
            version: Only if it has this resourceVersion.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        wanted = {"uid": uid, "resourceVersion": version}
        if any(wanted.values()):
            options["preconditions"] = {key: value for key, value in wanted.items() if value}
        return await self._send(_Request("delete", "DELETE", path, {}, _encoded(options)))

    @contextlib.asynccontextmanager
    async def stream(
        self, verb: str, path: str, params: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an answer as they come, for watches and logs; never retried.

        Args:
            verb: "watch", or "get" for logs.
            path: What to read.
            params: The query.
            silence_s: After so long without a byte the connection counts as lost.
        """
        part = "/log" if path.endswith("/log") else ""
        request = _Request(verb, "GET", path, dict(params), part=part)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_S, sock_read=silence_s, ceil_threshold=60
        )
        async with self._naming_the_server():
            response = await self._open(request, timeout)
        try:
            if response.status >= 300:
                async with self._naming_the_server():
                    raise await self._refusal(request, response)
            yield self._chunks(response)
        finally:
            # Else TLS would go on shutting down, also after the event loop's end.
            if response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()
            response.close()

    async def close(self) -> None:
        """Closes all connections; the client cannot be used any more."""
        await self._sessions.close()

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async with self._naming_the_server():
            async for chunk in response.content.iter_any():
                yield chunk

    async def _send(
        self, request: _Request, *, limit_s: float | None = None, retry: bool = True
    ) -> Any:
        began = time.monotonic()
        urgent = limit_s is not None
        deadline = began + (self._limit_s if limit_s is None else limit_s)
        backoff = Backoff(*self._pauses.request_pauses_s, jitter=0.5)
        while True:
            left_s = deadline - time.monotonic()
            retry_s: float | None = None
            try:
                return await self._send_once(
                    request, min(ATTEMPT_S, max(left_s, 0.05)), urgent=urgent
                )
            except ApiError as error:
                if error.status not in _RETRIED or not (retry or error.status == 429):
                    raise
                failure: BackendError = error
                retry_s = error.retry_after_s
            except (CredentialsError, TooLargeError):
                raise
            except BackendError as error:
                if not retry:
                    raise
                failure = error
                if not self._has_answered:
                    deadline = min(deadline, began + self._pauses.unmet_s)
            wait_s = backoff.next_s() if retry_s is None else retry_s
            if time.monotonic() + wait_s > deadline:
                raise failure
            await asyncio.sleep(wait_s)

    async def _send_once(self, request: _Request, limit_s: float, *, urgent: bool) -> Any:
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=min(CONNECT_S, limit_s))
        async with contextlib.nullcontext() if urgent else self._places, self._naming_the_server():
            response = await self._open(request, timeout, urgent=urgent)
            async with response:
                if response.status >= 300:
                    raise await self._refusal(request, response)
                raw = await self._read_body(request, response)
        try:
            return parse_json(raw)
        except ValueError as error:
            connection = await self.connection()
            raise BackendError(
                f"{connection.server} is not a Kubernetes API: its answer to "
                f"{describe(request.verb, request.path)} is not JSON ({connection.origin})"
            ) from error

    async def _read_body(self, request: _Request, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > MAX_BYTES:
                raise TooLargeError(
                    f"the answer to {describe(request.verb, request.path)} has more than "
                    f"{MAX_BYTES >> 20} MiB"
                )
        return b"".join(parts)

    async def _open(
        self, request: _Request, timeout: aiohttp.ClientTimeout, *, urgent: bool = False
    ) -> aiohttp.ClientResponse:
        """One answer; where credentials were refused, with those that were read anew."""
        if not urgent:
            await self.turns.wait()
        session = await self._sessions.current()
        for last in (False, True):
            self.requests[request.counted_as] += 1
            response = await session.send(
                request.method,
                request.path,
                params=request.params,
                data=request.data,
                content_type=request.content_type,
                timeout=timeout,
            )
            self._has_answered = True
            self.clock.note(response.headers.get("Date"))
            if response.status != 401 or last:
                break
            response.close()
            session = await self._sessions.renewed(session)
        return response

    async def _refusal(self, request: _Request, response: aiohttp.ClientResponse) -> ApiError:
        try:
            raw = await response.content.readexactly(_REFUSAL_BYTES)
        except asyncio.IncompleteReadError as whole:
            raw = whole.partial
        connection = await self.connection()
        error = api_error(
            request.verb,
            request.path,
            response.status,
            raw,
            server=connection.server,
            origin=connection.origin,
            retry_after=response.headers.get("Retry-After", ""),
        )
        if error.forbidden:
            self.missing_rights[request.counted_as] = str(error)
        return error

    def _naming_the_server(self) -> _NamedServer:
        return _NamedServer(self)


class _NamedServer:
    """Has a lost connection raise what says which server cannot be reached, and why.

    No asynchronous generator: a loop that shuts down begins none, and still has leases to remove.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        lost = (aiohttp.ClientError, aiohttp.InvalidURL, OSError, asyncio.TimeoutError)
        if isinstance(error, lost):
            connection = await self._client.connection()
            raise unreachable(error, server=connection.server, origin=connection.origin) from error


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
