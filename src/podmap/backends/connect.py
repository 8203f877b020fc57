"""A backend by its name, with the connection that it needs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from podmap.backends.base import Backend
from podmap.errors import UsageError

if TYPE_CHECKING:
    from podmap.ledger.manifest import Manifest

NAMES = ("process", "kubernetes")


@dataclass(frozen=True, slots=True)
class Target:
    """What runs the attempts, and where.

    Attributes:
        backend: One of `NAMES`.
        namespace: Of the pods; None for the connection's.
        kubeconfig: A file; None for KUBECONFIG, ~/.kube/config, or the account of the own pod.
        context: A context of the kubeconfig; None for the current one.
        airflow: The extras of Airflow's connection of type `kubernetes`; None if there is none.
        options: More arguments of `KubernetesBackend`.
        gpus: The GPUs of this host for local trials, as `--gpus` names them; None to find them.
    """

    backend: str = "process"
    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    airflow: Mapping[str, Any] | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    gpus: str | None = None


def target_of(manifest: Manifest, *, kubeconfig: str | None = None) -> Target:
    """What runs the attempts of a run that was planned before."""
    return Target(
        manifest.backend,
        namespace=manifest.namespace or None,
        kubeconfig=kubeconfig,
        context=manifest.context or None,
    )


def import_backend(name: str) -> None:
    """Imports what a backend needs: up to a second, in which an event loop should not stand.

    What is not installed is `connect`'s to tell.
    """
    module = {
        "process": "podmap.backends.process",
        "kubernetes": "podmap.backends.kubernetes.client.requests",
    }.get(name)
    if module is not None:
        with contextlib.suppress(ImportError, UsageError):
            importlib.import_module(module)


def connect(target: Target) -> Backend:
    """The backend; nothing is asked yet.

    Raises:
        UsageError: There is no such backend, or a package that it needs is missing.
    """
    if target.backend == "process":
        from podmap.backends.process import ProcessBackend

        return ProcessBackend(gpus=target.gpus)
    if target.backend != "kubernetes":
        raise UsageError(f"backend {target.backend!r} is not one of {', '.join(NAMES)}")
    from podmap.backends.kubernetes import KubernetesBackend
    from podmap.backends.kubernetes.client import automatic, from_airflow, from_kubeconfig

    if target.airflow is not None:
        load = from_airflow(target.airflow)
    elif target.kubeconfig or target.context:
        load = from_kubeconfig(target.kubeconfig, target.context)
    else:
        load = automatic()
    return KubernetesBackend.connect(load, target.namespace, **target.options)


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[Backend]:
    """The backend, which is closed at the end.

    Raises:
        UsageError: As `connect`.
    """
    backend = connect(target)
    try:
        yield backend
    finally:
        await backend.close()
