"""What Airflow's log shows of a trial: params first, the reason last, and nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
from tests.local.airflow.planned import plan_one

from podmap.airflow import log_turns
from podmap.airflow.pods.trigger import TrialTrigger
from podmap.airflow.trial_log import TrialLog, verdict
from podmap.records import Attempt, Category, Diagnosis, Record, TrialState

pytestmark = pytest.mark.airflow

OWNER = {"deployment": "airflow", "dag_id": "d", "run_id": "r1", "group_id": "sweep"}
ADVICE = "Read the end of the log."


class Log:
    """A trigger's log, of which each entry is kept with its level."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda form, *args, **_: self.entries.append((level, form % args))

    @property
    def lines(self) -> list[str]:
        return [line for _, text in self.entries for line in text.splitlines()]


def failed(detail: str) -> Record:
    diagnosis = Diagnosis(Category.USER_EXIT, "exit code 3", detail, ADVICE)
    return Record(
        number=4,
        key="k",
        epoch="e",
        state=TrialState.FAILED,
        params={"lr": 0.1},
        reason="user_exit: exit code 3",
        attempts=(Attempt(number=1, pod="p", diagnosis=diagnosis),),
    )


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("loss is nan\nstopping", []),
        ("Its container ended with exit code 3.", ["Its container ended with exit code 3."]),
    ],
    ids=["was streamed", "was not"],
)
def test_the_reason_is_last_and_what_was_streamed_is_not_said_again(
    detail: str, shown: list[str]
) -> None:
    log = Log()
    trial_log = TrialLog(log, 4)
    for line in ("epoch 1", "loss is nan", "stopping"):
        trial_log.show_line(line)
    trial_log.show_verdict(failed(detail), epoch="e")
    said = ["epoch 1", "loss is nan", "stopping", "trial 4: lr=0.1", *shown, ADVICE]
    assert log.lines == [*said, "trial 4: failed: user_exit: exit code 3"]
    assert log.entries[-1][0] == "error"
    assert verdict(failed(detail), epoch="e") == "trial 4: failed: user_exit: exit code 3"


class Reader:
    """The log's socket, whose supervisor reads all but the verdict until it is told to."""

    def __init__(self, log: Log, last: str) -> None:
        self._log = log
        self._last = last
        self.holds = asyncio.Event()
        self.reads = asyncio.Event()

    def position(self) -> int:
        return 0

    async def wait_taken(self, position: int) -> None:
        if any(line.startswith(self._last) for line in self._log.lines):
            self.holds.set()
            await self.reads.wait()


@pytest.mark.parametrize(
    ("command", "ends", "last"),
    [
        ("echo hello; exit 3", TaskFailedEvent, "trial 0: failed: user_exit"),
        ("""echo hello; echo '{"y": 1}' >$PODMAP_RESULT""", TaskSuccessEvent, "trial 0: complete"),
    ],
    ids=["failed", "complete"],
)
def test_the_event_comes_after_airflow_has_read_the_verdict(
    command: str,
    ends: type,
    last: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PODMAP_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW__PODMAP__STORE", str(tmp_path / "store"))
    log = Log()

    class Told(TrialTrigger):
        @property
        def log(self) -> Any:
            return log

    async def scenario() -> Any:
        reader = Reader(log, last)
        log_turns.loop_turns()._socket = reader  # type: ignore[assignment]  # as the real one
        trigger = Told(run=plan_one(tmp_path, command, OWNER)[1])
        trigger.task_instance = SimpleNamespace(  # type: ignore[assignment]  # what is asked for
            dag_id="d", run_id="r1", task_id="sweep.trials", map_index=0, id="e", max_tries=0
        )
        event = asyncio.ensure_future(anext(trigger.run()))
        await reader.holds.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not event.done()
        reader.reads.set()
        return await event

    assert isinstance(asyncio.run(asyncio.wait_for(scenario(), 60)), ends)
    assert log.lines[0] == "trial 0: n=0"
    assert "hello" in log.lines
    assert log.lines[-1].startswith(last)
