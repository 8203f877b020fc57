"""Hundreds of pods that are created at the same moment leave the event loop to others."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from podmap import names
from podmap.backends.kubernetes import KubernetesBackend, create
from podmap.backends.kubernetes.client.requests import IN_A_TURN
from podmap.backends.launch import Launch
from podmap.spec.model import TrialTemplate
from podmap.testing.fake_cluster import FakeCluster, Script

RUN = "0123abcd"
COUNT = 100


def launch(number: int) -> Launch:
    name = names.attempt_name("s", RUN, number, 1)
    template = TrialTemplate(image="fake")
    return Launch(name, "s", RUN, number, 1, "e1", ("train",), template=template)


def test_of_many_pods_a_few_are_built_in_a_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn, built = 0, Counter[int]()
    build = create.build_pod

    def build_pod(*args: Any, **options: Any) -> Any:
        built[turn] += 1
        return build(*args, **options)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def scenario() -> None:
        counting = asyncio.ensure_future(count_turns())
        backend = KubernetesBackend.connect(cluster.connection())
        await backend.list(RUN)  # connected by now
        await asyncio.gather(*(backend.create(launch(number)) for number in range(COUNT)))
        counting.cancel()
        await backend.close()

    monkeypatch.setattr(create, "build_pod", build_pod)
    with FakeCluster(script=Script(holds=True)) as cluster:
        asyncio.run(scenario())
        assert len(cluster.pod_names()) == COUNT
    assert sum(built.values()) == COUNT
    assert max(built.values()) <= IN_A_TURN
