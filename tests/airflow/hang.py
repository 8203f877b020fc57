"""Hangs the triggerer of Airflow 3.3: supervisor and runner wait for each other for ever.

Run it alone; it needs no database, and nothing of podmap unless it is told `--podmap`. It prints
how many triggers were started, and ends once all of them were. It does not get there: the
supervisor is in `sendall`, with more than the socket holds (an answer with new triggers), and the
runner's event loop is in `write`, with more log lines than the other socket holds. Neither reads.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

TRIGGERS = 60
AT_ONCE = 20
PADDING = "x" * 40_000
"""Stands for the serialised DAG, which comes with each trigger that starts from the scheduler."""


class Chatty(BaseTrigger):
    """Logs a few lines whenever it has its turn."""

    def __init__(self, padding: str, podmap: bool) -> None:
        super().__init__()
        self.podmap = podmap

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "hang.Chatty", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        if self.podmap:
            from podmap.airflow.log_socket import process_log_socket

            process_log_socket()
        while True:
            for _ in range(20):
                self.log.info("a line")
            await asyncio.sleep(0.05)
        yield TriggerEvent(None)


class Supervisor(TriggerRunnerSupervisor):
    """Starts some triggers at a time, as a triggerer does that takes over those of another."""

    def load_triggers(self) -> None:
        started = len(self.running_triggers)
        print(f"{started} triggers", flush=True)
        if started == TRIGGERS:
            self.stop = True
        if not self.creating_triggers and started < TRIGGERS:
            kwargs = Trigger.encrypt_kwargs({"padding": PADDING, "podmap": "--podmap" in sys.argv})
            self.creating_triggers.extend(
                RunTrigger(id=started + number, classpath="hang.Chatty", encrypted_kwargs=kwargs)
                for number in range(1, AT_ONCE + 1)
            )

    def clean_unused(self) -> None:
        """There is no database."""

    def heartbeat(self) -> None:
        """There is no database."""

    def emit_metrics(self) -> None:
        """There is no job."""


if __name__ == "__main__":
    supervisor = Supervisor.start(capacity=TRIGGERS)
    try:
        supervisor.run()
    finally:
        supervisor.kill(force=True)
