"""A whole Airflow on this machine, on 127.0.0.1 alone: for the demo, the tests and benchmarks.

Scheduler, DAG processor, triggerers and API server are processes of their own, so that one of
them can be killed. Standard library only; run with a Python that has Airflow.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

POLL_S = 0.25
STOP_S = 20.0
FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class AirflowError(Exception):
    """Airflow did not start, or did not answer as it should."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class LocalAirflow:
    """Airflow's processes over one home folder and one database."""

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        database: str | None = None,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Describes an Airflow; `start` starts it.

        Args:
            home: AIRFLOW_HOME; logs and the SQLite database are kept in it.
            dags: The folder of DAG files.
            database: An SQLAlchemy URL; None for SQLite in `home`.
            port: The API server's; None for a free one.
            env: Variables put over all others; without AIRFLOW__PODMAP__BACKEND trials are
                processes.
        """
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._spawned: dict[str, tuple[str, ...]] = {}
        self._token = ""
        home.mkdir(parents=True, exist_ok=True)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__PODMAP__BACKEND": "process",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home}/airflow.db",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "120",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **(env or {}),
        }

    def start(self, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Makes the database and starts everything.

        Raises:
            AirflowError: Something ended instead of running; its log is named.
        """
        say("making Airflow's database")
        self.run("db", "migrate")
        say("starting Airflow: API server, scheduler, DAG processor, triggerer")
        for command, arguments in self._commands.items():
            self.spawn(command, *arguments)
        self.wait_for(self.healthy, "Airflow to be healthy", 180)

    @property
    def _commands(self) -> dict[str, tuple[str, ...]]:
        port = str(self.port)
        return {
            "api-server": ("--host", "127.0.0.1", "--port", port, "--workers", "1"),
            "scheduler": ("--skip-serve-logs",),
            "dag-processor": (),
            "triggerer": ("--skip-serve-logs",),
        }

    def kill(self, name: str) -> None:
        """kill -9 of one of the processes, and of its children."""
        self.kill_group(self.processes.pop(name))

    def spawn_again(self, name: str) -> None:
        """Starts one of the processes as it was started before."""
        self.spawn(*self._spawned[name], name=name)

    def start_ended(self) -> list[str]:
        """Starts what has ended by itself once more, as a deployment does; returns the names."""
        ended = [name for name, each in list(self.processes.items()) if each.poll() is not None]
        for name in ended:
            self.kill_group(self.processes.pop(name))  # what it has left
            self.spawn_again(name)
        return ended

    def run(self, *arguments: str) -> str:
        """Runs an `airflow` command to its end and returns what it printed.

        Raises:
            AirflowError: It failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.env,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            tail = (done.stdout + done.stderr)[-3000:]
            raise AirflowError(f"airflow {' '.join(arguments)} failed: {tail}")
        return done.stdout

    def spawn(self, command: str, *arguments: str, name: str = "") -> subprocess.Popen[bytes]:
        """Starts one of Airflow's processes in a session of its own; its log is in `home`."""
        name = name or command
        with (self.home / f"{name}.out").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", command, *arguments],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes[name] = process
        self._spawned[name] = (command, *arguments)
        return process

    def stop(self) -> None:
        """Ends everything that was started, and waits for it."""
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            self.kill_group(process)
        self.processes.clear()

    @staticmethod
    def kill_group(process: subprocess.Popen[bytes]) -> None:
        """kill -9 of a process and all that belongs to its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def healthy(self) -> bool:
        """Whether scheduler, DAG processor and triggerer have all said that they are alive."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = (self.home / f"{name}.out").read_text(errors="replace")[-3000:]
                raise AirflowError(f"airflow {name} ended with {process.returncode}: {log}")
        try:
            health = self.get("/api/v2/monitor/health")
        except (OSError, AirflowError):
            return False
        parts = ("scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def wait_for(self, ready: Callable[[], Any], what: str, timeout_s: float) -> Any:
        """Asks until there is an answer that is true, and returns it.

        Raises:
            AirflowError: There was none in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if answer := ready():
                return answer
            time.sleep(POLL_S)
        raise AirflowError(f"waited {timeout_s:.0f} s for {what}")

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the REST API; returns the parsed answer.

        Raises:
            AirflowError: The answer is an error.
        """
        if not self._token:
            self._token = self._send("GET", "/auth/token")["access_token"]
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()[:2000].decode(errors="replace")
            raise AirflowError(f"{method} {path}: {error.code}: {text}") from None
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        """One GET of the REST API."""
        return self.request("GET", path)

    def wait_for_dag(self, dag_id: str, timeout_s: float = 120) -> None:
        """Waits until a DAG is known, and lets it run.

        Raises:
            AirflowError: It was not found in time, or its file cannot be imported.
        """

        def known() -> bool:
            errors = self.get("/api/v2/importErrors")["import_errors"]
            if errors:
                raise AirflowError(errors[0]["stack_trace"])
            try:
                self.request("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
            except AirflowError:
                return False
            return True

        self.wait_for(known, f"the DAG {dag_id}", timeout_s)

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Starts a run of a DAG and returns its id."""
        body = {"logical_date": None, "conf": conf}
        return str(self.request("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run_path(self, dag_id: str, run_id: str) -> str:
        """The path of a DAG run in the REST API."""
        return f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}"

    def wait_for_run(self, dag_id: str, run_id: str, timeout_s: float = 300) -> str:
        """Waits for a DAG run's end and returns its state."""

        def ended() -> str:
            state = str(self.get(self.run_path(dag_id, run_id))["state"])
            return state if state in FINAL else ""

        return str(self.wait_for(ended, f"the end of {run_id}", timeout_s))

    def instances(self, dag_id: str, run_id: str, task_id: str = "") -> list[dict[str, Any]]:
        """The task instances of a run, or of one of its tasks, mapped ones one by one."""
        return list(self._instances(dag_id, run_id, task_id))

    def _instances(self, dag_id: str, run_id: str, task_id: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self.get(
                f"{self.run_path(dag_id, run_id)}/taskInstances?limit=100&offset={offset}"
                "&order_by=map_index"
            )
            for instance in page["task_instances"]:
                if not task_id or instance["task_id"] == task_id:
                    yield instance
            offset += 100
            if offset >= page["total_entries"]:
                return

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value of an XCom of a task that is not mapped."""
        path = f"{self.run_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(f"{path}?deserialize=true")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, map_index: int, try_number: int) -> str:
        """A task instance's log, as the UI shows it."""
        path = f"{self.run_path(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}"
        answer = self.get(f"{path}?map_index={map_index}&full_content=true")
        lines = answer["content"]
        return "\n".join(
            line.get("event", "") if isinstance(line, dict) else str(line) for line in lines
        )
