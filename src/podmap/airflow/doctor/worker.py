"""What the doctor looks at from a worker, once the trigger has looked from the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from podmap import uris
from podmap.airflow import settings
from podmap.airflow.connections import worker_target
from podmap.airflow.doctor.places import (
    PARSED,
    TRIGGERER,
    WORKER,
    at_place,
    check_provider,
    check_same,
    chosen_backend,
    this_place,
)
from podmap.doctor.airflow_settings import check_settings
from podmap.doctor.checkup import check_all
from podmap.doctor.question import Question
from podmap.doctor.verdict import Verdict, hurts, ok
from podmap.errors import StoreError
from podmap.ledger.store import open_store

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

SHARED = "shared store"


@dataclass(frozen=True, slots=True)
class AskedOfWorker:
    """What a task of the doctor is to look at, as the arguments of `DoctorOperator` have it."""

    loaded: LoadedSpec | None = None
    backend: str | None = None
    conn_id: str | None = None
    namespace: str | None = None
    store: str | None = None
    image: str | None = None


def look_from_worker(task: AskedOfWorker, event: Mapping[str, Any]) -> list[Verdict]:
    """What is found of Airflow's settings, and of the store and the cluster as a worker has them.

    Args:
        task: What is asked.
        event: What the trigger has found.

    Raises:
        SpecError: The spec gives no pod.
    """
    uris.use_policy(settings.uri_policy)
    loaded = task.loaded
    sweep = loaded.sweep if loaded else None
    store = task.store or (sweep.store if sweep else None) or settings.store()
    places = {TRIGGERER: event["place"], WORKER: this_place()}
    if event.get("parsed"):
        places = {PARSED: event["parsed"], **places}
    found = [check_same(places), check_provider(), *check_settings(_setting, loaded)]
    found.append(_shared(store, event.get("marker") or "", places))
    backend, wrong = chosen_backend(task.backend)
    namespace = task.namespace or (sweep.kubernetes.namespace if sweep else None)
    target = worker_target(backend or "process", task.conn_id, namespace=namespace)
    question = Question(target, store, loaded=loaded, image=task.image)
    found += wrong + asyncio.run(check_all(question))
    return at_place(found, WORKER)


def _setting(section: str, option: str) -> str | None:
    from airflow.sdk.configuration import conf

    value = conf.get(section, option, fallback=None)
    return None if value is None else str(value)


def _shared(store: str, marker: str, places: Mapping[str, Mapping[str, str]]) -> Verdict:
    """Whether what the triggerer has put into the store is there for the worker."""
    hosts = f"{places[TRIGGERER]['host']} and {places[WORKER]['host']}"
    try:
        there = bool(marker) and open_store(store).read(marker) is not None
        if there:
            open_store(store).delete(marker)
            return ok(SHARED, f"triggerer and worker ({hosts}) use one and the same store")
        found = f"the worker does not find in {store} what the triggerer has put there ({hosts})"
    except StoreError as error:
        found = f"the worker cannot look for what the triggerer has put into the store: {error}"
    return hurts(
        SHARED,
        found,
        "plan and collect do not see what trials write: runs fail, or end without results",
        "[podmap] store = s3://bucket/podmap, or a folder that all of their hosts mount",
    )
