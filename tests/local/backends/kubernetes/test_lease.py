from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podmap.backends.kubernetes import lease as lease_module
from podmap.backends.kubernetes.client import ApiError
from podmap.backends.kubernetes.client.requests import Client
from podmap.backends.kubernetes.lease import Lease
from podmap.backends.kubernetes.pauses import Pauses
from podmap.errors import BackendError
from podmap.testing.fake_cluster import FakeCluster

NAME = "podmap-0123abcd"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Candidates:
    """Candidates for one lease, moved by hand, each with a clock that starts anywhere."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.clocks: list[Clock] = []
        self.told: list[tuple[str, bool]] = []

    def new(self, identity: str, **more: Any) -> Lease:
        clock = Clock()
        clock.now = 1000.0 * len(self.clocks)
        self.clocks.append(clock)
        return Lease(self.client, "default", NAME, identity, duration_s=15, clock=clock, **more)

    def pass_s(self, seconds: float) -> None:
        for clock in self.clocks:
            clock.now += seconds


def play(cluster: FakeCluster, scenario: Callable[[Candidates], Awaitable[None]]) -> None:
    async def run() -> None:
        pauses = Pauses(request_pauses_s=(0.01, 8.0))
        client = Client(cluster.connection(), limit_s=5, pauses=pauses)
        try:
            await scenario(Candidates(client))
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_the_first_holds_it_and_the_other_waits(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a", labels={"podmap.io/run": "0123abcd"}), c.new("b")
        await a.acquire_or_renew()
        await b.acquire_or_renew()
        assert (True, False) == (a.held, b.held)
        assert ("a", "a", 15) == (a.holder, b.holder, a.remaining_s)
        lease = cluster.lease(NAME)
        assert lease is not None
        assert {"podmap.io/run": "0123abcd"} == lease["metadata"]["labels"]
        assert ("a", 15, 0) == (
            lease["spec"]["holderIdentity"],
            lease["spec"]["leaseDurationSeconds"],
            lease["spec"]["leaseTransitions"],
        )

    play(cluster, scenario)


def test_a_silent_holder_loses_it_after_its_duration(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a"), c.new("b")
        await a.acquire_or_renew()
        c.pass_s(100)
        await b.acquire_or_renew()
        assert not b.held  # it may have been renewed just before b first saw it
        c.pass_s(14.9)
        await b.acquire_or_renew()
        assert not b.held
        c.pass_s(0.2)
        await b.acquire_or_renew()
        assert (True, False) == (b.held, a.held)
        lease = cluster.lease(NAME)
        assert lease is not None
        assert 1 == lease["spec"]["leaseTransitions"]
        await a.acquire_or_renew()
        assert (False, "b") == (a.held, a.holder)

    play(cluster, scenario)


def test_a_holder_that_renews_keeps_it(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a"), c.new("b")
        for _ in range(10):
            await a.acquire_or_renew()
            await b.acquire_or_renew()
            c.pass_s(10)
            assert (True, False) == (a.held, b.held)
        assert 11 == cluster.requests["update leases"] + 2 * cluster.requests["create leases"]

    play(cluster, scenario)


def test_of_many_that_try_at_once_one_wins(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        for _ in range(3):
            leases = [c.new(f"{n}") for n in range(10)]
            await asyncio.gather(*(lease.acquire_or_renew() for lease in leases))
            c.pass_s(20)
            await asyncio.gather(*(lease.acquire_or_renew() for lease in leases))
            assert 1 == sum(lease.held for lease in leases)
            c.pass_s(20)

    play(cluster, scenario)


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_lost_answer_is_made_up_for(cluster: FakeCluster, verb: str) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a"), c.new("b")
        if verb == "update":
            await a.acquire_or_renew()
            c.pass_s(5)
        cluster.fail(verb, "leases", times=2, acts=True)
        await a.acquire_or_renew()
        await b.acquire_or_renew()
        await a.acquire_or_renew()
        assert (True, False, 15) == (a.held, b.held, a.remaining_s)

    play(cluster, scenario)


def test_one_that_is_not_fit_neither_takes_nor_renews(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        fit = False
        a = c.new("a", healthy=lambda: fit)
        await a.acquire_or_renew()
        assert (False, None) == (a.held, cluster.lease(NAME))
        fit = True
        await a.acquire_or_renew()
        fit = False
        c.pass_s(10)
        await a.acquire_or_renew()
        assert 5 == a.remaining_s
        c.pass_s(5)
        assert not a.held

    play(cluster, scenario)


def test_it_counts_from_before_the_question(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        a = c.new("a")
        real = c.client.create

        async def slow(*args: Any, **more: Any) -> Any:
            answer = await real(*args, **more)
            c.pass_s(9)
            return answer

        c.client.create = slow  # type: ignore[method-assign]
        await a.acquire_or_renew()
        assert 6 == a.remaining_s

    play(cluster, scenario)


def test_closing_lets_the_next_have_it_at_once(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a", on_change=lambda held: c.told.append(("a", held))), c.new("b")
        a.start()
        while not a.held:
            await asyncio.sleep(0.001)
        await b.acquire_or_renew()
        await a.close()
        assert [("a", True), ("a", False)] == c.told
        assert cluster.lease(NAME) is None
        await b.acquire_or_renew()
        assert b.held

    play(cluster, scenario)


@pytest.mark.parametrize("asked", [False, True], ids=["unasked", "asked"])
def test_one_that_was_robbed_leaves_the_lease_alone(cluster: FakeCluster, asked: bool) -> None:
    async def scenario(c: Candidates) -> None:
        a, b = c.new("a"), c.new("b")
        await a.acquire_or_renew()
        await b.acquire_or_renew()
        c.clocks[1].now += 16  # b's clock is fast: a does not know yet
        await b.acquire_or_renew()
        assert (True, True) == (a.held, b.held)
        if asked:
            await a.acquire_or_renew()
            assert (False, "b") == (a.held, a.holder)
        await a.close()
        lease = cluster.lease(NAME)
        assert lease is not None
        assert "b" == lease["spec"]["holderIdentity"]

    play(cluster, scenario)


def test_a_missing_right_is_told(cluster: FakeCluster) -> None:
    cluster.forbid("create", "leases")

    async def scenario(c: Candidates) -> None:
        a = c.new("a")
        await a.acquire_or_renew()
        assert not a.held
        assert a.refused is not None
        assert "create leases in namespace default" in str(a.refused)
        cluster.heal()
        await a.acquire_or_renew()
        assert (True, None) == (a.held, a.refused)

    play(cluster, scenario)


@pytest.mark.parametrize("verb", ["get", "update"])
def test_a_right_that_was_there_before_is_not_done_without(cluster: FakeCluster, verb: str) -> None:
    """Else two processes would open gates, each by itself."""

    async def scenario(c: Candidates) -> None:
        holder, other = c.new("a"), c.new("b")
        await holder.acquire_or_renew()
        await other.acquire_or_renew()
        cluster.forbid(verb, "leases")
        for candidate in (holder, other):
            await candidate.acquire_or_renew()
        assert (False, False) == (holder.forbidden, other.forbidden)
        cluster.heal()
        await holder.acquire_or_renew()
        assert (True, False) == (holder.held, other.held)

    play(cluster, scenario)


def test_a_403_that_is_not_about_rights_is_no_answer(cluster: FakeCluster) -> None:
    cluster.fail("get", "leases", status=403, message="the proxy says no")

    async def scenario(c: Candidates) -> None:
        lease = c.new("a")
        await lease.acquire_or_renew()
        assert (False, False) == (lease.held, lease.forbidden)
        await lease.acquire_or_renew()
        assert lease.held

    play(cluster, scenario)


def test_the_loss_is_told_when_time_is_over(cluster: FakeCluster) -> None:
    async def scenario(c: Candidates) -> None:
        lost = asyncio.Event()
        lease = Lease(
            c.client,
            "default",
            NAME,
            "a",
            duration_s=1,
            renew_every_s=0.2,
            on_change=lambda held: None if held else lost.set(),
        )
        lease.start()
        while not lease.held:
            await asyncio.sleep(0.001)
        for verb in ("get", "update"):
            cluster.fail(verb, "leases", times=None)
        await lost.wait()
        assert not lease.held
        cluster.heal()
        while not lease.held:
            await asyncio.sleep(0.001)
        await lease.close()

    play(cluster, scenario)


class Memory:
    """A server with one lease, whose answers can be lost."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.mode = "works"

    async def get(self, path: str, *, limit_s: float) -> Any:
        self._before()
        if self.lease is None:
            raise _refused(404)
        return self._after(copy.deepcopy(self.lease))

    async def create(self, path: str, body: Mapping[str, Any], *, limit_s: float) -> Any:
        self._before()
        if self.lease is not None:
            raise _refused(409)
        return self._after(self._put(body))

    async def update(self, path: str, body: Mapping[str, Any], *, limit_s: float) -> Any:
        self._before()
        if self.lease is None:
            raise _refused(404)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise _refused(409)
        return self._after(self._put(body))

    def _put(self, body: Mapping[str, Any]) -> Any:
        self.version += 1
        self.lease = json.loads(json.dumps(body))
        self.lease["metadata"].update(resourceVersion=str(self.version), uid="u")
        return copy.deepcopy(self.lease)

    def _before(self) -> None:
        if self.mode == "cut":
            raise BackendError("cut")

    def _after(self, answer: Any) -> Any:
        if self.mode == "lost":
            raise BackendError("lost")
        return answer


def _refused(status: int) -> ApiError:
    return ApiError("no", status=status, reason="", body={})


steps = st.tuples(
    st.integers(0, 2),
    st.sampled_from(["works", "works", "works", "cut", "lost"]),
    st.floats(0, 12),
)


@given(schedule=st.lists(steps, max_size=40), healthy=st.lists(st.booleans(), min_size=40))
def test_there_are_never_two_holders(
    schedule: list[tuple[int, str, float]], healthy: list[bool]
) -> None:
    async def run() -> None:
        server, clock, fit = Memory(), Clock(), [True] * 3
        leases = [
            Lease(
                cast(Client, server),
                "ns",
                NAME,
                str(n),
                duration_s=15,
                clock=clock,
                healthy=lambda n=n: fit[n],
            )
            for n in range(3)
        ]
        for (n, mode, pause_s), ok in zip(schedule, healthy, strict=False):
            server.mode, fit[n] = mode, ok
            await leases[n].acquire_or_renew()
            assert 1 >= sum(lease.held for lease in leases)
            clock.now += pause_s
            assert 1 >= sum(lease.held for lease in leases)

    asyncio.run(run())


def test_whoever_waits_looks_more_often_than_the_holder_renews(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody tells them that a holder has gone in order."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def fail() -> None:
        raise BackendError("no answer")

    async def scenario(c: Candidates) -> None:
        holder, waits = c.new("a"), c.new("b")
        await holder.acquire_or_renew()
        await waits.acquire_or_renew()
        monkeypatch.setattr(lease_module.asyncio, "sleep", sleep)
        await holder._pause()
        await waits._pause()
        monkeypatch.setattr(waits, "_acquire_or_renew", fail)
        await waits.acquire_or_renew()
        await waits._pause()
        monkeypatch.undo()

    play(cluster, scenario)
    held_s, waits_s, cannot_ask_s = slept
    assert waits_s < held_s / 4
    assert cannot_ask_s > held_s / 2
