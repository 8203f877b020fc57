"""What each user of an auth manager may do with the routes, in a process of its own.

It makes Airflow's database and the users, and asks Airflow's app, without a server. The argument
is "simple" or "fab"; the last line of its output is JSON: user to method and path to status, with
the DAGs that the user may read as `readable`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

DAGS = ("mine", "other")
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
ROLES = {
    "simple": {"eve": "", "vic": "viewer", "uma": "user"},
    "fab": {"eve": "Public", "dan": "Reader of other", "vic": "Viewer", "uma": "User"},
}
"""Auth manager to user to role: Eve may log in and no more, Dan may read one DAG."""
NAMES = {"run_id": "r", "group_id": "g"}


def prepare(manager: str) -> None:
    """Settles what Airflow reads when it is imported."""
    settings = {"LOAD_EXAMPLES": "False", "SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False"}
    if manager == "fab":
        settings["AUTH_MANAGER"] = FAB
    else:
        passwords = Path(os.environ["AIRFLOW_HOME"], "passwords.json")
        passwords.write_text(json.dumps({name: password(name) for name in ROLES["simple"]}))
        settings["SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = str(passwords)
        settings["SIMPLE_AUTH_MANAGER_USERS"] = ",".join(map(":".join, ROLES["simple"].items()))
    os.environ.update({f"AIRFLOW__CORE__{name}": value for name, value in settings.items()})
    os.environ["AIRFLOW__API_AUTH__JWT_SECRET"] = "a secret of the tests, which is long enough"


def password(name: str) -> str:
    """Of a user."""
    return f"{name}-password"


def make_fab_users() -> None:
    """Makes FAB's own tables, the users, and the role that may read one DAG."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        reader = manager.add_role("Reader of other")
        for resource in ("DAG:other", "DAG Runs", "XComs", "Task Logs"):
            permission = manager.create_permission("can_read", resource)
            manager.add_permission_to_role(reader, permission)
        for name, role in ROLES["fab"].items():
            mail = f"{name}@example.com"
            found = manager.find_role(role)
            assert manager.add_user(name, name, name, mail, found, password(name))


async def ask(app: Any, routes: list[tuple[str, str]], name: str | None) -> dict[str, Any]:
    """What a user is answered by each route; None for nobody."""
    import httpx
    from airflow.api_fastapi.app import get_auth_manager

    from podmap.airflow.plugin import rights

    said: dict[str, Any] = {}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        if name is not None:
            login = {"username": name, "password": password(name)}
            token = (await client.post("/auth/token", json=login)).json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
            user = await get_auth_manager().get_user_from_token(token)
            said["readable"] = sorted(rights.readable(user, DAGS))
        for method, path in routes:
            filled = path.format(dag_id="mine", number=0, name="podmap-ui.js")
            body = {"action": "pause"} if method == "POST" else None
            answer = await client.request(method, f"/podmap{filled}", params=NAMES, json=body)
            said[f"{method} {path}"] = answer.status_code
        said["me"] = (await client.get("/podmap/api/dags/mine/me")).json()
    return said


def main() -> None:
    """Does all of it."""
    manager = sys.argv[1]
    prepare(manager)
    from airflow.utils.db import initdb

    initdb()
    if manager == "fab":
        make_fab_users()
    from airflow.api_fastapi.app import create_app
    from fastapi.routing import APIRoute

    from podmap.airflow.plugin.routes import make_app
    from podmap.airflow.plugin.tab import PodmapPlugin

    found = [route for route in make_app().routes if isinstance(route, APIRoute)]
    routes = [(method, route.path) for route in found for method in sorted(route.methods)]
    app = create_app(apps="core")
    mounted = {getattr(route, "path", "") for route in app.routes}
    if "/podmap" not in mounted:  # podmap's entry points are not installed
        for one in PodmapPlugin.fastapi_apps:
            app.mount(one["url_prefix"], one["app"])
            app.router.routes.insert(0, app.router.routes.pop())
    users = [None, *ROLES[manager]]
    said = {str(name): asyncio.run(ask(app, routes, name)) for name in users}
    print()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
