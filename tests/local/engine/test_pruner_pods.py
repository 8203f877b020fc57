"""Hopeless trials in pods are ended early, whichever process has heard the reports that decide."""

from __future__ import annotations

import json

import pytest
from tests.local.engine.shared_run import (
    COMPLETE,
    Scene,
    play,
    scene,
    settle_all,
    states,
)

from podmap.records import TrialState
from podmap.testing.fake_cluster import Script

__all__ = ["scene"]

PRUNED = TrialState.PRUNED


def said(*values: float) -> str:
    lines = ({"step": step, "y": value} for step, value in enumerate(values, 1))
    return "".join(f"podmap: {json.dumps(line)}\n" for line in lines)


def script(number: int) -> Script:
    if number == 4:  # it is the worst, and never ends by itself
        return Script(output=said(0.5), holds=True)
    return Script(output=said(*[float(number)] * 9), result=json.dumps({"y": number}))


@pytest.mark.parametrize("logs", ["stream", "tail"])
def test_a_hopeless_pod_is_ended_for_the_reports_of_another_process(
    scene: Scene, logs: str
) -> None:
    scene.script = script
    planned = scene.plan(6, prune={"kind": "asha", "max_steps": 9}, logs=logs)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            for number in range(4):
                await settle_all(first, number)
            assert [PRUNED] == states(await settle_all(second, 4))
            assert [] == scene.cluster.pod_names()
            assert [COMPLETE] == states(await settle_all(second, 5))

    play(scenario)
    record = planned.ledger.read_record(4)
    assert record is not None
    assert ({"y": 0.5}, 0.5, 1) == (record.metrics, record.objective, len(record.attempts))
    assert record.reason.startswith("asha: by step 1 its best y was 0.5, and the best 2 of 5")
    assert [9] * 4 == [len(r.reports) for r in planned.ledger.records() if r.number < 4]
