"""What Airflow is told of the web app, in all its processes: where its routes and its tab are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "podmap"
BUNDLE = f"{PREFIX}/static/podmap-ui.js"
"""Relative, so that it is found below whatever path Airflow is served."""


class TabApp:
    """The routes, made when the first request comes: workers and schedulers load this, too."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, as ASGI has it."""
        from podmap.airflow.plugin.routes import AIRFLOWS_APP, make_app

        if self._app is None:
            self._app = make_app()
        await self._app({**scope, AIRFLOWS_APP: scope.get("app")}, receive, send)


_APPS = [{"app": TabApp(), "url_prefix": f"/{PREFIX}", "name": "podmap"}]
_TABS = [
    {
        "name": "Sweep",
        "bundle_url": BUNDLE,
        "destination": "dag_run",
        "url_route": "podmap-sweep",
    },
    {
        "name": "Sweeps",
        "bundle_url": BUNDLE,
        "destination": "nav",
        "category": "browse",
        "url_route": "podmap-sweeps",
    },
]


class PodmapPlugin(AirflowPlugin):
    """The entry point of the group `airflow.plugins`."""

    name = "podmap"
    fastapi_apps = _APPS
    react_apps = _TABS
