"""What goes wrong with a cluster, as who runs `podmap run --backend kubernetes` meets it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from podmap.backends.kubernetes.pauses import Pauses
from podmap.testing.fake_cluster import FakeCluster, Script
from podmap.testing.fake_cluster.objects import RefusedError

TRIALS = 6
SPEC = f"""\
apiVersion: podmap/v1
name: faults
search: {{kind: grid, params: {{n: {{low: 1, high: {TRIALS}}}}}}}
objective: {{metric: x, direction: maximize}}
trial: {{image: fake, command: [train], args: ["{{params.n}}"]}}
parallelism: 3
"""
OVERHEAD = 20
"""Requests of a run that are not those of its trials: lists, watches, the lease, a dry run."""
PER_TRIAL = 4
PATIENCE_S = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = Pauses(unmet_s=0.2, poll_every_s=0.05, watch_again_s=(60.0, 300.0))
    monkeypatch.setattr("podmap.backends.kubernetes.backend.USUAL", pauses)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def held() -> Iterator[FakeCluster]:
    """A cluster whose pods run until they are released."""
    with FakeCluster(script=Script(holds=True), bookmark_s=0.2) as cluster:
        yield cluster


def run(cli: Any, kubeconfig: Path, *more: str, spec: str = SPEC) -> Any:
    path = cli.spec(spec)
    return cli("run", path, "--backend", "kubernetes", "--kubeconfig", str(kubeconfig), *more)


def wait_until(ready: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def refused(ran: Any, cli: Any, code: int = 3) -> str:
    """The one line of a run that could not begin and left nothing."""
    assert (code, "") == (ran.code, ran.out), ran.err
    assert [] == list(cli.store.glob("*/*"))
    line: str = ran.err.strip()
    assert 1 == len(line.splitlines()), ran.err
    return line


def running(cluster: FakeCluster) -> int:
    pods = (cluster.pod(name) for name in cluster.pod_names())
    return sum(1 for pod in pods if pod and pod["status"].get("containerStatuses"))


def test_a_cluster_that_is_dead_is_told_soon(cli: Any, tmp_path: Path) -> None:
    with FakeCluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "config")
    line = refused(run(cli, kubeconfig), cli)
    for part in (cluster.server, "refused", "is the cluster up?", str(kubeconfig)):
        assert part in line


def test_an_address_that_answers_nothing_is_told_soon(cli: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        deaf.listen()
        with FakeCluster() as cluster:
            kubeconfig = cluster.kubeconfig(tmp_path / "config")
        kubeconfig.write_text(
            kubeconfig.read_text().replace(cluster.server, f"https://127.0.0.1:{port}")
        )
        closer = threading.Thread(target=lambda: deaf.accept()[0].close())
        closer.start()
        line = refused(run(cli, kubeconfig), cli)
        closer.join()
    assert f"127.0.0.1:{port}" in line


def test_a_token_that_expired_is_told_at_the_start(
    cluster: FakeCluster, cli: Any, tmp_path: Path
) -> None:
    cluster.set_token("new")
    line = refused(run(cli, cluster.kubeconfig(tmp_path / "config", token="old")), cli)
    for part in ("may have expired", "log in", cluster.server):
        assert part in line
    assert sum(cluster.requests.values()) <= PER_TRIAL


def test_a_namespace_that_is_not_there_is_told_at_the_start(cli: Any, tmp_path: Path) -> None:
    with FakeCluster(namespaces={"other"}) as cluster:
        line = refused(run(cli, cluster.kubeconfig(tmp_path / "config")), cli, 2)
    assert "there is no namespace default. Create it" in line


@pytest.mark.parametrize("right", ["list", "create"])
def test_a_right_that_is_missing_is_told_at_the_start(
    cluster: FakeCluster, cli: Any, tmp_path: Path, right: str
) -> None:
    cluster.forbid(right)
    ran = run(cli, cluster.kubeconfig(tmp_path / "config"))
    line = refused(ran, cli, 3 if right == "list" else 2)
    assert right in line
    assert "pods" in line


def test_a_token_that_expires_in_mid_run_is_waited_for(
    held: FakeCluster, cli: Any, tmp_path: Path
) -> None:
    held.set_token("one")
    kubeconfig = held.kubeconfig(tmp_path / "config", token="one")
    process: subprocess.Popen[str] = cli.start(
        "run", cli.spec(SPEC), "--backend", "kubernetes", "--kubeconfig", str(kubeconfig)
    )
    wait_until(lambda: running(held) == 3, "three trials to run")
    held.set_token("two")
    held.end_watches()
    err: list[str] = []
    told = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            err.append(line)
            if "may have expired" in line:
                told.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert told.wait(PATIENCE_S), err
    held.kubeconfig(kubeconfig, token="two")
    release_all(held, process)
    reader.join()
    assert 0 == process.wait(PATIENCE_S), err
    assert [("COMPLETE", 1)] * TRIALS == [
        (record["state"], len(record["attempts"])) for record in cli.records().values()
    ]
    assert [] == held.pod_names()
    assert sum(held.requests.values()) < TRIALS * PER_TRIAL + 2 * OVERHEAD
    assert len(err) < 25


def release_all(cluster: FakeCluster, process: subprocess.Popen[str]) -> None:
    """Lets every pod go on to its end, those that are still to come, too."""
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        assert time.monotonic() < deadline
        for name in cluster.pod_names():
            with contextlib.suppress(RefusedError):  # it has ended and is gone by now
                cluster.release(name)
        time.sleep(0.05)


def test_without_the_right_to_watch_a_run_ends_well_and_says_so_once(
    cluster: FakeCluster, cli: Any, tmp_path: Path
) -> None:
    cluster.forbid("watch")
    ran = run(cli, cluster.kubeconfig(tmp_path / "config"), "--json")
    assert (0, {"COMPLETE": TRIALS}) == (ran.code, ran.json["counts"])
    assert 1 == ran.err.count("until it is allowed, pods are listed every")
    assert 2 >= cluster.requests["watch pods"]  # the dry run's client, and the run's
    assert [] == cluster.pod_names()


def test_a_namespace_that_goes_in_mid_run_stops_it_once(
    held: FakeCluster, cli: Any, tmp_path: Path
) -> None:
    kubeconfig = held.kubeconfig(tmp_path / "config")

    def delete() -> None:
        wait_until(lambda: running(held) == 3, "three trials to run")
        held.delete_namespace()

    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(delete)
        ran = run(cli, kubeconfig)
        deleting.result()
    assert 1 == ran.code
    assert "the namespace default was deleted while the run went on" in ran.err
    assert "Traceback" not in ran.err
    assert "lease" not in ran.err
    assert len(ran.err.splitlines()) < 25
    states = [record["state"] for record in cli.records().values()]
    assert TRIALS == len(states)
    assert {"CANCELLED"} == set(states)
    assert [] == held.pod_names()
    assert sum(held.requests.values()) < TRIALS * PER_TRIAL + OVERHEAD


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (f"kubernetes.queue={'q' * 64}", "kubernetes.queue"),
        ("kubernetes.queue=team a", "kubernetes.queue"),
        ("trial.pod={metadata: {labels: {team: 'a b'}}}", "labels"),
        ("trial.pod={metadata: {labels: {podmap.io/run: mine}}}", "podmap.io/run"),
        (f"name={'n' * 41}", "at most 40"),
    ],
    ids=["queue too long", "queue with a space", "overlay", "overlay of our own", "name"],
)
def test_label_values_that_kubernetes_does_not_take_are_told_before_anything_runs(
    cluster: FakeCluster, cli: Any, tmp_path: Path, setting: str, expected: str
) -> None:
    kubeconfig = cluster.kubeconfig(tmp_path / "config")
    ran = run(cli, kubeconfig, "--set", setting)
    assert (2, "") == (ran.code, ran.out), ran.err
    assert expected in ran.err
    assert [] == list(cli.store.glob("*/*"))
    assert 0 == cluster.requests["create pods"]
