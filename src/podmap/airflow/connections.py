"""What runs the trials, and how a worker or a triggerer reaches it."""

from __future__ import annotations

import asyncio
import gc
import importlib
import threading
from collections.abc import Mapping

from podmap import uris
from podmap.airflow import settings, triggerer
from podmap.backends.connect import Target, connect, import_backend
from podmap.engine.hub import Hub

_imported: set[str] = set()
_importing = threading.Lock()


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

    Raises:
        UnreachableError: Airflow could not be asked for the connection.
        PodmapError: There is no such connection.
    """
    uris.use_policy(settings.uri_policy)
    key = " ".join(run.get(part, "") for part in ("backend", "connection", "namespace"))
    hub = Hub.find(key)
    if hub is not None:  # the connection is asked for once
        return hub
    if run["backend"] not in _imported:
        await asyncio.to_thread(_import_engine, run["backend"])
    conn_id = run.get("connection")
    extras = await triggerer.connection_extras(conn_id) if conn_id else None
    target = Target(run["backend"], namespace=run.get("namespace") or None, airflow=extras)
    return Hub.current(key, lambda: connect(target))


def _import_engine(backend: str) -> None:
    """Imports what triggers need, beside an event loop that would stand for so long."""
    with _importing:
        if backend in _imported:
            return
        # What a triggerer has imported takes every full collection 0.14 s of the loop's time; one
        # comes while this imports.
        gc.freeze()
        importlib.import_module("podmap.engine.trial")
        import_backend(backend)
        gc.freeze()
        _imported.add(backend)
