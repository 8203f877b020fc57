"""The routes of the web app in Airflow, each behind Airflow's own checks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.plugin import rights
from podmap.airflow.plugin.clear import clear, instances_to_clear
from podmap.airflow.plugin.overview import Overview
from podmap.airflow.plugin.sweeps import ServedSweeps
from podmap.errors import PodmapError
from podmap.server.access import check_json, check_origin
from podmap.server.actions import Action, carry_out
from podmap.server.answer import Answer, RequestError, error_answer, json_answer
from podmap.server.app import LONGEST_METRIC, read_body, response_of
from podmap.server.desk import Desk
from podmap.server.page import file_answer, missing_script
from podmap.server.served_run import ServedRun

AIRFLOWS_APP = "podmap.airflows_app"
"""The key of a request's scope with the app that this one is mounted in."""
STATIC = "/static/{name}"
SWEEP = "/api/dags/{dag_id}/sweep"
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "same-origin"}

RunId = Annotated[str, Query(max_length=250)]
GroupId = Annotated[str, Query(max_length=250)]
Metric = Annotated[str, Query(max_length=LONGEST_METRIC)]
User = Annotated[rights.BaseUser, Depends(rights.get_user)]


class SweepRoutes:
    """What the routes answer."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is asked yet.

        Args:
            desk: Where requests wait.
        """
        self._desk = desk
        self._sweeps = ServedSweeps()
        self._overview = Overview(self._sweeps)

    async def static(self, request: Request, name: str) -> Response:
        """A file of the app, the same for everybody."""
        return _sent(request, await self._desk.answer(lambda: _file(name), shared=("file", name)))

    async def sweeps(self, request: Request, dag_id: str, run_id: RunId) -> Response:
        """The sweeps of a DAG run."""

        def work() -> Answer:
            return self._overview.of_run(dag_id, run_id)

        return _sent(request, await self._desk.answer(work, shared=("list", dag_id, run_id)))

    async def view(
        self,
        request: Request,
        dag_id: str,
        run_id: RunId,
        group_id: GroupId,
        curve: Metric = "",
    ) -> Response:
        """A sweep's run, with the curves of a metric."""
        names = (dag_id, run_id, group_id)
        return await self._of_run(
            request, names, lambda run: run.view(curve), shared=(*names, curve)
        )

    async def trial(
        self, request: Request, dag_id: str, number: int, run_id: RunId, group_id: GroupId
    ) -> Response:
        """A trial."""
        return await self._of_run(
            request, (dag_id, run_id, group_id), lambda run: run.trial(number)
        )

    async def log(
        self, request: Request, dag_id: str, number: int, run_id: RunId, group_id: GroupId
    ) -> Response:
        """What a trial has printed, as far as it is kept."""
        return await self._of_run(request, (dag_id, run_id, group_id), lambda run: run.log(number))

    async def _of_run(
        self,
        request: Request,
        names: tuple[str, str, str],
        ask: Callable[[ServedRun], Answer],
        *,
        shared: Hashable = None,
    ) -> Response:
        def work() -> Answer:
            return ask(self._sweeps.served(self._sweeps.find(*names)))

        return _sent(request, await self._desk.answer(work, shared=shared))

    async def me(self, request: Request, dag_id: str, user: User) -> Response:
        """What the user may do with the DAG's runs."""

        def work() -> Answer:
            edit = rights.can_edit(user, dag_id)
            clears = rights.can_clear(user, dag_id)
            return json_answer(
                {"can_edit": edit, "can_retry": edit and clears, "can_delete": False, "prefix": ""}
            )

        return _sent(request, await self._desk.answer(work))

    async def runs(self, request: Request, user: User) -> Response:
        """The newest sweeps of all DAGs that the user may read."""
        return _sent(request, await self._desk.answer(lambda: self._overview.of_user(user)))

    async def act(
        self, request: Request, dag_id: str, run_id: RunId, group_id: GroupId, user: User
    ) -> Response:
        """Steers a run, or has failed trials run again."""
        check_json(request.headers)
        check_origin_of_browser(request)
        action = Action.parse(await read_body(request))
        if action.name == "delete":
            raise RequestError(403, "runs of Airflow are deleted by podmap clean, not here")
        found = (dag_id, run_id, group_id)
        if action.name == "retry":
            return _sent(request, await self._retry(request, found, action))

        def work() -> Answer:
            steered = self._sweeps.steered(self._sweeps.find(*found))
            text = carry_out(action, steered, by=f"{user.get_name()} (Airflow)")
            return json_answer({"text": text})

        return _sent(request, await self._desk.answer(work))

    async def _retry(self, request: Request, found: tuple[str, str, str], action: Action) -> Answer:
        chosen: list[Any] = []

        def choose() -> Answer:
            sweep = self._sweeps.find(*found)
            instances = instances_to_clear(sweep, self._sweeps.steered(sweep), action.trials)
            chosen.extend([sweep, instances])
            return json_answer({"text": "no trial is failed or cancelled"})

        answer = await self._desk.answer(choose)
        if answer.status != 200 or not chosen[1]:
            return answer
        sweep, instances = chosen
        airflow = request.scope[AIRFLOWS_APP]
        count = await clear(airflow, sweep, instances, headers=request.headers)
        trials = f"{len(instances)} trial task{'s' if len(instances) > 1 else ''}"
        return json_answer({"text": f"{trials} run again ({count} tasks were cleared)"})


def make_app() -> FastAPI:
    """The app, to be mounted below /podmap: every route but the static files asks who it is."""
    uris.use_policy(settings.uri_policy)
    app = FastAPI(title="podmap", docs_url=None, redoc_url=None, openapi_url=None)
    routes = SweepRoutes(Desk())
    _get(app, STATIC, routes.static, [])
    _get(app, "/api/runs", routes.runs, [])
    _get(app, "/api/dags/{dag_id}/me", routes.me, rights.READ)
    _get(app, "/api/dags/{dag_id}/sweeps", routes.sweeps, rights.READ)
    _get(app, SWEEP, routes.view, rights.READ)
    _get(app, f"{SWEEP}/trials/{{number}}", routes.trial, rights.READ_LOG)
    _get(app, f"{SWEEP}/trials/{{number}}/log", routes.log, rights.READ_LOG)
    app.add_api_route(
        f"{SWEEP}/actions",
        routes.act,
        methods=["POST"],
        dependencies=rights.EDIT,
        response_model=None,
    )
    for kind in (HTTPException, RequestValidationError, PodmapError):
        app.add_exception_handler(kind, _refuse)
    return app


def _get(app: FastAPI, path: str, endpoint: Callable[..., Any], dependencies: list[Any]) -> None:
    app.add_api_route(
        path, endpoint, methods=["GET"], dependencies=dependencies, response_model=None
    )


def check_origin_of_browser(request: Request) -> None:
    """Refuses what a page of another site asks for.

    A proxy may call Airflow by another name than the browser does, so what the browser says of the
    request counts, not the names.

    Raises:
        RequestError: It is one.
    """
    headers = {
        name: request.headers[name] for name in ("sec-fetch-site",) if name in request.headers
    }
    check_origin(headers, is_needed=False)


def _file(name: str) -> Answer:
    try:
        return file_answer(name)
    except RequestError:
        return missing_script(name)


def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _sent(request, error_answer(RequestError(error.status_code, str(error.detail))))
    if isinstance(error, RequestValidationError):
        wrong = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        return _sent(request, error_answer(RequestError(422, "; ".join(wrong))))
    return _sent(request, error_answer(error))


def _sent(request: Request, answer: Answer) -> Response:
    return response_of(answer.sent_to(request.headers), HEADERS)
