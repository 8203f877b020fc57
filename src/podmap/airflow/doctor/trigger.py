"""The trigger of the doctor: what the triggerer sees of itself, of the store and of the cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from podmap import uris
from podmap.airflow import settings, triggerer
from podmap.airflow.doctor.places import (
    TRIGGERER,
    at_place,
    check_provider,
    chosen_backend,
    this_place,
)
from podmap.airflow.trial_log import show_error
from podmap.backends.connect import Target
from podmap.doctor.verdict import Verdict, hurts, ok, unreachable
from podmap.errors import PodmapError

LOAD = "triggerer load"
LAG = "triggerer lag"
MARKER = "podmap-doctor-shared"
MOST_LOAD = 0.9
MOST_LAG_S = 0.2
"""Airflow itself warns from here on ([triggerer] blocked_main_thread_warning_threshold)."""
_LOOKS, _LOOK_S = 10, 0.05


class DoctorTrigger(BaseTrigger):
    """Looks around in the triggerer, and hands what it has found to the task.

    Args:
        backend: What runs trials; None for `[podmap] backend`.
        conn_id: Airflow's connection to the cluster; None for none.
        namespace: Of the pods; None for the connection's.
        store: Where runs are kept; None for `[podmap] store`.
        parsed: What the DAG processor runs, as it has parsed the DAG file; None if not known.
    """

    def __init__(
        self,
        backend: str | None = None,
        conn_id: str | None = None,
        namespace: str | None = None,
        store: str | None = None,
        parsed: dict[str, str] | None = None,
    ) -> None:
        begin: Any = super().__init__  # Airflow's own has no types
        begin()
        self.backend = backend
        self.conn_id = conn_id
        self.namespace = namespace
        self.store = store
        self.parsed = parsed

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments of `__init__`."""
        names = ("backend", "conn_id", "namespace", "store", "parsed")
        arguments = {name: getattr(self, name) for name in names}
        return "podmap.airflow.doctor.trigger.DoctorTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: what was found. Raises nothing but cancellation."""
        try:
            found, marker = await self._look()
        except Exception as error:  # the border to Airflow: whatever it is, it must go on
            show_error(self.log, error)
            told, marker = f"{type(error).__name__}: {error}", ""
            found = [unreachable("doctor", told, "nothing was looked at from here", "its log")]
        event: Any = TriggerEvent  # which has no types
        yield event(
            {
                "checks": [each.to_json() for each in at_place(found, TRIGGERER)],
                "place": this_place(),
                "parsed": self.parsed,
                "marker": marker,
            }
        )

    async def _look(self) -> tuple[list[Verdict], str]:
        from podmap.doctor.checkup import check_all
        from podmap.doctor.question import Question

        uris.use_policy(settings.uri_policy)
        found = [_load(), await _lag(), await asyncio.to_thread(check_provider)]
        backend, wrong = chosen_backend(self.backend)
        found += wrong
        extras = None
        if backend == "kubernetes" and self.conn_id:
            extras = await triggerer.connection_extras(self.conn_id)
        target = Target(backend or "process", namespace=self.namespace, airflow=extras)
        store = self.store or settings.store()
        found += await check_all(Question(target, store))
        marker = f"{MARKER}-{self.trigger_id or 0}"
        await asyncio.to_thread(_leave, store, marker)
        return found, marker


def _leave(store: str, marker: str) -> None:
    """Puts a file into the store that the worker then looks for."""
    from podmap.ledger.store import open_store

    try:
        open_store(store).write(marker, b"{}")
    except PodmapError:
        return  # which the check of the store has told


def _load() -> Verdict:
    """How many triggers this triggerer has, and how many it takes."""
    from airflow.sdk.configuration import conf

    names = [task.get_name() for task in asyncio.all_tasks()]
    have = sum(1 for name in names if "(ID " in name or name.startswith("ID "))
    most = conf.getint("triggerer", "capacity", fallback=1000)
    found = f"this triggerer runs {have} triggers; [triggerer] capacity is {most}"
    if have <= MOST_LOAD * most:
        return ok(LOAD, found)
    return hurts(
        LOAD,
        found,
        "trials wait for a place, and start late",
        f"[triggerer] capacity = {2 * most}, or more triggerers",
    )


async def _lag() -> Verdict:
    """How late this loop is: whatever blocks it delays all trials of this triggerer."""
    worst_s = 0.0
    for _ in range(_LOOKS):
        began = time.monotonic()
        await asyncio.sleep(_LOOK_S)
        worst_s = max(worst_s, time.monotonic() - began - _LOOK_S)
    found = f"its event loop was up to {worst_s * 1000:.0f} ms late"
    if worst_s <= MOST_LAG_S:
        return ok(LAG, found)
    return hurts(
        LAG,
        found,
        "ends of trials are seen late; beyond 30 s another triggerer takes over",
        "more triggerers, or CPU for this one: a trigger of another DAG blocks it if CPU is free",
    )
