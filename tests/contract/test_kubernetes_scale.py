"""Thousands of trials on the fake: what they cost in requests, memory and lag; never seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from podmap import names
from podmap.backends.connect import Target
from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.launch import Launch
from podmap.engine.events import RecordSettled, RunEvent, RunEvents
from podmap.engine.planned import MOST_READY, prepare_run
from podmap.engine.run import SweepRun
from podmap.records import TrialState
from podmap.spec.load import load
from podmap.spec.model import TrialTemplate
from podmap.testing.fake_cluster import FakeCluster, Script

RUN = "0123abcd"
TRIALS, PARALLELISM = 5000, 500
TASKS_OF_A_TRIAL = 6
OVERHEAD = 100
FEWER = 2000
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
            watch = backend._namespace.watch
            assert watch is not None
            lags.append(cluster._objects.version - int(watch._version))
            kept.append(len(watch.pods))
            await backend.delete(seen.name)

    async def run() -> None:
        backend = KubernetesBackend.connect(cluster.connection())
        slots = asyncio.Semaphore(PARALLELISM)
        await asyncio.gather(*(trial(backend, slots, n) for n in range(FEWER)))
        assert [] == list(await backend.list(RUN))
        assert {
            "list pods": 1,
            "watch pods": 1,
            "create pods": FEWER,
            "delete pods": FEWER,
        } == backend.requests
        watch = backend._namespace.watch
        assert watch is not None
        assert (
            0 == len(watch.pods._last) == len(watch.pods._due) == len(backend._namespace._waiting)
        )
        await backend.close()

    with FakeCluster(script=script_of) as cluster:
        asyncio.run(run())
        assert [] == cluster.pod_names()
        assert cluster.most_alive(RUN) <= PARALLELISM
    assert kept
    assert kept
    assert max(kept) <= PARALLELISM
    assert max(lags) <= PARALLELISM * EVENTS_OF_A_POD


def test_a_whole_run_of_thousands_costs_four_requests_a_trial_and_loses_no_record(
    tmp_path: Path,
) -> None:
    """Pods wait at their gates here; creation, gate, log and deletion are a request each."""
    spec = {
        "apiVersion": "podmap/v1",
        "name": "scale",
        "search": {"kind": "grid", "params": {"n": {"low": 1, "high": TRIALS}}},
        "objective": {"metric": "x", "direction": "maximize"},
        "trial": {"image": "fake", "command": ["train"], "args": ["{params.n}"]},
        "parallelism": PARALLELISM,
    }
    planned = prepare_run(
        load(spec),
        store=str(tmp_path),
        run_id=RUN,
        owner={"kind": "cli", "epoch": "e1"},
        folder=str(tmp_path),
        target=Target("kubernetes"),
    )
    kept: list[int] = []
    tasks: list[int] = []

    async def run() -> Counter[str]:
        backend = KubernetesBackend.connect(cluster.connection())

        loop = asyncio.get_running_loop()

        def count(event: RunEvent) -> None:
            if not isinstance(event, RecordSettled):
                return
            watch = backend._namespace.watch
            assert watch is not None
            kept.append(len(watch.pods))
            tasks.append(len(asyncio.all_tasks(loop)))

        events = RunEvents()
        events.subscribe(count)
        await SweepRun(planned, backend, epoch="e1", events=events).run()
        await backend.close()
        return backend.requests

    with FakeCluster(script=script_of) as cluster:
        requests = asyncio.run(run())
        assert [] == cluster.pod_names()
        assert cluster.most_alive(RUN) <= PARALLELISM
    each = ("create pods", "patch pods", "get pods/log", "delete pods")
    assert dict.fromkeys(each, TRIALS) == {word: requests[word] for word in each}
    assert sum(requests.values()) <= len(each) * TRIALS + OVERHEAD
    assert kept
    assert kept
    assert max(kept) <= PARALLELISM + MOST_READY
    assert max(tasks) <= TASKS_OF_A_TRIAL * (PARALLELISM + MOST_READY)
    ended = [(record.state, len(record.attempts)) for record in planned.ledger.records()]
    assert [(TrialState.COMPLETE, 1)] * TRIALS == ended
