"""The HTTP side of a fake cluster: verbs, faults, watches and logs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from podmap.names import RUN_LABEL
from podmap.testing.fake_cluster.facts import ClusterFacts
from podmap.testing.fake_cluster.nodes import FakeContainer, FakeNodes, ask_to_delete, unfinished
from podmap.testing.fake_cluster.objects import (
    FakeObjects,
    Object,
    ObjectKey,
    OpenWatch,
    RefusedError,
    json_patch,
    merge_patch,
    parse_selector,
)

_PATH = re.compile(
    r"/(?:api/v1|apis/[^/]+/v1)/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<resource>pods|leases)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)
LOG_CHUNK = 64 * 1024
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(slots=True)
class Fault:
    """What goes wrong with some requests.

    Attributes:
        verb: Kubernetes' word: get, list, watch, create, update, patch, delete.
        resource: "pods", "pods/log" or "leases".
        times: How many requests are left that it happens to; None for all.
        status: The answer's status; None for no answer at all.
        reason: The API's word for the status.
        message: What the answer says.
        retry_after: The answer's header of that name.
        delay_s: How long the server takes, before anything else.
        acts: Whether the request is carried out all the same.
    """

    verb: str
    resource: str
    times: int | None
    status: int | None = None
    reason: str = ""
    message: str = ""
    retry_after: str = ""
    delay_s: float = 0.0
    acts: bool = False


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request, taken apart."""

    verb: str
    resource: str
    key: ObjectKey
    query: Mapping[str, str]
    body: Any
    content_type: str

    @property
    def selector(self) -> Mapping[str, str]:
        """The labels that are asked for."""
        return parse_selector(self.query.get("labelSelector", ""))


class FakeApiServer:
    """Answers requests for pods and leases. Belongs to one event loop."""

    def __init__(self, objects: FakeObjects, nodes: FakeNodes, *, bookmark_s: float) -> None:
        """Answers everything as a cluster does.

        Args:
            objects: The objects.
            nodes: What happens to pods.
            bookmark_s: How often an idle watch gets a bookmark.
        """
        self.requests: Counter[str] = Counter()
        self.faults: list[Fault] = []
        self.token = ""
        self.namespaces: set[str] | None = None
        self.quota: int | None = None
        self.most_alive: Counter[str] = Counter()
        self.cut_logs: int | None = None
        """After how many bytes the reading of a log is cut."""
        self._objects = objects
        self._nodes = nodes
        self._bookmark_s = bookmark_s
        self.facts = ClusterFacts()
        self._alive: dict[str, set[str]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return await self._tell(request)
        call = await _call(request, match)
        self.requests[f"{call.verb} {call.resource}"] += 1
        if self._lacks_token(request):
            return _status(RefusedError(401, "Unauthorized", "Unauthorized"))
        fault = self._next_fault(call)
        if fault is not None:
            await asyncio.sleep(fault.delay_s)
            if not fault.acts:
                return _fault_answer(fault, request)
        answer = await self._answer(call, request)
        return answer if fault is None or not fault.acts else _fault_answer(fault, request)

    async def _tell(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to what is asked of the cluster besides pods and leases."""
        self.requests[f"{request.method} {request.path}"] += 1
        if self._lacks_token(request):
            return _status(RefusedError(401, "Unauthorized", "Unauthorized"))
        if fault := self._path_fault(request.path):
            return _fault_answer(fault, request)
        raw = await request.read()
        body = json.loads(raw) if raw else None
        refused = ((each.verb, each.resource) for each in self.faults if each.status == 403)
        answer = self.facts.answer(request.method, request.path, body, forbidden=refused)
        if answer is None:
            return _status(RefusedError(404, "NotFound", f"no such path: {request.path}"))
        status = 201 if request.method == "POST" else 200
        return web.json_response(answer, status=status, headers={"Date": self.facts.date()})

    def _lacks_token(self, request: web.BaseRequest) -> bool:
        return bool(self.token) and request.headers.get("Authorization") != f"Bearer {self.token}"

    def _path_fault(self, path: str) -> Fault | None:
        return next((each for each in self.faults if each.resource == path), None)

    def count_alive(self, key: ObjectKey, item: Object | None) -> None:
        """Keeps count of the pods that run or may, of each run."""
        if key[0] != "pods":
            return
        labels = (item or {}).get("metadata", {}).get("labels") or {}
        run = labels.get(RUN_LABEL, "")
        gated = item is not None and item["spec"].get("schedulingGates")
        if item is None or gated or not unfinished(item):
            for names in self._alive.values():
                names.discard(key[2])
            return
        names = self._alive.setdefault(run, set())
        names.add(key[2])
        self.most_alive[run] = max(self.most_alive[run], len(names))

    async def _answer(self, call: ApiCall, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if call.resource == "pods/log":
                return await self._log(call, request)
            if call.verb == "watch":
                return await self._watch(call, request)
            answers: Mapping[str, Callable[[ApiCall], Any]] = {
                "get": lambda call: self._objects.get(call.key),
                "list": self._list,
                "create": self._create,
                "update": self._update,
                "patch": self._patch,
                "delete": self._delete,
            }
            answer = answers[call.verb](call)
        except RefusedError as error:
            return _status(error)
        return web.json_response(answer, status=201 if call.verb == "create" else 200)

    def _next_fault(self, call: ApiCall) -> Fault | None:
        for fault in self.faults:
            if (fault.verb, fault.resource) == (call.verb, call.resource) and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def _list(self, call: ApiCall) -> Object:
        after, version = "", self._objects.version
        token = call.query.get("continue")
        if token:
            version, after = json.loads(base64.b64decode(token))
            if version < self._objects.oldest:
                raise RefusedError(410, "Expired", "the continue parameter is too old")
        limit = int(call.query.get("limit", "0"))
        found: list[Object] = []
        metadata = {"resourceVersion": str(version)}
        for item in self._objects.find(call.resource, call.key[1], call.selector):
            if item["metadata"]["name"] <= after:
                continue
            if limit and len(found) == limit:
                more = json.dumps([version, found[-1]["metadata"]["name"]])
                metadata["continue"] = base64.b64encode(more.encode()).decode()
                break
            found.append(item)
        return {"kind": "List", "metadata": metadata, "items": found}

    def _create(self, call: ApiCall) -> Object:
        item: Object = call.body
        name = item["metadata"]["name"]
        key = (call.resource, call.key[1], name)
        self._admit(key)
        if call.query.get("dryRun"):
            if key in self._objects.by_key:
                raise RefusedError(409, "AlreadyExists", f'pods "{name}" already exists')
            return self.facts.admitted(item)
        item["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        if call.resource == "pods":
            item["status"] = {"phase": "Pending"}
        self._objects.create(key, item)
        self._schedule_ungated(key, item)
        return self._objects.get(key)

    def _admit(self, key: ObjectKey) -> None:
        if self.namespaces is not None and key[1] not in self.namespaces:
            raise RefusedError(404, "NotFound", f'namespaces "{key[1]}" not found')
        if self.quota is None or key in self._objects.by_key:
            return
        used = sum(
            unfinished(item)
            for other, item in self._objects.by_key.items()
            if other[:2] == ("pods", key[1])
        )
        if used >= self.quota:
            raise RefusedError(
                403,
                "Forbidden",
                f'pods "{key[2]}" is forbidden: exceeded quota: fake, requested: pods=1, '
                f"used: pods={used}, limited: pods={self.quota}",
            )

    def _schedule_ungated(self, key: ObjectKey, item: Object) -> None:
        if key[0] == "pods" and not item["spec"].get("schedulingGates"):
            self._nodes.schedule(key)

    def _update(self, call: ApiCall) -> Object:
        known = self._objects.get(call.key)
        version = call.body["metadata"].get("resourceVersion")
        if version and version != known["metadata"]["resourceVersion"]:
            raise _conflict(call.key)
        metadata = {**call.body["metadata"], "uid": known["metadata"]["uid"]}
        return self._objects.put(call.key, {**call.body, "metadata": metadata})

    def _patch(self, call: ApiCall) -> Object:
        known = self._objects.get(call.key)
        if call.content_type == "application/json-patch+json":
            changed = json_patch(known, call.body)
        else:
            version = (call.body.get("metadata") or {}).get("resourceVersion")
            if version and version != known["metadata"]["resourceVersion"]:
                raise _conflict(call.key)
            changed = merge_patch(known, call.body)
        self._objects.put(call.key, changed)
        if call.resource == "pods":
            if known["spec"].get("schedulingGates"):
                self._schedule_ungated(call.key, changed)
            before = known["spec"].get("activeDeadlineSeconds")
            deadline = changed["spec"].get("activeDeadlineSeconds")
            if deadline != before and deadline <= 1:
                self._nodes.expire(call.key)
        return self._objects.get(call.key)

    def _delete(self, call: ApiCall) -> Object:
        if call.resource == "pods":
            return ask_to_delete(self._objects, self._nodes, call.key, call.body or {})
        item = self._objects.get(call.key)
        wanted = ((call.body or {}).get("preconditions") or {}).get("resourceVersion")
        if wanted and wanted != item["metadata"]["resourceVersion"]:
            raise _conflict(call.key)
        self._objects.remove(call.key)
        return item

    async def _watch(self, call: ApiCall, request: web.BaseRequest) -> web.StreamResponse:
        since = int(call.query.get("resourceVersion") or 0)
        watcher = self._objects.watch(call.resource, call.key[1], call.selector, since)
        response = await _stream(request)
        ends_at = asyncio.get_running_loop().time() + float(call.query["timeoutSeconds"])
        bookmarks = "allowWatchBookmarks" in call.query
        try:
            while await self._send(watcher, response, ends_at, bookmarks=bookmarks):
                pass
            await response.write_eof()
        except ConnectionError:
            pass
        finally:
            self._objects.watchers.discard(watcher)
        return response

    async def _send(
        self, watcher: OpenWatch, response: web.StreamResponse, ends_at: float, *, bookmarks: bool
    ) -> bool:
        """Sends what there is, waiting for it; whether the watch goes on."""
        left_s = ends_at - asyncio.get_running_loop().time()
        if not watcher.wake.is_set():
            try:
                await asyncio.wait_for(watcher.wake.wait(), min(self._bookmark_s, left_s))
            except asyncio.TimeoutError:
                if bookmarks:
                    watcher.send(self._objects.bookmark())
        watcher.wake.clear()
        lines, watcher.lines = watcher.lines, deque()
        if lines:
            await response.write(b"".join(lines))
        return left_s > 0 and not (watcher.ended and not watcher.lines)

    async def _log(self, call: ApiCall, request: web.BaseRequest) -> web.StreamResponse:
        pod = self._objects.get(call.key)
        container = self._nodes.containers.get(pod["metadata"]["uid"])
        if container is None or not container.started:
            raise RefusedError(
                400, "BadRequest", f'container "trial" in pod "{call.key[2]}" is waiting to start'
            )
        response = await _stream(request)
        left = self.cut_logs
        with contextlib.suppress(ConnectionError):
            async for chunk in _log_chunks(container, call.query):
                await response.write(chunk if left is None else chunk[:left])
                left = None if left is None else left - len(chunk)
                if left is not None and left <= 0 and request.transport is not None:
                    request.transport.close()
                    return response
            await response.write_eof()
        return response


async def _log_chunks(container: FakeContainer, query: Mapping[str, str]) -> AsyncIterator[bytes]:
    at = 0
    if "tailLines" in query:
        at = max(0, len(container.log) - int(query["tailLines"]))
    while True:
        container.more.clear()
        pending = b""
        while at < len(container.log):
            stamp, line = container.log[at]
            at += 1
            if stamp[:19] < query.get("sinceTime", "")[:19]:
                continue
            pending += f"{stamp} ".encode() if query.get("timestamps") else b""
            pending += line
            if len(pending) >= LOG_CHUNK:
                yield pending
                pending = b""
        if pending:
            yield pending
        if container.over or not query.get("follow"):
            return
        await container.more.wait()


async def _call(request: web.BaseRequest, match: re.Match[str]) -> ApiCall:
    name = match["name"] or ""
    if request.method == "GET":
        verb = "get" if name else "watch" if request.query.get("watch") else "list"
    else:
        verb = _VERBS[request.method]
    raw = await request.read()
    return ApiCall(
        verb=verb,
        resource=match["resource"] + (match["log"] or ""),
        key=(match["resource"], match["namespace"], name),
        query=dict(request.query),
        body=json.loads(raw) if raw else None,
        content_type=request.content_type,
    )


def _conflict(key: ObjectKey) -> RefusedError:
    return RefusedError(409, "Conflict", f'{key[0]} "{key[2]}": the object has been modified')


def _status(error: RefusedError, **headers: str) -> web.Response:
    return web.json_response(error.body, status=error.status, headers=headers)


def _fault_answer(fault: Fault, request: web.BaseRequest) -> web.StreamResponse:
    if fault.status is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
    return _status(RefusedError(fault.status, fault.reason, fault.message), **headers)


async def _stream(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response
