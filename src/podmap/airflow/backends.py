"""What runs the trials, and how a worker or a triggerer reaches it."""

from __future__ import annotations

from collections.abc import Mapping

from podmap.backends.connect import Target


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


def run_target(run: Mapping[str, str]) -> Target:
    """The target of a planned run, as a task reaches it.

    Args:
        run: What `plan` has left.
    """
    target = worker_target(run["backend"], run.get("connection"))
    return Target(target.backend, namespace=run.get("namespace") or None, airflow=target.airflow)
