from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.client import (
    ApiError,
    Connection,
    Load,
    from_kubeconfig,
    leases_path,
    pods_path,
)
from podmap.backends.kubernetes.client.errors import describe
from podmap.backends.kubernetes.client.requests import AT_ONCE, Client
from podmap.backends.kubernetes.pauses import Pauses
from podmap.errors import BackendError, UsageError
from podmap.testing.fake_cluster import FakeCluster

PODS = pods_path("default")
LEASES = leases_path("default")
QUICK = Pauses(request_pauses_s=(0.01, 8.0))
LEASE = {"metadata": {"name": "x"}, "spec": {}}


def ask(load: Load, what: Callable[[Client], Awaitable[Any]], *, limit_s: float = 10.0) -> Any:
    async def run() -> Any:
        client = Client(load, limit_s=limit_s, pauses=QUICK, page=2)
        try:
            return await what(client)
        finally:
            await client.close()

    return asyncio.run(run())


def refusal(load: Load, what: Callable[[Client], Awaitable[Any]], **more: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        ask(load, what, **more)
    return caught.value


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "reason": "TooManyRequests", "retry_after": "0"},
        {"status": 500, "reason": "InternalError"},
        {"status": 503},
        {},
    ],
    ids=["429", "500", "503", "cut"],
)
def test_what_may_pass_is_asked_again(cluster: FakeCluster, fault: dict[str, Any]) -> None:
    cluster.fail("create", "leases", times=3, **fault)

    async def what(client: Client) -> Any:
        made = await client.create(LEASES, LEASE)
        return made["metadata"]["name"], client.requests

    name, requests = ask(cluster.connection(), what)
    assert "x" == name
    assert {"create leases": 4} == requests == cluster.requests


def test_retry_after_is_obeyed(cluster: FakeCluster) -> None:
    cluster.fail("get", "leases", status=429, retry_after="3600")
    error = refusal(cluster.connection(), lambda client: client.get(f"{LEASES}/x"))
    assert isinstance(error, ApiError)
    assert (429, 3600.0) == (error.status, error.retry_after_s)
    assert 1 == cluster.requests["get leases"]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_what_cannot_pass_is_not_asked_again(cluster: FakeCluster, status: int) -> None:
    cluster.fail("get", "leases", times=None, status=status, message="no", reason="Bad")
    error = refusal(cluster.connection(), lambda client: client.get(f"{LEASES}/x"))
    assert isinstance(error, ApiError)
    assert (status, "Bad", "no") == (error.status, error.reason, error.message)
    assert 1 == cluster.requests["get leases"]


def test_a_refusal_is_read_whole_though_it_comes_in_parts(cluster: FakeCluster) -> None:
    why = "field " * 30_000
    cluster.fail("get", "leases", status=422, message=why, reason="Invalid")
    error = refusal(cluster.connection(), lambda client: client.get(f"{LEASES}/x"))
    assert isinstance(error, ApiError)
    assert why.strip() == error.message.strip()


@pytest.mark.parametrize("fault", [{}, {"status": 500}, {"acts": True}], ids=["cut", "500", "lost"])
def test_what_must_not_happen_twice_is_not_asked_again(
    cluster: FakeCluster, fault: dict[str, Any]
) -> None:
    async def what(client: Client) -> None:
        await client.create(LEASES, LEASE)
        cluster.fail("patch", "leases", **fault)
        with pytest.raises(BackendError):
            await client.patch(f"{LEASES}/x", {"spec": {}}, retry=False)

    ask(cluster.connection(), what)
    assert 1 == cluster.requests["patch leases"]


def test_a_request_ends_within_its_limit(cluster: FakeCluster) -> None:
    cluster.fail("get", "leases", times=None, delay_s=30)
    began = time.monotonic()
    error = refusal(cluster.connection(), lambda client: client.get(f"{LEASES}/x"), limit_s=0.2)
    assert "did not answer in time" in str(error)
    assert time.monotonic() - began < 10  # not the 30 s that the server takes


def test_what_has_a_time_limit_of_its_own_does_not_wait_for_others(cluster: FakeCluster) -> None:
    cluster.fail("get", "pods", times=None, delay_s=3600)

    async def what(client: Client) -> Any:
        await client.create(LEASES, LEASE)
        others = [asyncio.ensure_future(client.get(f"{PODS}/{n}")) for n in range(2 * AT_ONCE)]
        while cluster.requests["get pods"] < AT_ONCE:
            await asyncio.sleep(0.005)
        found = await client.get(f"{LEASES}/x", limit_s=5)
        for other in others:
            other.cancel()
        return found["metadata"]["name"]

    assert "x" == ask(cluster.connection(), what)


def test_a_list_comes_in_pages(cluster: FakeCluster) -> None:
    async def what(client: Client) -> list[list[str]]:
        for name in "abcde":
            await client.create(LEASES, {"metadata": {"name": name, "labels": {"k": name}}})
        pages = [page["items"] async for page in client.pages(LEASES)]
        some = [page["items"] async for page in client.pages(LEASES, selector="k=c")]
        return [[item["metadata"]["name"] for item in page] for page in pages + some]

    assert [["a", "b"], ["c", "d"], ["e"], ["c"]] == ask(cluster.connection(), what)


def test_a_cluster_that_is_dead_is_told_with_its_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    load = from_kubeconfig(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
    error = refusal(load, lambda client: client.get(PODS), limit_s=0.1)
    for part in (f"http://127.0.0.1:{port}", "refused", "is the cluster up?", str(tmp_path)):
        assert part in str(error)
    assert 3 == error.exit_code


def test_a_name_that_is_wrong_is_told() -> None:
    load = lambda: Connection("http://podmap.invalid")  # noqa: E731
    error = refusal(load, lambda client: client.get(PODS), limit_s=0.1)
    assert "name cannot be resolved" in str(error)


@pytest.mark.parametrize("server", ["https://[", "http://a:b"], ids=["brackets", "port"])
def test_an_address_that_is_none_is_told(server: str) -> None:
    with pytest.raises((UsageError, BackendError), match="not an address"):
        ask(lambda: Connection(server), lambda client: client.get(PODS), limit_s=0.1)


def test_tls_where_there_is_none_is_told(cluster: FakeCluster) -> None:
    server = cluster.server.replace("http://", "https://")
    error = refusal(lambda: Connection(server), lambda client: client.get(PODS), limit_s=0.1)
    assert "TLS failed" in str(error)


def test_what_is_no_kubernetes_is_told(cluster: FakeCluster) -> None:
    error = refusal(cluster.connection(), lambda client: client.get("/elsewhere"), limit_s=0.1)
    assert "404 NotFound" in str(error)


def test_credentials_that_expired_are_told(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.set_token("new")
    load = from_kubeconfig(cluster.kubeconfig(tmp_path / "config", token="old"))
    error = refusal(load, lambda client: client.get(PODS), limit_s=0.1)
    assert isinstance(error, ApiError)
    assert 401 == error.status
    for part in (cluster.server, str(tmp_path), "may have expired", "log in"):
        assert part in str(error)
    assert 2 == sum(cluster.requests.values())


def test_a_missing_right_is_told_with_verb_and_resource(cluster: FakeCluster) -> None:
    cluster.forbid("create")
    error = refusal(cluster.connection(), lambda client: client.create(PODS, LEASE))
    for part in ("create pods in namespace default", "403", 'User "fake"', "deploy/rbac.yaml"):
        assert part in str(error)


def test_a_kubeconfig_that_got_a_new_token_is_read_again(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    path = cluster.kubeconfig(tmp_path / "config", token="one")
    cluster.set_token("one")

    async def what(client: Client) -> Any:
        await client.create(LEASES, LEASE)
        cluster.set_token("two")
        cluster.kubeconfig(path, token="two")
        found = await asyncio.gather(*(client.get(f"{LEASES}/x") for _ in range(20)))
        return [each["metadata"]["name"] for each in found]

    assert ["x"] * 20 == ask(from_kubeconfig(path), what)


def test_a_token_file_is_read_again_when_its_token_is_refused(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    cluster.set_token("one")

    async def what(client: Client) -> None:
        await client.create(LEASES, LEASE)
        file.write_text("two\n")
        cluster.set_token("two")
        await client.get(f"{LEASES}/x")

    ask(lambda: Connection(cluster.server, token_file=str(file)), what)
    assert 2 == cluster.requests["get leases"]


def test_a_token_file_is_read_again_in_time(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("podmap.backends.kubernetes.client.transport.TOKEN_FILE_S", 0.0)
    file = tmp_path / "token"
    file.write_text("one")
    cluster.set_token("one")

    async def what(client: Client) -> None:
        await client.create(LEASES, LEASE)
        file.write_text("two")
        cluster.set_token("two")
        await client.get(f"{LEASES}/x")

    ask(lambda: Connection(cluster.server, token_file=str(file)), what)
    assert 1 == cluster.requests["get leases"]


def plugin_config(tmp_path: Path, server: str, script: str) -> Path:
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}
    return kubeconfig(tmp_path, server, {"exec": plugin})


def kubeconfig(tmp_path: Path, server: str, user: dict[str, Any] | None = None) -> Path:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    return path


def test_a_plugin_gives_the_token_and_is_asked_again_when_it_is_refused(
    cluster: FakeCluster, tmp_path: Path
) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "TOKEN"},
    }
    text = json.dumps(answer).replace("TOKEN", f"$(cat {tmp_path}/token)").replace('"', '\\"')
    load = from_kubeconfig(plugin_config(tmp_path, cluster.server, f'echo "{text}"'))
    (tmp_path / "token").write_text("one")
    cluster.set_token("one")

    async def what(client: Client) -> None:
        await client.create(LEASES, LEASE)
        (tmp_path / "token").write_text("two")
        cluster.set_token("two")
        await client.get(f"{LEASES}/x")

    ask(load, what)
    assert 2 == cluster.requests["get leases"]


@pytest.mark.parametrize(
    "script", ["echo 'log in first' >&2; exit 1", "echo nothing"], ids=["fails", "no JSON"]
)
def test_a_plugin_that_fails_is_told(cluster: FakeCluster, tmp_path: Path, script: str) -> None:
    load = from_kubeconfig(plugin_config(tmp_path, cluster.server, script))
    error = refusal(load, lambda client: client.get(PODS))
    assert "credential plugin of kubeconfig" in str(error)
    assert {} == cluster.requests


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (pods_path("ml"), "get pods in namespace ml"),
        (pods_path("ml", "a", "log"), "get pods/log a in namespace ml"),
        (leases_path("ml", "a"), "get leases a in namespace ml"),
        ("/version", "get /version"),
    ],
    ids=["pods", "log", "lease", "other"],
)
def test_requests_are_told_in_words(path: str, words: str) -> None:
    assert words == describe("get", path)
