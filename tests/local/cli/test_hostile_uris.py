"""URIs that make libraries do more than open a place: nothing is fetched, and nothing is run."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SPEC = """\
apiVersion: podmap/v1
name: grid
search: {{{search}}}
objective: {{metric: y, direction: maximize}}
trial: {{command: [sh, trial.sh], args: ["1"]}}
"""
RUNS_A_COMMAND = {
    "version": 1,
    "templates": {"t": "{{ cycler.__init__.__globals__.os.system('touch executed') }}"},
    "refs": {"x.csv": "{{ t }}"},
}


class Server(http.server.ThreadingHTTPServer):
    """A web server that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = b"x\n1\n" if self.path.endswith(".csv") else json.dumps(RUNS_A_COMMAND).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_HEAD = do_GET

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


URIS = [
    "reference://x.csv::http://{place}/y",
    "reference://::http://{place}/x.csv",
    "filecache::http://{place}/x.csv",
    "zip://x.csv::http://{place}/x.zip",
    "reference://x.csv",
    "http://{place}/x.csv",
    "s3://key:topsecret@bucket/x.csv",
    "https://key:topsecret@127.0.0.1/x.csv",
    "github://org:repo@main/x.csv",
]


WHY = ("not opened here", "chains file systems", "holds a user or password")


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("verb", ["plan", "run", "items", "uris", "store", "status", "results"])
def test_nothing_is_fetched_or_run(cli: Any, server: Server, verb: str, uri: str) -> None:
    uri = uri.format(place=server.place)
    search = {"uris": f"kind: shards, uris: '{uri}'", "store": "kind: grid, params: {x: [1]}"}
    spec = SPEC.format(search=search.get(verb, f"kind: list, items: '{uri}'"))
    if verb == "store":
        spec += f"store: '{uri}'\n"
    if verb in ("status", "results"):
        ran = cli(verb, uri)
    else:
        ran = cli("plan" if verb == "plan" else "run", cli.spec(spec))
    assert 2 == ran.code
    assert "topsecret" not in ran.out + ran.err
    assert any(why in ran.err for why in WHY)
    assert [] == server.asked
    assert not (cli.folder / "executed").exists()
    assert not list(cli.folder.glob("store/*/*/manifest.json"))


def test_a_deployment_may_allow_http(
    cli: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = cli.spec(SPEC.format(search=f"kind: list, items: 'http://{server.place}/x.csv'"))
    monkeypatch.setenv("PODMAP_URI_SCHEMES", "http")
    assert 1 == cli("plan", spec, "--json").json["count"]
    assert server.asked
    asked = len(server.asked)
    chained = SPEC.format(search=f"kind: list, items: 'reference://x::http://{server.place}/x.csv'")
    assert 2 == cli("plan", cli.spec(chained)).code
    assert asked == len(server.asked)


def test_a_pipe_is_not_waited_for(cli: Any) -> None:
    os.mkfifo(cli.folder / "x.csv")
    ran = cli("plan", cli.spec(SPEC.format(search="kind: list, items: x.csv")))
    assert 2 == ran.code
    assert "is no regular file" in ran.err


def test_a_key_that_points_out_of_the_store_is_not_followed(
    cli: Any, server: Server, tmp_path: Path
) -> None:
    spec = cli.spec()
    assert 0 == cli("run", spec, "--set", "reuse=sweep").code
    for key in (cli.store / "grid" / "keys").iterdir():
        key.write_text(
            json.dumps({"record_uri": f"reference://a::http://{server.place}/b/trials/0.json"})
        )
    again = cli("run", spec, "--set", "reuse=sweep", "--json")
    assert (0, {"COMPLETE": 4}) == (again.code, again.json["counts"])
    assert [] == server.asked
