"""What runs the trials, and how a worker or a triggerer reaches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from podmap import uris
from podmap.aio import Backoff
from podmap.airflow import settings, trial_log
from podmap.backends.connect import Target, connect
from podmap.engine.hub import Hub
from podmap.errors import UnreachableError

T = TypeVar("T")


def worker_target(backend: str, conn_id: str | None, *, namespace: str | None) -> Target:
    """The target as a task in a worker reaches it.

    Args:
        backend: "process" or "kubernetes".
        conn_id: An Airflow connection of type `kubernetes`; None or empty if there is none.
        namespace: Of the pods; None or empty for the connection's.
    """
    from airflow.sdk import BaseHook

    extras = BaseHook.get_connection(conn_id).extra_dejson if conn_id else None
    return Target(backend, namespace=namespace or None, airflow=extras)


def planned_target(run: Mapping[str, str]) -> Target:
    """The target of a planned run, as a task in a worker reaches it.

    Args:
        run: What `plan` has left.
    """
    return worker_target(run["backend"], run.get("connection"), namespace=run.get("namespace"))


async def trigger_hub(run: Mapping[str, str]) -> Hub:
    """What the triggers of one event loop share, for the connection and namespace of a run.

    Args:
        run: What `plan` has left.
    """
    from airflow.sdk import BaseHook

    uris.use_policy(settings.uri_policy)
    key = " ".join(run.get(part, "") for part in ("backend", "connection", "namespace"))
    hub = Hub.find(key)
    if hub is not None:  # the connection is asked for once
        return hub
    extras, conn_id = None, run.get("connection")
    if conn_id:
        extras = (await BaseHook.aget_connection(conn_id)).extra_dejson
    target = Target(run["backend"], namespace=run.get("namespace") or None, airflow=extras)
    return Hub.current(key, lambda: connect(target))


async def until_reached(
    ask: Callable[[], Awaitable[T]], *, log: Any, backoff: Backoff | None = None
) -> T:
    """What `ask` returns, once what it asks can be asked.

    Args:
        ask: Called until it raises no `UnreachableError`.
        log: Is told what could not be asked.
        backoff: The pauses; None for 1 s to 1 min.
    """
    backoff = backoff or Backoff(1.0, 60.0)
    while True:
        try:
            return await ask()
        except UnreachableError as error:
            await backoff.pause(tell=partial(trial_log.show_retry, log, error))
