"""Logs that cannot be read: no result is lost for it, and no pod that may still hold one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.local.engine.shared_run import (
    COMPLETE,
    FAILED,
    RUN_ID,
    TIMING,
    Scene,
    play,
    scene,
    settle_all,
    states,
)

from podmap.backends.base import Phase
from podmap.backends.kubernetes import logs
from podmap.backends.kubernetes.client.requests import Client
from podmap.engine.trial import run_trial
from podmap.names import MANAGED_BY
from podmap.records import Category, Record
from podmap.testing.fake_cluster import Script

__all__ = ["scene"]

SAYS = Script(result="", output='podmap: {"final": {"y": 1}}\n')
"""A trial that reports on its standard output alone."""
ONE = {"retries": {"infra": 0}}


@pytest.mark.parametrize("logs_as", ["tail", "stream"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 500, "message": "dial tcp: refused"},
        {"status": 400},
        {"status": 404},
        {},
    ],
    ids=["503", "500", "400", "404", "cut"],
)
def test_a_result_on_stdout_is_asked_for_until_it_is_had(
    scene: Scene, logs_as: str, fault: Mapping[str, Any]
) -> None:
    scene.script = lambda number: SAYS
    scene.cluster.fail("get", "pods/log", times=12, **fault)
    heard: list[str] = []

    async def scenario() -> None:
        planned = scene.plan(1, logs=logs_as)
        async with scene.process(planned) as session:
            record = await run_trial(session, 0, "e1", on_line=heard.append)
        assert (COMPLETE, 1) == (record.state, record.objective)
        assert 1 == len(record.attempts)

    play(scenario)
    assert any("asking again" in line for line in heard)


@pytest.mark.parametrize("logs_as", ["tail", "stream"])
def test_a_log_that_ends_before_the_result_as_if_it_were_whole_is_read_again(
    scene: Scene, logs_as: str
) -> None:
    scene.script = lambda number: SAYS
    scene.cluster.fail("get", "pods/log", status=200)

    async def scenario() -> None:
        async with scene.process(scene.plan(1, logs=logs_as)) as session:
            record = await run_trial(session, 0, "e1", on_line=lambda line: None)
        assert (COMPLETE, 1, 1) == (record.state, record.objective, len(record.attempts))

    play(scenario)


@pytest.mark.parametrize("logs_as", ["tail", "stream"])
def test_a_result_that_nobody_can_read_is_told_and_its_pod_is_kept(
    scene: Scene, logs_as: str
) -> None:
    scene.script = lambda number: SAYS
    scene.cluster.fail("get", "pods/log", times=None, status=503)
    timing = replace(TIMING, output_patience_s=0.0)

    async def scenario() -> None:
        planned = scene.plan(1, logs=logs_as, **ONE)
        async with scene.process(planned, timing) as session:
            record = await run_trial(session, 0, "e1", on_line=lambda line: None)
            diagnosis = record.attempts[0].diagnosis
            assert diagnosis is not None
            assert (FAILED, Category.NODE_LOST) == (record.state, diagnosis.category)
            assert "its output, in which its result may stand, cannot be read" in record.reason
            assert f"kubectl logs {record.attempts[0].pod}" in diagnosis.resolution
            pod = scene.cluster.pod(record.attempts[0].pod)
            assert pod is not None
            assert MANAGED_BY not in pod["metadata"]["labels"]
            assert 1 == await session.backend.remove_kept(RUN_ID)

    play(scenario)


@pytest.mark.parametrize("logs_as", ["tail", "stream"])
def test_without_the_right_to_logs_results_in_the_status_count(
    scene: Scene, logs_as: str, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cluster.forbid("get", "pods/log")

    async def scenario() -> None:
        planned = scene.plan(5, logs=logs_as)
        async with scene.process(planned) as session:
            records = await asyncio.gather(
                *(run_trial(session, n, "e1", on_line=lambda line: None) for n in range(5))
            )
        assert [COMPLETE] * 5 == states(records)

    with caplog.at_level(logging.WARNING):
        play(scenario)
    told = [each.getMessage() for each in caplog.records if "pods/log" in each.getMessage()]
    assert 1 == len(told)
    assert "not allowed to get pods/log" in told[0]
    assert [] == scene.cluster.pod_names()


def test_without_the_right_to_logs_a_result_on_stdout_names_the_right(scene: Scene) -> None:
    scene.script = lambda number: SAYS
    scene.cluster.forbid("get", "pods/log")
    timing = replace(TIMING, output_patience_s=0.0)

    async def scenario() -> None:
        async with scene.process(scene.plan(1, **ONE), timing) as session:
            record: Record = await run_trial(session, 0, "e1")
        diagnosis = record.attempts[0].diagnosis
        assert diagnosis is not None
        assert Category.NO_RESULT is diagnosis.category
        assert "not allowed to get pods/log" in diagnosis.detail
        assert "Give podmap the right" in diagnosis.resolution

    play(scenario)


def test_what_failed_by_itself_needs_no_log(scene: Scene) -> None:
    scene.script = lambda number: Script(exit_code=3, result="")
    scene.cluster.fail("get", "pods/log", times=None, status=503)

    async def scenario() -> None:
        async with scene.process(scene.plan(1)) as session:
            record = await run_trial(session, 0, "e1")
        assert (FAILED, 3) == (record.state, record.attempts[0].exit_code)

    play(scenario)


def test_logs_of_many_that_end_together_are_read_some_at_a_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, open_now, most = 60, 0, 0
    stream = Client.stream

    @asynccontextmanager
    async def counted(
        self: Client, verb: str, path: str, params: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        nonlocal open_now, most
        open_now += path.endswith("/log")
        most = max(most, open_now)
        try:
            async with stream(self, verb, path, params, silence_s=silence_s) as chunks:
                yield chunks
        finally:
            open_now -= path.endswith("/log")

    monkeypatch.setattr(Client, "stream", counted)
    scene.script = lambda number: SAYS

    async def scenario() -> None:
        async with scene.process(scene.plan(count, parallelism=count, logs="tail")) as session:
            records = await settle_all(session, *range(count))
            assert {COMPLETE} == set(states(records))
            assert Phase.ENDED not in {s.phase for s in await session.backend.list(RUN_ID)}

    play(scenario)
    assert 1 < most <= logs.READ_AT_ONCE
