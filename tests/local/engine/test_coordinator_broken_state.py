"""A `run.json` that cannot be understood keeps nobody from trials, nor a stop from others."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.local.engine.shared_run import (
    BAD,
    CANCELLED,
    COMPLETE,
    FAILED,
    GOOD,
    Scene,
    play,
    scene,
    settle_all,
    states,
    stopped,
    until,
)

__all__ = ["scene"]
BROKEN = pytest.mark.parametrize("text", ["{", '{"parallelism": "many"}'], ids=["cut", "kind"])


@BROKEN
def test_trials_are_settled_and_a_stop_reaches_all(scene: Scene, text: str) -> None:
    scene.script = lambda number: BAD if number == 2 else GOOD
    planned = scene.plan(8, failures={"allow": 0})
    path = Path(planned.ledger.run_uri) / "run.json"
    path.write_text(text)

    async def scenario() -> None:
        async with scene.two(planned) as (first, second):
            assert [COMPLETE, COMPLETE] == states(await settle_all(first, 0, 1))
            path.write_text(text)
            assert [FAILED] == states(await settle_all(first, 2))
            await until(lambda: stopped(first) and stopped(second))
            assert [CANCELLED] == states(await settle_all(second, 3))

    play(scenario)
    assert planned.ledger.read_state().decided.stop
    kept = list((path.parent / "former").glob("run-*.json"))
    assert [text] == [each.read_text() for each in kept]
