"""A trial in an executor's worker: tries that follow each other, workers that die."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from podmap.airflow.executor import backend as worker_backend
from podmap.airflow.executor.backend import IN_POD, WorkerBackend
from podmap.airflow.executor.worker import (
    LOST,
    WorkerTrial,
    close_open_records,
    epoch_of,
)
from podmap.airflow.runtimes import LEFT
from podmap.airflow.trial_log import TrialLog, end_task
from podmap.backends.connect import Target
from podmap.clock import iso, utc_now
from podmap.engine.planned import prepare_run
from podmap.ledger.claim import RunClaim
from podmap.ledger.ledger import Ledger
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState
from podmap.spec.load import load

pytestmark = pytest.mark.airflow

WAIT_FOR_A_FILE = (
    'echo "attempt $PODMAP_ATTEMPT"; echo $PPID >started; '
    "while [ ! -e go ]; do sleep 0.05; done; echo '{\"y\": 1}' >$PODMAP_RESULT"
)


class Worker:
    """What Airflow is to a task: one planned run, and tries of its first trial."""

    def __init__(
        self, folder: Path, command: str, trial: dict[str, Any] | None = None, **spec: Any
    ) -> None:
        self.folder = folder
        given = {
            "apiVersion": "podmap/v1",
            "name": "x",
            "search": {"kind": "grid", "params": {"n": [0, 1]}},
            "objective": {"metric": "y", "direction": "maximize"},
            # A test that fails leaves nothing that runs for long.
            "trial": {"command": ["sh", "-c", command], "timeout": "1m", **(trial or {})},
            **spec,
        }
        planned = prepare_run(
            load(given),
            store=str(folder / "store"),
            run_id="0123abcd",
            owner={"kind": "airflow"},
            folder=str(folder),
            target=Target("process"),
        )
        self.ledger, self.manifest = planned.ledger, planned.manifest
        self.lines: list[str] = []

    def run(self, *, max_tries: int = 5, asked: str = "") -> WorkerTrial:
        """The next try."""
        log = logging.getLogger("worker")
        log.addFilter(lambda record: self.lines.append(record.getMessage()) or True)
        log.setLevel(logging.INFO)
        return WorkerTrial(
            RunClaim(self.ledger.run_uri),
            0,
            epoch_of(self.instance(max_tries)),
            asked=asked,
            spec_folder=self.folder,
            function=None,
            log=log,
        )

    def settle(self, *, max_tries: int = 5, asked: str = "") -> Record:
        """The record after one whole try."""
        return self.run(max_tries=max_tries, asked=asked).run_to_end()

    @staticmethod
    def instance(max_tries: int) -> Any:
        return SimpleNamespace(
            dag_id="d", run_id="r", task_id="trials", map_index=0, max_tries=max_tries
        )

    def record(self) -> Record:
        record = self.ledger.read_record(0)
        assert record is not None
        return record


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))


def wait_for(condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def in_a_process(worker: Worker) -> int:
    """A try in a process of its own, which has started the trial; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            worker.settle()
        finally:
            os._exit(0)
    wait_for((worker.folder / "started").exists)
    return pid


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def categories(record: Record) -> list[Category | None]:
    return [each.diagnosis.category if each.diagnosis else None for each in record.attempts]


def test_the_epoch_is_new_when_a_task_is_cleared_and_not_when_it_is_retried() -> None:
    first, again = Worker.instance(5), Worker.instance(5)
    assert epoch_of(first) == epoch_of(again)
    assert epoch_of(first) != epoch_of(Worker.instance(7))


def test_a_trial_outlives_its_worker_and_the_next_try_adopts_it(tmp_path: Path) -> None:
    worker = Worker(tmp_path, WAIT_FOR_A_FILE)
    kill(in_a_process(worker))
    assert TrialState.RUNNING is worker.record().state
    (tmp_path / "go").touch()
    record = worker.settle()
    assert (TrialState.COMPLETE, [None]) == (record.state, categories(record))
    assert "attempt 1" in worker.lines


def test_an_attempt_that_is_gone_with_its_worker_is_written_down(tmp_path: Path) -> None:
    worker = Worker(tmp_path, WAIT_FOR_A_FILE)
    kill(in_a_process(worker))
    asyncio.run(forget_processes(worker))
    (tmp_path / "go").touch()
    record = worker.settle()
    assert TrialState.COMPLETE is record.state
    assert [Category.NODE_LOST, None] == categories(record)
    assert [1, 2] == [attempt.number for attempt in record.attempts]
    assert any(LOST.summary in line for line in worker.lines)


def test_the_result_of_a_lost_attempt_is_found_beside_its_checkpoint(tmp_path: Path) -> None:
    leave = 'mkdir ckpt; echo "{\\"y\\": 2}" >ckpt/podmap-result-$PODMAP_KEY.json; '
    worker = Worker(tmp_path, leave + WAIT_FOR_A_FILE, {"checkpoint": "ckpt/last"})
    kill(in_a_process(worker))
    asyncio.run(forget_processes(worker))
    record = worker.settle()
    assert (TrialState.COMPLETE, {"y": 2}) == (record.state, dict(record.metrics))
    assert [Category.NODE_LOST] == categories(record)


def test_lost_workers_spend_the_budget_for_infrastructure(tmp_path: Path) -> None:
    worker = Worker(tmp_path, WAIT_FOR_A_FILE, retries={"infra": 0, "user": 3})
    kill(in_a_process(worker))
    asyncio.run(forget_processes(worker))
    record = worker.settle()
    assert (TrialState.FAILED, [Category.NODE_LOST]) == (record.state, categories(record))
    with pytest.raises(AirflowFailException, match="node_lost: the worker ended"):
        end_task(TrialLog(logging.getLogger(), 0), record, epoch=record.epoch)


async def forget_processes(worker: Worker) -> None:
    """What is left of a pod that is deleted: nothing."""
    backend = WorkerBackend()
    for seen in await backend.list(worker.manifest.run_id):
        await backend.delete(seen.name)
    await backend.close()


def test_a_stopped_trial_is_ended_and_open_for_the_next_try(tmp_path: Path) -> None:
    worker = Worker(tmp_path, WAIT_FOR_A_FILE)
    run = worker.run()
    before = signal.signal(signal.SIGTERM, lambda *_: run.stop())
    sender = subprocess.Popen(
        ["sh", "-c", f"while [ ! -e {tmp_path}/started ]; do sleep 0.05; done; kill {os.getpid()}"]
    )
    try:
        record = run.run_to_end()
    finally:
        signal.signal(signal.SIGTERM, before)
        sender.wait()
    assert (TrialState.WAITING, [Category.CANCELLED]) == (record.state, categories(record))
    with pytest.raises(AirflowException, match="ended with its task"):
        end_task(TrialLog(logging.getLogger(), 0), record, epoch=record.epoch)
    (tmp_path / "go").touch()
    assert [Category.CANCELLED, None] == categories(worker.settle())


def test_a_cleared_task_has_its_trial_anew(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "[ -e go ] && echo '{\"y\": 1}' >$PODMAP_RESULT")
    assert TrialState.FAILED is worker.settle().state
    assert TrialState.FAILED is worker.settle().state  # asked again, not run again
    (tmp_path / "go").touch()
    record = worker.settle(max_tries=6)
    assert (TrialState.COMPLETE, [2]) == (record.state, [a.number for a in record.attempts])


def test_a_users_failure_is_retried_in_the_worker_and_then_final(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "echo no luck; exit 3", retries={"user": 1})
    record = worker.settle()
    assert [Category.USER_EXIT, Category.USER_EXIT] == categories(record)
    with pytest.raises(AirflowFailException, match="exit code 3: no luck"):
        end_task(TrialLog(logging.getLogger(), 0), record, epoch=record.epoch)


def test_a_trial_of_a_stopped_run_is_skipped(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "exit 1", failures={"allow": 0})
    failed = replace(
        worker_record(worker, 1), state=TrialState.FAILED, finished="2999-01-01T00:00:00.000Z"
    )
    worker.ledger.write_record(failed)
    record = worker.settle()
    assert TrialState.CANCELLED is record.state
    with pytest.raises(AirflowSkipException, match="failures"):
        end_task(TrialLog(logging.getLogger(), 0), record, epoch=record.epoch)


def test_first_failures_of_one_kind_skip_the_others_until_they_are_cleared(tmp_path: Path) -> None:
    items = [{"n": n} for n in range(4)]
    search = {"kind": "list", "items": items}
    worker = Worker(
        tmp_path, 'echo "{\\"y\\": 1}" >$PODMAP_RESULT', search=search, failures={"same": 2}
    )
    diagnosis = Diagnosis(Category.USER_EXIT, "the training command ended with exit code 2")
    for number in (2, 3):
        attempt = Attempt(1, "p", exit_code=2, diagnosis=diagnosis)
        failed = replace(worker_record(worker, number), state=TrialState.FAILED)
        worker.ledger.write_record(replace(failed, attempts=(attempt,), finished=iso(utc_now())))
    record = worker.settle()
    assert TrialState.CANCELLED is record.state
    assert "the first 2 trials failed in the same way" in record.reason
    before = iso(utc_now() - timedelta(days=1))
    assert TrialState.CANCELLED is worker.settle(max_tries=6, asked=before).state
    assert TrialState.COMPLETE is worker.settle(max_tries=7, asked=iso(utc_now())).state


def worker_record(worker: Worker, number: int) -> Record:
    return Record(number=number, key="k", epoch="e", state=TrialState.WAITING)


def test_what_is_left_open_is_closed_when_no_try_will_follow(tmp_path: Path) -> None:
    worker = Worker(tmp_path, "true")
    running = replace(worker_record(worker, 0), state=TrialState.RUNNING)
    for record in (running, worker_record(worker, 1)):
        worker.ledger.write_record(record)
    assert 2 == close_open_records(worker.ledger, worker.manifest)
    first, second = Ledger.open(worker.ledger.run_uri).records()
    assert (TrialState.FAILED, [Category.NODE_LOST]) == (first.state, categories(first))
    assert (TrialState.CANCELLED, LEFT) == (second.state, second.reason)
    assert 0 == close_open_records(worker.ledger, worker.manifest)


def test_a_trial_that_the_kernel_killed_for_memory_is_told_from_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "memory.events"
    monkeypatch.setattr(worker_backend, "_COUNTERS", (counter,))
    monkeypatch.setenv(IN_POD, "True")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    counter.write_text("oom 0\noom_kill 0\n")
    kill_itself = f"[ -e go ] && echo 'oom_kill 1' >{counter}; kill -9 $$"
    memory = {"resources": {"memory": "1Gi"}}
    worker = Worker(tmp_path, kill_itself, memory, retries={"oom": {"times": 2}})
    assert [Category.USER_EXIT] == categories(worker.settle())
    (tmp_path / "go").touch()
    assert [Category.OOM] == categories(worker.settle(max_tries=6))


def test_python_is_the_workers_own(tmp_path: Path) -> None:
    from podmap.airflow.executor.functions import function_place
    from podmap.backends.launch import Launch
    from podmap.names import digest

    launch = Launch("x-0123abcd-0-a1", "x", "0123abcd", 0, 1, "e", ("python", "-m", "m", "title"))
    adapted = WorkerBackend(function=digest)._of_worker(launch)
    assert (sys.executable, "-m", "m", function_place(digest).reference) == adapted.argv
    assert set(filter(None, sys.path)) == set(adapted.env["PYTHONPATH"].split(os.pathsep))


def test_in_a_pod_of_its_own_a_trial_has_what_the_pod_takes_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from podmap.backends.launch import Launch

    launch = Launch(
        *("s-0a1b2c3d-0-a1", "s", "0a1b2c3d", 0, 1, "e", ("true",)),
        env={"A": "1"},
        config_env={"REGION": ("cluster", "region")},
        field_env={"NODE": "spec.nodeName"},
    )
    assert launch == WorkerBackend()._of_worker(launch)  # which no local process can have
    for name, value in ((IN_POD, "True"), ("REGION", "eu"), ("NODE", "n1")):
        monkeypatch.setenv(name, value)
    made = WorkerBackend()._of_worker(launch)
    assert {"A": "1", "REGION": "eu", "NODE": "n1"} == made.env
    assert ({}, {}) == (made.config_env, made.field_env)
