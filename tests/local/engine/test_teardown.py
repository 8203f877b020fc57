"""The pods that a run has left are ended and removed together, whatever one node does."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from podmap.backends.kubernetes import KubernetesBackend
from podmap.backends.launch import Launch
from podmap.engine.teardown import remove_attempts
from podmap.spec.model import TrialTemplate
from podmap.testing.fake_cluster import FakeCluster, Script

PODS = 500
RUN_ID = "0123abcd"
DEAD = 17
"""The trial whose node never answers."""


def script_of(pod: dict[str, Any]) -> Script:
    dead = pod["metadata"]["labels"]["podmap.io/trial"] == str(DEAD)
    return Script(holds=True, never_ends=dead)


def launch(number: int) -> Launch:
    template = TrialTemplate(image="i", command=["x"])
    name = f"s-{RUN_ID}-{number}-a1"
    return Launch(name, "s", RUN_ID, number, 1, "e1", argv=["x"], template=template)


def test_500_pods_go_and_one_whose_node_never_answers_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("podmap.backends.kubernetes.end.NODE_PATIENCE_S", 0.2)

    async def scenario(cluster: FakeCluster) -> float:
        backend = KubernetesBackend.connect(cluster.connection())
        await asyncio.gather(*(backend.create(launch(number)) for number in range(PODS)))
        began = time.monotonic()
        done = await remove_attempts(backend, RUN_ID, reason="over", grace_s=1.0)
        took_s = time.monotonic() - began
        dead = f"s-{RUN_ID}-{DEAD}-a1"
        assert (PODS - 1, PODS - 1, [dead]) == (done.removed, done.running, [*done.left])
        assert "has not said that it did" in done.left[dead]
        assert [dead] == cluster.pod_names()
        await backend.close()
        return took_s

    with FakeCluster(script=script_of) as cluster:
        assert asyncio.run(scenario(cluster)) < 60
