"""The fake cluster that a test enters, asks and disturbs.

    with FakeCluster() as cluster:
        backend = KubernetesBackend.connect(cluster.connection())
        ...

It is an API server for pods, their logs and leases, over real HTTP, with lists in pages, watches,
bookmarks, versions, preconditions, patches, dry runs and a quota. Its nodes run nothing: a `Script`
tells what happens to each pod, in the order of its own time. It lives in a thread of its own and
can be used from any thread and any event loop.

As a fixture:

    @pytest.fixture
    def cluster() -> Iterator[FakeCluster]:
        with FakeCluster() as cluster:
            yield cluster
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from podmap.backends.kubernetes.client import Connection, Load
from podmap.testing.fake_cluster.nodes import Agenda, FakeNodes, Script, ask_to_delete
from podmap.testing.fake_cluster.objects import FakeObjects, Object, expired_line, merge_patch
from podmap.testing.fake_cluster.server import FakeApiServer, Fault

T = TypeVar("T")
NAMESPACE = "default"
START_S = 10.0


class FakeCluster:
    """The cluster; start it by entering it.

    Nothing of it is timed: with `speed=0` whatever its nodes have to do happens at once, in the
    order of their own time.
    """

    def __init__(
        self,
        *,
        script: Script | Callable[[Object], Script] | None = None,
        speed: float = 0.0,
        capacity: int | None = None,
        quota: int | None = None,
        token: str = "",
        namespaces: set[str] | None = None,
        bookmark_s: float = 1.0,
        history: int = 10_000,
        clock_behind_s: float = 0.0,
    ) -> None:
        """Makes a cluster that is not started yet.

        Args:
            script: What happens to a pod, or a function of the pod that tells it.
            speed: Seconds of the nodes' time in one of ours; 0 for as fast as possible.
            capacity: How many pods run at once; None for any number.
            quota: How many unfinished pods a namespace may have; None for any number.
            token: What requests must carry; empty if they need not.
            namespaces: Those that are there; None for all.
            bookmark_s: How often an idle watch gets a bookmark.
            history: How many events a watch can begin in the past.
            clock_behind_s: How far the nodes' clocks are behind this machine's.
        """
        self._script_of = script if callable(script) else lambda _: script or Script()
        self._speed = speed
        self._capacity = capacity
        self._settings = (quota, token, namespaces)
        self._bookmark_s = bookmark_s
        self._clock_behind_s = clock_behind_s
        self._objects = FakeObjects(history=history)
        self._thread = threading.Thread(target=self._serve, name="fake-cluster", daemon=True)
        self._ready = threading.Event()
        self._port = 0
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._server: FakeApiServer
        self._nodes: FakeNodes

    def __enter__(self) -> FakeCluster:
        self._thread.start()
        if not self._ready.wait(START_S):
            raise RuntimeError("the fake cluster did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    @property
    def server(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> Counter[str]:
        """Verb and resource to the number of requests so far, for example "create pods"."""
        return self._call(lambda: Counter(self._server.requests))

    def connection(self, namespace: str = NAMESPACE) -> Load:
        """What KubernetesBackend.connect and Client take."""
        token = self._settings[1]
        connection = Connection(
            self.server,
            namespace,
            "the fake cluster",
            authorization=f"Bearer {token}" if token else None,
        )
        return lambda: connection

    def kubeconfig(self, path: Path, *, namespace: str = NAMESPACE, token: str = "") -> Path:
        """Writes a kubeconfig for it; the same path."""
        user = {"token": token} if token else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.server}}],
            "users": [{"name": "fake", "user": user}],
            "contexts": [
                {
                    "name": "fake",
                    "context": {"cluster": "fake", "user": "fake", "namespace": namespace},
                }
            ],
            "current-context": "fake",
        }
        path.write_text(json.dumps(config))
        return path

    def pod(self, name: str, namespace: str = NAMESPACE) -> Object | None:
        """A pod as it is now; None if it is not there."""
        key = ("pods", namespace, name)
        return self._call(lambda: copy.deepcopy(self._objects.by_key.get(key)))

    def lease(self, name: str, namespace: str = NAMESPACE) -> Object | None:
        """A lease as it is now; None if it is not there."""
        key = ("leases", namespace, name)
        return self._call(lambda: copy.deepcopy(self._objects.by_key.get(key)))

    def pod_names(self, namespace: str = NAMESPACE) -> list[str]:
        """The names of all pods."""
        return self._call(
            lambda: sorted(k[2] for k in self._objects.by_key if k[:2] == ("pods", namespace))
        )

    def most_alive(self, run_id: str) -> int:
        """The most pods of a run that were ever ungated and unfinished at the same time."""
        return self._call(lambda: self._server.most_alive[run_id])

    def release(self, name: str, namespace: str = NAMESPACE) -> None:
        """Lets a pod whose script holds go on to its end, at once or as soon as it runs."""
        self._call(lambda: self._nodes.release(("pods", namespace, name)))

    def delete_pod(self, name: str, namespace: str = NAMESPACE, *, grace_s: int = 0) -> None:
        """Deletes a pod by hand, without podmap's knowledge; with 0 it is gone at once."""
        options = {"gracePeriodSeconds": grace_s}
        key = ("pods", namespace, name)
        self._call(lambda: ask_to_delete(self._objects, self._nodes, key, options))

    def change_pod(self, name: str, change: Object, namespace: str = NAMESPACE) -> None:
        """Changes a pod by a merge patch, its status too, as controllers and kubelets do."""
        key = ("pods", namespace, name)
        self._call(lambda: self._objects.put(key, merge_patch(self._objects.get(key), change)))

    def delete_namespace(self, namespace: str = NAMESPACE) -> None:
        """Removes a namespace with all that is in it; nothing can be created there any more."""

        def delete() -> None:
            known = self._server.namespaces or {key[1] for key in self._objects.by_key}
            self._server.namespaces = known - {namespace}
            for key in [key for key in self._objects.by_key if key[1] == namespace]:
                pod = self._objects.by_key[key]
                self._objects.remove(key)
                self._nodes.forget(pod)

        self._call(delete)

    def create_namespace(self, namespace: str = NAMESPACE) -> None:
        """Makes a namespace, empty, where it is not there."""

        def create() -> None:
            if self._server.namespaces is not None:
                self._server.namespaces = {*self._server.namespaces, namespace}

        self._call(create)

    def set_quota(self, quota: int | None) -> None:
        """How many unfinished pods a namespace may have from now on."""
        self._call(lambda: setattr(self._server, "quota", quota))

    def set_token(self, token: str) -> None:
        """What requests must carry from now on: those that have another one are refused."""
        self._call(lambda: setattr(self._server, "token", token))

    def fail(
        self, verb: str, resource: str = "pods", *, times: int | None = 1, **what: Any
    ) -> None:
        """Has requests fail from now on.

        Args:
            verb: Which: get, list, watch, create, update, patch or delete.
            resource: Of what: "pods", "pods/log" or "leases".
            times: How many; None for all, until `heal`.
            **what: As `Fault` has them. Without a status the connection is cut without an answer.
        """
        fault = Fault(verb, resource, times, **what)
        self._call(lambda: self._server.faults.append(fault))

    def forbid(self, verb: str, resource: str = "pods") -> None:
        """Takes the right to a verb away, until `heal`."""
        message = f'{resource} is forbidden: User "fake" cannot {verb} resource "{resource}"'
        self.fail(verb, resource, times=None, status=403, reason="Forbidden", message=message)

    def tell(self, path: str, told: Any) -> None:
        """Has the cluster answer a GET of a path besides pods and leases so from now on.

        Args:
            path: For example "/version", or "/api/v1/namespaces/ml/resourcequotas".
            told: The object. Of a list, its items.
        """
        answer = {"kind": "List", "metadata": {}, "items": told} if isinstance(told, list) else told
        self._call(lambda: self._server.facts.told.update({path: answer}))

    def forbid_path(self, path: str) -> None:
        """Takes the right to read a path besides pods and leases away, until `heal`."""
        message = f'{path} is forbidden: User "fake" cannot list resource'
        self.fail("list", path, times=None, status=403, reason="Forbidden", message=message)

    def strip_gates(self) -> None:
        """Has a webhook take scheduling gates off pods, in dry runs."""
        self._call(lambda: setattr(self._server.facts, "strips_gates", True))

    def set_clock(self, off_s: float) -> None:
        """How far the API server's clock is off this machine's, by what it says of itself."""
        self._call(lambda: setattr(self._server.facts, "clock_off_s", off_s))

    def heal(self) -> None:
        """Has nothing fail any more."""
        self._call(lambda: self._server.faults.clear())

    def end_watches(self) -> None:
        """Ends all open watches cleanly, as their time being over does."""

        def end() -> None:
            for watcher in tuple(self._objects.watchers):
                watcher.end()

        self._call(end)

    def cut_logs(self, after_bytes: int | None) -> None:
        """Has each reading of a log cut, anywhere, after about so many bytes; None for none."""
        self._call(lambda: setattr(self._server, "cut_logs", after_bytes))

    def expire_watches(self) -> None:
        """Has all open watches, and all that begin where those were, answered with 410."""

        def expire() -> None:
            self._objects.forget_history()
            for watcher in tuple(self._objects.watchers):
                watcher.lines.clear()
                watcher.send(expired_line())
                watcher.end()
                self._objects.watchers.discard(watcher)

        self._call(expire)

    def turn_back(self, versions: int) -> None:
        """Makes all versions smaller, as a store restored from a backup does; ends all watches."""

        def turn() -> None:
            self._objects.turn_back(versions)
            for watcher in tuple(self._objects.watchers):
                watcher.end()
                self._objects.watchers.discard(watcher)

        self._call(turn)

    def repeat_events(self, older: int = 3) -> None:
        """Has each event followed by some that are older, and by itself once more."""
        self._call(lambda: setattr(self._objects, "repeats", older))

    def _call(self, what: Callable[[], T]) -> T:
        """Does something in the cluster's own thread."""

        async def run() -> T:
            return what()

        return self._run(run())

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_S)

    def _serve(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._nodes = FakeNodes(
            self._objects,
            Agenda(self._speed),
            self._script_of,
            capacity=self._capacity,
            clock_behind_s=self._clock_behind_s,
        )
        self._server = FakeApiServer(self._objects, self._nodes, bookmark_s=self._bookmark_s)
        self._server.quota, self._server.token, self._server.namespaces = self._settings
        self._objects.on_change = self._server.count_alive
        http = web.Server(self._server.handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(http, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        try:
            await self._over.wait()
        finally:
            await runner.cleanup()
