"""The web app in a real Airflow: who may do what, below a path of its own, while a run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from deployment import Deployment
from local_airflow import LocalAirflow, free_port

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.parametrize("deployment", ["postgresql"], indirect=True, scope="session"),
]

DAG = "found_at_run_time"
GROUP = "stage1"
TRIALS = f"{GROUP}.trials"
USERS = {"eve": "", "vic": "viewer", "uma": "user"}
"""Name to role; Eve may log in, and no more."""
ROUTES = """
import json
from fastapi.routing import APIRoute
from podmap.airflow.plugin.routes import make_app
routes = [route for route in make_app().routes if isinstance(route, APIRoute)]
print(json.dumps([[route.path, sorted(route.methods)] for route in routes]))
"""


@dataclass(frozen=True)
class Web:
    """An API server with users, below a path; and what the tests ask of it."""

    url: str
    deployment: Deployment
    run_id: str

    def client(self, user: str | None) -> httpx.Client:
        headers = {}
        if user is not None:
            login = {"username": user, "password": f"{user}-password"}
            answer = httpx.post(f"{self.url}/auth/token", json=login, timeout=60)
            headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return httpx.Client(base_url=f"{self.url}/podmap/", headers=headers, timeout=60)

    @property
    def names(self) -> dict[str, str]:
        return {"run_id": self.run_id, "group_id": GROUP}

    def view(self, client: httpx.Client) -> dict[str, Any]:
        answer = client.get(f"api/dags/{DAG}/sweep", params=self.names)
        assert 200 == answer.status_code, answer.text
        view: dict[str, Any] = answer.json()
        return view

    def act(self, client: httpx.Client, **action: Any) -> httpx.Response:
        return client.post(f"api/dags/{DAG}/sweep/actions", params=self.names, json=action)

    def trial_states(self) -> list[str]:
        instances = self.deployment.airflow.instances(DAG, self.run_id, TRIALS)
        return [instance["state"] for instance in instances]


def start_api_server(airflow: LocalAirflow, home: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Another API server of the same Airflow, with users of several roles."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/below/it"
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: f"{name}-password" for name in USERS}))
    env = {
        **airflow.env,
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
            f"{name}:{role}" for name, role in USERS.items()
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    command = ("airflow", "api-server", "--host", "127.0.0.1", "--port", str(port))
    with (home / "api-server.out").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--workers", "1"],
            env=env,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, url


@pytest.fixture(scope="module")
def web(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With a run of which one trial has failed, and the others wait for the file `hold` to go."""
    airflow, home = deployment.airflow, tmp_path_factory.mktemp("web")
    process, url = start_api_server(airflow, home)
    try:
        folder = deployment.scratch / "tab"
        folder.mkdir()
        for name in ("hold", "fail-e1"):
            (folder / name).touch()
        airflow.wait_for_dag(DAG)
        run_id = airflow.trigger(DAG, tag="tab", count=4)

        def answers() -> bool:
            assert process.poll() is None, (home / "api-server.out").read_text()[-3000:]
            try:
                return httpx.get(f"{url}/api/v2/monitor/health").status_code == 200
            except httpx.TransportError:
                return False

        airflow.wait_for(answers, "the API server with users", 120)
        notes = folder / "notes"
        airflow.wait_for(
            lambda: notes.exists() and notes.read_text().count("start") == 3, "3 trials", 120
        )
        yield Web(url, deployment, run_id)
    finally:
        airflow.kill_group(process)


def routes(web: Web) -> list[tuple[str, str]]:
    """Method and path of every route."""
    done = subprocess.run(
        [sys.executable, "-c", ROUTES],
        env={**os.environ, **web.deployment.airflow.env},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return [(method, path) for path, methods in found for method in methods]


def test_every_route_is_closed_to_who_has_no_right(web: Web) -> None:
    found = routes(web)
    assert len(found) >= 8
    for user, expected in {None: 401, "eve": 403}.items():
        with web.client(user) as client:
            for method, path in found:
                filled = path.lstrip("/").format(dag_id=DAG, number=0, name="podmap-ui.js")
                body = {"action": "pause"} if method == "POST" else None
                answer = client.request(method, filled, params=web.names, json=body)
                if path.startswith("/static/"):
                    assert 200 == answer.status_code
                elif path == "/api/runs" and user is not None:
                    assert [] == answer.json()["runs"]
                else:
                    assert expected == answer.status_code, (user, method, path)
                    assert ["error"] == list(answer.json())


def test_a_viewer_sees_all_and_changes_nothing(web: Web) -> None:
    with web.client("vic") as client:
        for method, path in routes(web):
            filled = path.lstrip("/").format(dag_id=DAG, number=0, name="podmap-ui.js")
            body = {"action": "pause"} if method == "POST" else None
            answer = client.request(method, filled, params=web.names, json=body)
            assert (403 if method == "POST" else 200) == answer.status_code, answer.text
        rights = client.get(f"api/dags/{DAG}/me").json()
        assert (False, False) == (rights["can_edit"], rights["can_retry"])
        (sweep,) = client.get(f"api/dags/{DAG}/sweeps", params={"run_id": web.run_id}).json()[
            "runs"
        ]
        assert (GROUP, 4, "score") == (sweep["group_id"], sweep["total"], sweep["metric"])
        listed = client.get("api/runs").json()["runs"]
        assert (DAG, web.run_id) in {(line["dag_id"], line["run_id"]) for line in listed}
    assert "running" in web.trial_states() or "deferred" in web.trial_states()


def test_it_is_served_below_airflows_own_path(web: Web) -> None:
    with web.client("vic") as client:
        script = client.get("static/podmap-ui.js")
        assert "text/javascript; charset=utf-8" == script.headers["content-type"]
        assert b"AirflowPlugin" in script.content
        view = web.view(client)
        page = f"/below/it/dags/{DAG}/runs/"
        assert view["links"]["airflow"].startswith(page)
        assert view["links"]["trial"].endswith(f"/tasks/{TRIALS}/mapped/{{number}}")
        plugins = httpx.get(
            f"{web.url}/api/v2/plugins", headers=dict(client.headers), timeout=60
        ).json()["plugins"]
        (own,) = [plugin for plugin in plugins if plugin["name"] == "podmap"]
        assert {"dag_run": "podmap/static/podmap-ui.js", "nav": "podmap/static/podmap-ui.js"} == {
            app["destination"]: app["bundle_url"] for app in own["react_apps"]
        }


def test_what_has_not_changed_is_not_sent_again(web: Web) -> None:
    with web.client("vic") as client:
        path = f"api/dags/{DAG}/sweep"
        first = client.get(path, params=web.names)
        again = client.get(path, params=web.names, headers={"if-none-match": first.headers["etag"]})
        assert (304, b"") == (again.status_code, again.content)


def test_what_is_not_there_is_told(web: Web) -> None:
    with web.client("uma") as client:
        for names in ({**web.names, "group_id": "other"}, {**web.names, "run_id": "other"}):
            missing = client.get(f"api/dags/{DAG}/sweep", params=names)
            assert (404, True) == (missing.status_code, "no sweep" in missing.json()["error"])
        assert 404 == client.get(f"api/dags/{DAG}/sweep/trials/99", params=web.names).status_code
        unnamed = client.get(f"api/dags/{DAG}/sweep")
        assert (422, "run_id") == (unnamed.status_code, unnamed.json()["error"][:6])
        refused = web.act(client, action="delete", confirm="x")
        assert (403, True) == (refused.status_code, "podmap clean" in refused.json()["error"])
        path = f"api/dags/{DAG}/sweep/actions"
        assert 415 == client.post(path, params=web.names, data={"action": "pause"}).status_code
        foreign = {"sec-fetch-site": "cross-site"}
        body = {"action": "pause"}
        assert 403 == client.post(path, params=web.names, json=body, headers=foreign).status_code


def test_a_user_steers_a_run_and_has_what_failed_run_again(web: Web) -> None:
    folder = web.deployment.scratch / "tab"
    airflow = web.deployment.airflow
    with web.client("uma") as client:
        assert client.get(f"api/dags/{DAG}/me").json()["can_retry"]
        assert "paused" in web.act(client, action="pause").json()["text"]
        assert "paused" == web.view(client)["run"]["state"]
        assert 200 == web.act(client, action="set", parallelism=1).status_code
        assert 200 == web.act(client, action="unpause").status_code
        assert 200 == web.act(client, action="set", parallelism=None).status_code
        early = web.act(client, action="retry", trials=[0])
        assert (400, True) == (early.status_code, "has not ended" in early.json()["error"])
        (folder / "hold").unlink()
        airflow.wait_for(lambda: web.view(client)["counts"]["COMPLETE"] == 3, "3 results", 120)
        assert "success" == airflow.wait_for_run(DAG, web.run_id)
        (folder / "fail-e1").unlink()
        told = web.act(client, action="retry")
        assert (200, True) == (told.status_code, "1 trial task run" in told.text), told.text
        airflow.wait_for(lambda: web.view(client)["counts"]["COMPLETE"] == 4, "a result", 120)
        assert "success" == airflow.wait_for_run(DAG, web.run_id)
        assert {"text": "no trial is failed or cancelled"} == web.act(client, action="retry").json()
    events = airflow.get(f"/api/v2/eventLogs?dag_id={DAG}&event=post_clear_task_instances")
    assert "uma" in {entry["owner"] for entry in events["event_logs"]}
