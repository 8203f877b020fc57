"""The app of `podmap ui`: its routes, in Starlette; what they answer is said elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from podmap.errors import PodmapError
from podmap.server.access import Gate
from podmap.server.actions import MOST_BYTES
from podmap.server.answer import Answer, RequestError, error_answer, json_answer
from podmap.server.desk import Desk
from podmap.server.page import (
    SCRIPT,
    SECURITY_HEADERS,
    STYLE,
    file_answer,
    no_token_answer,
    page_answer,
)
from podmap.server.store import ServedStore

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PUBLIC = frozenset({"/", f"/{SCRIPT}", f"/{STYLE}"})
"""What is answered without the token: the app itself, which is the same for everybody."""
LONGEST_METRIC = 250

Handler = Callable[[Request], Awaitable[Response]]


def make_app(store: ServedStore, gate: Gate, *, desk: Desk | None = None) -> GuardedApp:
    """The app for the runs of a store.

    Args:
        store: The runs, and what may be done with them.
        gate: Who may ask.
        desk: Where requests wait; None for a new one.
    """
    desk = desk or Desk()
    routes = [
        Route("/", _page(gate), methods=["GET"]),
        Route(f"/{SCRIPT}", _file(SCRIPT), methods=["GET"]),
        Route(f"/{STYLE}", _file(STYLE), methods=["GET"]),
        *_api(store, desk),
    ]
    handlers: dict[Any, Any] = {HTTPException: _refuse, PodmapError: _tell}
    inner = Starlette(routes=routes, exception_handlers=handlers)
    return GuardedApp(inner, gate)


def _api(store: ServedStore, desk: Desk) -> list[Route]:
    run, trial = "/api/runs/{sweep}/{run_id}", "/api/runs/{sweep}/{run_id}/trials/{number:int}"

    async def me(request: Request) -> Response:
        return _sent(request, json_answer(store.rights()))

    async def runs(request: Request) -> Response:
        return _sent(request, await desk.answer(store.runs, shared="runs"))

    async def view(request: Request) -> Response:
        key, curve = _run_of(request), request.query_params.get("curve", "")[:LONGEST_METRIC]
        answer = await desk.answer(lambda: store.view(*key, curve), shared=(*key, curve))
        return _sent(request, answer)

    async def detail(request: Request) -> Response:
        key, number = _run_of(request), request.path_params["number"]
        return _sent(request, await desk.answer(lambda: store.trial(*key, number)))

    async def output(request: Request) -> Response:
        key, number = _run_of(request), request.path_params["number"]
        return _sent(request, await desk.answer(lambda: store.log(*key, number)))

    async def act(request: Request) -> Response:
        key, body = _run_of(request), await read_body(request)
        return _sent(request, await desk.answer(lambda: store.act(*key, body)))

    return [
        Route("/api/me", me, methods=["GET"]),
        Route("/api/runs", runs, methods=["GET"]),
        Route(run, view, methods=["GET"]),
        Route(trial, detail, methods=["GET"]),
        Route(f"{trial}/log", output, methods=["GET"]),
        Route(f"{run}/actions", act, methods=["POST"]),
    ]


def _run_of(request: Request) -> tuple[str, str]:
    return request.path_params["sweep"], request.path_params["run_id"]


async def read_body(request: Request) -> bytes:
    """A request's body, of which no more is read than an action may have.

    Raises:
        RequestError: It is longer.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise RequestError(413, f"at most {MOST_BYTES} bytes of a request are read")
    return body


def _page(gate: Gate) -> Handler:
    async def page(request: Request) -> Response:
        given = request.query_params.get("token", "")
        if given and gate.is_token(given):
            answer = page_answer()
            response = _sent(request, answer)
            response.headers["set-cookie"] = gate.set_cookie
            return response
        try:
            gate.check_user(request.headers, request.cookies, changes=False)
        except RequestError:
            return _sent(request, no_token_answer())
        return _sent(request, page_answer())

    return page


def _file(name: str) -> Handler:
    async def file(request: Request) -> Response:
        return _sent(request, file_answer(name))

    return file


def _refuse(request: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = f"{request.method} {request.url.path[:200]}: there is no such thing here"
    return _sent(request, error_answer(RequestError(status, said)))


def _tell(request: Request, error: Exception) -> Response:
    return _sent(request, error_answer(error))


def _sent(request: Request, answer: Answer) -> Response:
    return response_of(answer.sent_to(request.headers), SECURITY_HEADERS)


def response_of(answer: Answer, more: dict[str, str]) -> Response:
    """An answer as Starlette sends it, with further headers."""
    headers = {**answer.headers, **more}
    return Response(answer.body, answer.status, headers=headers, media_type=answer.media_type)


class GuardedApp:
    """Stands before all routes: no request reaches one that its sender may not ask for."""

    def __init__(self, app: Starlette, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            self._check(request)
            await self._app(scope, receive, send)
        except PodmapError as error:
            await _sent(request, error_answer(error))(scope, receive, send)

    def _check(self, request: Request) -> None:
        self._gate.check_host(request.headers)
        changes = request.method not in ("GET", "HEAD")
        if request.url.path not in PUBLIC or changes:
            self._gate.check_user(request.headers, request.cookies, changes=changes)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes behind it."""
        return self._app.routes
