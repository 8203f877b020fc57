"""A sensor of another team's DAG: it waits in the triggerer for a file, and no worker runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TaskSuccessEvent, TriggerEvent


class FileThereTrigger(BaseTrigger):
    """Waits for a file, with lines in its log."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "waiting_sensor.FileThereTrigger", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.log.info("waiting for %s", self.path)
        while not Path(self.path).exists():
            await asyncio.sleep(0.2)
        self.log.info("%s is there", self.path)
        yield TaskSuccessEvent()


class WaitingSensor(BaseOperator):
    """Waits for a file of which the name is a template."""

    template_fields = ("path",)
    start_from_trigger = True

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="waiting_sensor.FileThereTrigger",
            next_method="execute",
            trigger_kwargs={"path": path},
        )

    def execute(self, context: Any, event: Any = None) -> None:
        raise RuntimeError("it ends in the triggerer")
