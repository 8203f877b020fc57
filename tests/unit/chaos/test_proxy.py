from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from chaos.proxy import FaultProxy, Trouble

BODY = json.dumps({"startedAt": "2026-11-01T23:55:00Z", "text": "x" * 1000}).encode() + b"\n"


class Upstream(ThreadingHTTPServer):
    """Answers all alike, and streams two chunks, the second once it is told to."""

    daemon_threads = True
    asked = 0
    go_on = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Upstream)
        server.asked += 1
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.path != "/stream":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
        if self.path == "/stream":
            server.go_on.wait(30)
            self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(("127.0.0.1", 0), Handler) as server:
        server.go_on = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.go_on.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    with FaultProxy(f"http://127.0.0.1:{upstream.server_port}") as made:
        yield made


def ask(proxy: FaultProxy) -> bytes:
    with urllib.request.urlopen(f"{proxy.url}/x", timeout=30) as answer:
        return bytes(answer.read())


def test_without_trouble_all_is_passed_on(proxy: FaultProxy) -> None:
    assert BODY == ask(proxy)


@pytest.mark.parametrize(("mishap", "asked"), [("drop", 0), ("lose", 1), ("truncate", 1)])
def test_connections_are_cut_before_after_and_within(
    upstream: Upstream, proxy: FaultProxy, mishap: str, asked: int
) -> None:
    with (
        proxy.trouble(Trouble((mishap,), 1.0)),
        pytest.raises((OSError, http.client.HTTPException)),
    ):
        ask(proxy)
    assert (asked, 1) == (upstream.asked, proxy.happened[mishap])
    assert BODY == ask(proxy)


@pytest.mark.parametrize(("status", "again"), [("403", None), ("429", "1"), ("503", "1")])
def test_a_refusal_looks_like_the_servers_own(
    upstream: Upstream, proxy: FaultProxy, status: str, again: str | None
) -> None:
    with proxy.trouble(Trouble((status,), 1.0)), pytest.raises(urllib.error.HTTPError) as told:
        ask(proxy)
    assert (int(status), again) == (told.value.code, told.value.headers.get("Retry-After"))
    assert int(status) == json.load(told.value)["code"]
    assert 0 == upstream.asked


def test_trouble_is_for_what_it_matches_alone(proxy: FaultProxy) -> None:
    with proxy.trouble(Trouble(("drop",), 1.0, matches="POST .*")):
        assert BODY == ask(proxy)


def test_nodes_clocks_are_off_and_nothing_else(proxy: FaultProxy) -> None:
    with proxy.trouble(Trouble(node_clock_s=600)):
        told = json.loads(ask(proxy))
    assert {**json.loads(BODY), "startedAt": "2026-11-02T00:05:00Z"} == told


def test_a_stream_is_held_open_without_a_word_and_goes_on_afterwards(
    upstream: Upstream, proxy: FaultProxy
) -> None:
    with urllib.request.urlopen(f"{proxy.url}/stream", timeout=30) as answer:
        assert BODY == answer.readline()
        with proxy.trouble(Trouble(holds_streams=True)):
            # What another request is answered with comes after the proxy has heard of it.
            upstream.go_on.set()
            with (
                pytest.raises(TimeoutError),
                urllib.request.urlopen(f"{proxy.url}/x", timeout=0.3) as held,
            ):
                held.read()
        assert BODY == answer.readline()


def test_streams_are_cut(proxy: FaultProxy) -> None:
    with urllib.request.urlopen(f"{proxy.url}/stream", timeout=30) as answer:
        assert BODY == answer.readline()
        with proxy.trouble(Trouble(cuts_streams=True)), suppress(OSError):
            assert b"" == answer.readline()
