from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import pytest
from tests.unit.backends.kubernetes.watch.raw_pods import RUN, raw_pod

from podmap.backends.base import Phase
from podmap.backends.kubernetes.client import ApiError, pods_path
from podmap.backends.kubernetes.client.requests import Client
from podmap.backends.kubernetes.pauses import USUAL, Pauses
from podmap.backends.kubernetes.watch import watch as module
from podmap.backends.kubernetes.watch.pods import KnownPod
from podmap.backends.kubernetes.watch.watch import PodWatch
from podmap.errors import BackendError
from podmap.testing.fake_cluster import FakeCluster

PODS = pods_path("default")
Scenario = Callable[["Watching"], Awaitable[None]]


class Watching:
    """A watch of a fake cluster, and what is done to the cluster meanwhile."""

    def __init__(
        self, cluster: FakeCluster, client: Client, pauses: Pauses, run_id: str | None
    ) -> None:
        self.cluster, self.client = cluster, client
        self.changes: list[KnownPod] = []
        self._changed = asyncio.Event()
        self.watch = PodWatch(client, "default", self._on_change, run_id=run_id, pauses=pauses)

    def _on_change(self, pod: KnownPod) -> None:
        self.changes.append(pod)
        self._changed.set()

    async def until(self, test: Callable[[], Any]) -> None:
        """Returns once a change, or a bookmark, has made something true."""
        while not test():
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.005)

    async def create(self, number: int, state: str = "gated") -> str:
        """A pod that stays as it is, made by somebody else."""
        raw = raw_pod(number=number, gates=("other.io/hold",))
        raw["metadata"].pop("uid")
        await self.client.create(PODS, raw)
        if state != "gated":
            self.cluster.change_pod(raw["metadata"]["name"], {"status": raw_pod(state)["status"]})
        return str(raw["metadata"]["name"])

    def phases(self) -> list[Phase]:
        return [pod.seen.phase for pod in self.watch.pods.of_run(RUN)]


def play(
    cluster: FakeCluster,
    scenario: Scenario,
    *,
    page: int = 500,
    pauses: Pauses = USUAL,
    run_id: str | None = None,
) -> None:
    async def run() -> None:
        client = Client(cluster.connection(), limit_s=5, page=page)
        watching = Watching(cluster, client, pauses, run_id)
        try:
            await scenario(watching)
        finally:
            await watching.watch.close()
            await client.close()

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.fixture
def cluster() -> Any:
    with FakeCluster(bookmark_s=0.01) as cluster:
        yield cluster


def test_what_is_there_and_what_comes_is_known(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        await w.create(0)
        await w.watch.wait_synced(5)
        assert [Phase.PENDING] == w.phases()
        await w.create(1, "running")
        await w.until(lambda: w.phases() == [Phase.PENDING, Phase.RUNNING])
        w.cluster.delete_pod(await w.create(2))
        await w.until(lambda: [c for c in w.changes if not c.there])
        assert [Phase.PENDING, Phase.RUNNING] == w.phases()
        assert (1, 1) == (w.client.requests["list pods"], w.client.requests["watch pods"])

    play(cluster, scenario)


@pytest.mark.parametrize(("run_id", "known"), [(RUN, 2), ("ffffffff", 0)], ids=["its", "other"])
def test_a_watch_can_be_of_one_run_alone(cluster: FakeCluster, run_id: str, known: int) -> None:
    async def scenario(w: Watching) -> None:
        await w.create(0)
        await w.watch.wait_synced(5)
        await w.create(1)
        await w.until(lambda: len(w.watch.pods) == known)

    play(cluster, scenario, run_id=run_id)


def test_a_list_in_pages_is_taken_in_whole(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        for number in range(10):
            await w.create(number)
        await w.watch.wait_synced(5)
        assert (10, 4) == (len(w.watch.pods), w.client.requests["list pods"])

    play(cluster, scenario, page=3)


def test_a_watch_that_ends_is_taken_up_where_it_was(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        await w.until(lambda: w.watch.fresh)
        await w.create(0)
        await w.until(lambda: len(w.watch.pods) == 1)
        w.cluster.end_watches()
        await w.create(1)
        await w.until(lambda: len(w.watch.pods) == 2)
        assert 1 == w.client.requests["list pods"]

    play(cluster, scenario)


def test_a_watch_that_breaks_is_taken_up_where_it_was(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        await w.until(lambda: w.watch.fresh)
        w.cluster.fail("watch", times=2)
        w.cluster.fail("watch", status=500)
        w.cluster.end_watches()
        await w.create(0)
        await w.until(lambda: len(w.watch.pods) == 1)
        assert 1 == w.client.requests["list pods"]

    play(cluster, scenario)


def test_events_that_are_forgotten_are_made_up_for_by_a_list(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        gone, ended = await w.create(0), await w.create(1)
        await w.watch.wait_synced(5)
        await w.until(lambda: w.watch.fresh)
        w.cluster.fail("watch", times=1, delay_s=0.05, status=500)
        w.cluster.end_watches()
        w.cluster.delete_pod(gone)
        w.cluster.change_pod(ended, {"status": raw_pod("succeeded")["status"]})
        w.cluster.expire_watches()
        await w.until(lambda: w.phases() == [Phase.ENDED])
        assert Phase.GONE is w.watch.pods.get(gone).seen.phase  # type: ignore[union-attr]
        assert 2 == w.client.requests["list pods"]

    play(cluster, scenario)


def test_bookmarks_spare_lists(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        await w.until(lambda: w.watch.fresh)
        w.cluster._call(w.cluster._objects.forget_history)
        newest = w.cluster._call(lambda: str(w.cluster._objects.version))
        await w.until(lambda: w.watch._version == newest)
        w.cluster.end_watches()
        await w.create(0)
        await w.until(lambda: len(w.watch.pods) == 1)
        assert 1 == w.client.requests["list pods"]

    play(cluster, scenario)


def test_a_list_that_expires_between_its_pages_is_begun_anew(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(w: Watching) -> None:
        for number in range(3):
            await w.create(number)
        await w.watch.wait_synced(5)
        real = w.client.pages

        async def pages(path: str, **more: Any) -> AsyncIterator[Any]:
            async for page in real(path, **more):
                yield page
                monkeypatch.setattr(w.client, "pages", real)
                w.cluster._call(w.cluster._objects.forget_history)

        monkeypatch.setattr(w.client, "pages", pages)
        await w.watch.relist()
        assert 3 == len(w.watch.pods)

    play(cluster, scenario, page=1)


def test_without_the_right_to_watch_pods_are_listed(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.forbid("watch")

    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        name = await w.create(0)
        await w.until(lambda: len(w.watch.pods) == 1)
        w.cluster.delete_pod(name)
        await w.until(lambda: len(w.watch.pods) == 0)
        assert 1 == w.client.requests["watch pods"]
        assert w.watch.polls
        assert w.watch.fresh

    with caplog.at_level(logging.WARNING):
        play(cluster, scenario, pauses=Pauses(poll_every_s=0.01, watch_again_s=(3600, 3600)))
    [told] = caplog.messages
    for part in ("not allowed to watch pods", "deploy/rbac.yaml", "listed every"):
        assert part in told


def test_a_watch_that_was_refused_for_a_moment_is_tried_again_soon(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.forbid("watch")

    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        await w.until(lambda: w.client.requests["watch pods"] > 2)
        assert w.watch.polls
        w.cluster.heal()
        await w.until(lambda: not w.watch.polls)
        await w.create(0)
        await w.until(lambda: len(w.watch.pods) == 1)
        assert w.watch.fresh

    with caplog.at_level(logging.WARNING):
        play(cluster, scenario, pauses=Pauses(poll_every_s=3600.0, watch_again_s=(0.01, 0.02)))
    assert 1 == len(caplog.messages)


def test_without_the_right_to_list_it_is_told_at_once(cluster: FakeCluster) -> None:
    cluster.forbid("list")

    async def scenario(w: Watching) -> None:
        with pytest.raises(ApiError, match="not allowed to list pods in namespace default"):
            await w.watch.wait_synced(3600)
        w.cluster.heal()
        await w.until(lambda: w.watch.trouble is None)
        await w.watch.wait_synced(5)

    play(cluster, scenario)


def test_a_cluster_that_does_not_answer_is_told_when_time_is_over(cluster: FakeCluster) -> None:
    cluster.fail("list", times=None)

    async def scenario(w: Watching) -> None:
        w.client._limit_s = 0.05
        with pytest.raises(BackendError, match="cannot reach the Kubernetes API at http"):
            await w.watch.wait_synced(0.2)

    play(cluster, scenario)


def test_a_namespace_that_goes_takes_its_pods_along(cluster: FakeCluster) -> None:
    async def scenario(w: Watching) -> None:
        for number in range(3):
            await w.create(number, "running")
        await w.watch.wait_synced(5)
        w.cluster.delete_namespace()
        await w.until(lambda: len(w.watch.pods) == 0)
        assert {Phase.GONE} == {c.seen.phase for c in w.changes if not c.there}

    play(cluster, scenario)


def test_events_that_come_again_and_late_change_nothing(cluster: FakeCluster) -> None:
    cluster.repeat_events(5)

    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        names = [await w.create(number, "running") for number in range(5)]
        w.cluster.delete_pod(names[0])
        w.cluster.change_pod(names[1], {"status": raw_pod("succeeded")["status"]})
        await w.create(5)
        await w.until(lambda: len(w.watch.pods) == 5 and Phase.ENDED in w.phases())
        await w.until(lambda: w.watch.pods.get(names[0]) is not None)
        assert [Phase.ENDED, *[Phase.RUNNING] * 3, Phase.PENDING] == w.phases()

    play(cluster, scenario)


class Scripted:
    """A client whose lists and watches are given, so that time and order are exact."""

    def __init__(self, lists: Any, watches: Any) -> None:
        self.lists, self.watches = iter(lists), iter(watches)
        self.params: list[Mapping[str, str]] = []
        self.listed = 0

    async def pages(self, path: str, *, selector: str) -> AsyncIterator[Any]:
        self.listed += 1
        answer = next(self.lists)
        if isinstance(answer, Exception):
            raise answer
        yield answer

    @contextlib.asynccontextmanager
    async def stream(
        self, verb: str, path: str, params: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.params.append(params)
        answer = next(self.watches)
        if isinstance(answer, Exception):
            raise answer
        yield self._chunks(answer)

    async def _chunks(self, chunks: Any) -> AsyncIterator[bytes]:
        for chunk in chunks:
            if chunk is None:
                await asyncio.Event().wait()
            yield chunk


def listed(version: int, *items: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(kind: str, raw: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": raw}).encode() + b"\n"


def bookmark(version: int) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


class Clock:
    """Time that passes only while something sleeps, up to a number of sleeps."""

    def __init__(self, sleeps: int = 1000) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._sleeps = sleeps
        self.stopped = asyncio.Event()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if len(self.slept) == self._sleeps:
            self.stopped.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def watched(client: Scripted, clock: Clock) -> PodWatch:
    return PodWatch(
        cast(Client, client), "default", lambda pod: None, clock=clock, sleep=clock.sleep
    )


@pytest.mark.parametrize(
    ("watches", "longest_s"),
    [
        (itertools.repeat([]), 2.0),
        (itertools.repeat([bookmark(5)]), 2.0),
        (itertools.repeat([event("ERROR", {"code": 410})]), 2.0),
        (itertools.repeat([event("ERROR", {"code": 500, "message": "x"})]), 10.0),
        (itertools.repeat([b"nonsense\n"]), 10.0),
        (itertools.repeat(BackendError("no")), 10.0),
    ],
    ids=["ends", "ends with a bookmark", "expires", "fails", "nonsense", "unreachable"],
)
def test_nothing_that_a_server_does_makes_it_ask_without_pause(
    watches: Any, longest_s: float
) -> None:
    async def run() -> None:
        client, clock = Scripted(itertools.repeat(listed(5)), watches), Clock(sleeps=50)
        watch = watched(client, clock)
        watch.start()
        await clock.stopped.wait()
        await watch.close()
        assert 50 == len(client.params)
        assert all(pause_s > 0 for pause_s in clock.slept)
        assert longest_s / 2 <= max(clock.slept) <= longest_s
        assert sum(clock.slept[20:]) >= 30 * longest_s / 2

    asyncio.run(run())


def test_a_watch_that_lasts_is_taken_up_without_pause() -> None:
    async def run() -> None:
        clock = Clock(sleeps=1)

        def an_hour() -> Any:
            clock.now += 300
            return iter([bookmark(6)])

        watches = itertools.chain((_Lazy(an_hour) for _ in range(5)), [BackendError("stop")])
        client = Scripted(itertools.repeat(listed(5)), watches)
        watch = watched(client, clock)
        watch.start()
        await clock.stopped.wait()
        await watch.close()
        assert 6 == len(client.params)
        assert 1 == len(clock.slept)
        assert 3 == client.listed  # at the beginning, and every ten minutes

    asyncio.run(run())


class _Lazy:
    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __iter__(self) -> Any:
        return self._make()


def test_events_may_be_cut_anywhere() -> None:
    async def run() -> None:
        text = b"".join(event("ADDED", raw_pod(number=n, version=10 + n)) for n in range(20))
        for size in (1, 7, 1000):
            chunks = [text[at : at + size] for at in range(0, len(text), size)]
            watch = watched(Scripted([listed(5)], [[*chunks, None]]), Clock())
            watch.start()
            while len(watch.pods) < 20:
                await asyncio.sleep(0)
            await watch.close()

    asyncio.run(run())


def test_a_watch_goes_on_from_the_newest_version_that_was_heard_of() -> None:
    async def run() -> None:
        late = event("MODIFIED", raw_pod(number=1, version=8))
        first = [event("ADDED", raw_pod(version=9)), bookmark(12), late]
        client = Scripted([listed(5)], [first, [None]])
        watch = watched(client, Clock())
        watch.start()
        while len(client.params) < 2:
            await asyncio.sleep(0)
        await watch.close()
        assert ["5", "12"] == [params["resourceVersion"] for params in client.params]
        assert all(240 <= int(params["timeoutSeconds"]) <= 300 for params in client.params)

    asyncio.run(run())


def test_fresh_means_heard_of_lately_and_not_behind_its_own_changes() -> None:
    async def run() -> None:
        clock = Clock()
        watch = watched(Scripted([listed(5)], [[bookmark(6), None]]), clock)
        assert not watch.fresh
        watch.start()
        while watch._version != "6":
            await asyncio.sleep(0)
        assert watch.fresh
        clock.now += module.FRESH_S + 1
        assert not watch.fresh
        clock.now -= module.FRESH_S
        watch.note_answer(raw_pod("pending", version=7))
        assert (True, 0.0) == (watch.fresh, watch.behind_s)
        clock.now += module.BEHIND_S + 1
        assert not watch.fresh
        watch._apply_event(event("MODIFIED", raw_pod("pending", number=1, version=8)))
        assert (True, 0.0) == (watch.fresh, watch.behind_s)
        await watch.close()
        assert not watch.fresh

    asyncio.run(run())


def test_a_bug_is_told_to_those_who_wait() -> None:
    async def run() -> None:
        watch = watched(Scripted([{"no": "metadata"}], []), Clock())
        with pytest.raises(BackendError, match=r"begun anew: KeyError\('metadata'\)"):
            await watch.wait_synced(3600)
        assert watch.trouble is watch.failure
        assert not watch.fresh
        await watch.close()

    asyncio.run(run())


def test_versions_that_go_back_are_recovered_from(
    cluster: FakeCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restored etcd: what is known is newer than all that comes."""

    async def scenario(w: Watching) -> None:
        await w.watch.wait_synced(5)
        made = [await w.create(number) for number in range(3)]
        await w.until(lambda: len(w.watch.pods) == 3)
        cluster.turn_back(50)
        cluster.delete_pod(made[0])
        cluster.change_pod(made[1], {"status": raw_pod("running")["status"]})
        await w.create(7)
        await w.until(lambda: {1, 2, 7} == {pod.number for pod in w.watch.pods})
        assert {Phase.RUNNING, Phase.PENDING} == set(w.phases())
        await w.until(lambda: w.watch.fresh)

    with caplog.at_level(logging.WARNING):
        play(cluster, scenario)
    assert 1 == sum("restored from a backup" in each.getMessage() for each in caplog.records)
