"""Thousands of trials on the fake: what they cost in requests, memory and lag; never seconds."""

from __future__ import annotations

import asyncio

from podmap import names
from podmap.backends.base import Launch
from podmap.backends.kubernetes import KubernetesBackend
from podmap.spec.model import TrialTemplate
from podmap.testing.fake_cluster import FakeCluster, Script

RUN = "0123abcd"
TRIALS, PARALLELISM = 5000, 500
EVENTS_OF_A_POD = 8
TEMPLATE = TrialTemplate(image="fake")


def launch(number: int) -> Launch:
    name = names.attempt_name("scale", RUN, number, 1)
    argv = ("train", str(number))
    return Launch(name, "scale", RUN, number, 1, "e1", argv, template=TEMPLATE)


def script_of(pod: dict[str, object]) -> Script:
    return Script(run_s=hash(str(pod["metadata"])) % 100, result='{"x": 1}')


def test_thousands_of_trials_cost_two_requests_each_and_leave_nothing() -> None:
    lags: list[int] = []
    kept: list[int] = []

    async def trial(backend: KubernetesBackend, slots: asyncio.Semaphore, number: int) -> None:
        async with slots:
            await backend.list(RUN, number=number)
            seen = await backend.create(launch(number), limit=PARALLELISM)
            seen = await backend.wait(seen.name)
            assert (0, b'{"x": 1}') == (seen.exit_code, seen.result)
            watch = backend._space.watch
            assert watch is not None
            lags.append(cluster._store.version - int(watch._version))
            kept.append(len(watch.pods))
            await backend.delete(seen.name)

    async def run() -> None:
        backend = KubernetesBackend.connect(cluster.connection())
        slots = asyncio.Semaphore(PARALLELISM)
        await asyncio.gather(*(trial(backend, slots, n) for n in range(TRIALS)))
        assert [] == list(await backend.list(RUN))
        assert {
            "list pods": 1,
            "watch pods": 1,
            "create pods": TRIALS,
            "delete pods": TRIALS,
        } == backend.requests
        watch = backend._space.watch
        assert watch is not None
        assert 0 == len(watch.pods._last) == len(watch.pods._due) == len(backend._space._waiting)
        await backend.close()

    with FakeCluster(script=script_of) as cluster:
        asyncio.run(run())
        assert [] == cluster.pod_names()
        assert cluster.most_alive(RUN) <= PARALLELISM
    assert max(kept) <= PARALLELISM
    assert max(lags) <= PARALLELISM * EVENTS_OF_A_POD
