"""Slots and GPUs of local attempts: never one to two that are alive."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.local.backends.process.conftest import Host, alive, pids, until, wait_until

from podmap.backends.launch import Launch
from podmap.backends.process import ProcessBackend, watch
from podmap.backends.process.place import GPUS, GpuPool, Places, find_pool, parse_gpus
from podmap.errors import BackendError, UsageError
from podmap.records import Category, Diagnosis
from podmap.spec.model import TrialTemplate

SAY = 'echo "$PODMAP_SLOT ${CUDA_VISIBLE_DEVICES-unset}" >"$WORK/said$N"; '
HOLD = SAY + 'until [ -e "$WORK/go$N" ]; do sleep 0.02; done'
STOP = Diagnosis(Category.CANCELLED, "enough")


def template(gpu: int | None = None, **more: Any) -> TrialTemplate:
    resources = {"cpu": 1} if gpu is None else {"gpu": gpu}
    return TrialTemplate.model_validate({"resources": resources, **more})


def launch(host: Host, script: str, number: int, own: TrialTemplate | None = None) -> Launch:
    own = template() if own is None else own
    return host.shell(script, number=number, env={"N": str(number)}, template=own)


def said(host: Host, number: int) -> list[str]:
    path = host.work / f"said{number}"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text().split()


async def end(host: Host, backend: ProcessBackend, number: int) -> None:
    (host.work / f"go{number}").touch()
    await backend.wait(host.name(number))


def test_each_living_attempt_has_the_lowest_free_slot_and_gpus_of_its_own(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend(gpus="5,GPU-a,7,9")
        for number in range(2):
            await backend.create(launch(host, HOLD, number, template(2)))
        assert [["0", "5,GPU-a"], ["1", "7,9"]] == [said(host, number) for number in range(2)]
        await end(host, backend, 0)
        await backend.create(launch(host, HOLD, 2, template(1)))
        await backend.create(launch(host, HOLD, 3, template(1)))
        assert [["0", "5"], ["2", "GPU-a"]] == [said(host, number) for number in (2, 3)]

    host.play(scenario)


def test_never_one_gpu_for_two(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend(gpus="0,1")
        await backend.create(launch(host, HOLD, 0, template(1)))
        with pytest.raises(BackendError, match=r"needs 2 of the GPUs 0, 1 by --gpus, and 1 are"):
            await backend.create(launch(host, HOLD, 1, template(2)))
        await end(host, backend, 0)
        await backend.create(launch(host, HOLD, 1, template(2)))
        assert ["0", "0,1"] == said(host, 1)

    host.play(scenario)


def test_another_process_sees_what_is_taken_and_an_adopted_attempt_keeps_it(host: Host) -> None:
    async def scenario() -> None:
        killed = host.backend(gpus="0,1,2")
        for number in range(2):
            await killed.create(launch(host, HOLD, number, template(1)))
        assert ["1", "1"] == said(host, 1)
        await killed.close()
        backend = host.backend(gpus="0,1,2")
        await backend.create(launch(host, HOLD, 2, template(1)))
        assert ["2", "2"] == said(host, 2)
        await end(host, backend, 0)
        await backend.create(launch(host, HOLD, 3, template(1)))
        assert ["0", "0"] == said(host, 3)
        asked = json.loads((host.folder(1) / "launch.json").read_text())
        assert (1, ["1"]) == (asked["slot"], asked["gpus"])

    host.play(scenario)


def test_a_place_is_taken_until_what_a_trial_left_behind_has_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It ends once what it leaves has a session of its own: its group is ended with it.
    leaves = (
        SAY
        + """setsid sh -c 'echo $$ >"$WORK/left"; exec sleep 600' &
    until [ -s "$WORK/left" ]; do sleep 0.02; done"""
    )

    async def scenario() -> None:
        may_end, ends = asyncio.Event(), watch.end_stragglers

        async def end_late(*args: Any) -> int:
            await may_end.wait()
            return await ends(*args)

        monkeypatch.setattr(watch, "end_stragglers", end_late)
        backend = host.backend(gpus="0,1")
        await backend.create(launch(host, leaves, 0, template(1)))
        (left,) = await asyncio.to_thread(pids, host.work / "left", 1)
        waiting = asyncio.ensure_future(backend.wait(host.name(0)))
        await until(lambda: backend._watches[host.name(0)].ended.done())
        await backend.create(launch(host, HOLD, 1, template(1)))
        assert ["1", "1"] == said(host, 1)
        assert alive(left)
        may_end.set()
        await waiting
        await backend.create(launch(host, HOLD, 2, template(1)))
        assert ["0", "0"] == said(host, 2)
        assert not alive(left)

    host.play(scenario)


@pytest.mark.parametrize(
    ("own", "gpus", "expected"),
    [
        (template(), "0,1", "outer"),
        (template(0), "0,1", ""),
        (template(1), "", "outer"),
        (template(1, env={"CUDA_VISIBLE_DEVICES": "7"}), "0,1", "7"),
    ],
    ids=["not asked", "none asked", "none known", "by the spec"],
)
def test_which_gpus_are_seen_otherwise(
    host: Host, own: TrialTemplate, gpus: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "outer")
    monkeypatch.setenv("PODMAP_SLOT", "99")
    env = {"N": "0", **{name: value for name, value in (own.env or {}).items()}}
    host.run(host.shell(SAY, env=env, template=own), gpus=gpus)
    assert ["0", *([expected] if expected else [])] == said(host, 0)


def test_the_slot_is_filled_into_the_command(host: Host) -> None:
    def at_slot(slot: int) -> Launch:
        return host.shell(f'echo "{slot}" >"$WORK/said1"', number=1)

    async def scenario() -> None:
        backend = host.backend()
        await backend.create(launch(host, HOLD, 0))
        named = host.shell("exit 1", number=1)
        await backend.create(replace_slot(named, at_slot))
        assert ["1"] == said(host, 1)
        await backend.kill(host.name(0), reason=STOP, grace_s=0.0)

    host.play(scenario)


def replace_slot(launch: Launch, at_slot: Callable[[int], Launch]) -> Launch:
    from dataclasses import replace

    return replace(launch, at_slot=at_slot)


@pytest.mark.parametrize("text", ["0,,1", "0,0", "a b", "-1", "0;1", "0,1,", "'0'"])
def test_a_wrong_list_of_gpus_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--gpus=.*GPU"):
        parse_gpus(text, source="--gpus")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


@pytest.mark.parametrize(
    ("given", "environ", "ids", "source"),
    [
        ("3,4", {GPUS: "1", "CUDA_VISIBLE_DEVICES": "2"}, ("3", "4"), "--gpus"),
        (None, {GPUS: " 1 , 5", "CUDA_VISIBLE_DEVICES": "2"}, ("1", "5"), GPUS),
        (None, {GPUS: ""}, (), GPUS),
        (None, {"CUDA_VISIBLE_DEVICES": "2,GPU-8932f937"}, ("2", "GPU-8932f937"), None),
        (None, {"CUDA_VISIBLE_DEVICES": "0,-1,1"}, ("0",), None),
        (None, {"CUDA_VISIBLE_DEVICES": ""}, (), None),
        (None, {"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, (), None),
        (None, {}, ("0", "1"), "nvidia-smi"),
    ],
)
def test_the_gpus_of_a_host_are_found(
    driver: Callable[[str], None], given, environ, ids, source
) -> None:
    driver("echo 0; echo 1")
    pool = find_pool(given, environ)
    assert (ids, source or "CUDA_VISIBLE_DEVICES") == (pool.ids, pool.source)


@pytest.mark.parametrize("script", ["exit 9", "echo No devices were found", "kill -9 $$"])
def test_a_driver_that_does_not_tell_is_no_error(
    driver: Callable[[str], None], script: str
) -> None:
    driver(script)
    assert () == find_pool(None, {}).ids


def test_more_gpus_than_there_are_is_an_error_and_fewer_limit_the_run(caplog: Any) -> None:
    assert [4, 2, 1] == [GpuPool(("0", "1", "2", "3"), "x").room(each) for each in (1, 2, 3)]
    with pytest.raises(UsageError, match=r"gpu: 2 for a trial, and there is 1 GPU \(0 by --gpus\)"):
        asyncio.run(Places("0").most_at_once(lambda: 2, wanted=8))
    caplog.set_level(logging.WARNING)
    assert asyncio.run(Places("0,1,2").most_at_once(lambda: 1, wanted=8)) == 3
    expected = "3 at once, not 8: there are 3 GPUs (0, 1, 2 by --gpus), and a trial has 1"
    assert expected in caplog.text
    assert asyncio.run(Places("").most_at_once(lambda: 1, wanted=8)) is None
    assert "no GPUs are known on this host" in caplog.text
    assert asyncio.run(Places("0").most_at_once(lambda: 0, wanted=8)) is None
