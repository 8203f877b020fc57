"""What runs the trials, and how a worker or a triggerer reaches it."""

from __future__ import annotations

from collections.abc import Mapping

from podmap.backends.connect import Target, connect
from podmap.engine.hub import Hub


def worker_target(backend: str, conn_id: str | None) -> Target:
    """The target as a task reaches it.

    Args:
        backend: "process" or "kubernetes".
        conn_id: An Airflow connection of type `kubernetes`; None if there is none.
    """
    from airflow.sdk import BaseHook

    if not conn_id:
        return Target(backend)
    return Target(backend, airflow=BaseHook.get_connection(conn_id).extra_dejson)


async def trigger_target(run: Mapping[str, str]) -> Target:
    """The target as a trigger reaches it.

    Args:
        run: What `plan` has left.
    """
    from airflow.sdk import BaseHook

    conn_id = run.get("connection")
    extras = None
    if conn_id:
        extras = (await BaseHook.aget_connection(conn_id)).extra_dejson
    return Target(run["backend"], namespace=run.get("namespace") or None, airflow=extras)


async def trigger_hub(run: Mapping[str, str]) -> Hub:
    """What the triggers of one event loop share, for the connection and namespace of a run.

    Args:
        run: What `plan` has left.
    """
    key = " ".join(run.get(part, "") for part in ("backend", "connection", "namespace"))
    hub = Hub.find(key)
    if hub is not None:  # the connection is asked for once
        return hub
    target = await trigger_target(run)
    return Hub.current(key, lambda: connect(target))


def run_target(run: Mapping[str, str]) -> Target:
    """The target of a planned run, as a task reaches it.

    Args:
        run: What `plan` has left.
    """
    target = worker_target(run["backend"], run.get("connection"))
    return Target(target.backend, namespace=run.get("namespace") or None, airflow=target.airflow)
