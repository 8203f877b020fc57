"""Checks that a pod with a scheduling gate would be taken, and that leases can be held."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from podmap.backends.kubernetes.client import ApiError, leases_path, pods_path
from podmap.backends.kubernetes.diagnosis.refused import diagnose_create_error
from podmap.backends.kubernetes.lease import Lease
from podmap.backends.kubernetes.pod import fields
from podmap.backends.kubernetes.pod.build import SLOT_GATE
from podmap.doctor.question import ClusterView
from podmap.doctor.verdict import Verdict, hurts, ok, unseen
from podmap.names import MANAGED_BY

GATES = "gates"
LEASES = "leases"


async def check_gates(at: ClusterView) -> list[Verdict]:
    """Whether the server would create the pod, gated, as a run asks for it: a dry run.

    Raises:
        BackendError: The server does not answer.
    """
    try:
        pod = await at.client.create(pods_path(at.namespace), at.pod, dry_run=True)
    except ApiError as error:
        return [_refused(at, error)]
    if SLOT_GATE in fields.gates(pod):
        return [ok(GATES, "the server would take a pod that waits at its gate (dry run)")]
    return [
        hurts(
            GATES,
            f"the server takes the pod's scheduling gate {SLOT_GATE} off",
            "pods start at once, beyond parallelism",
            "a mutating webhook of the cluster removes spec.schedulingGates: have it leave "
            f"pods labelled {MANAGED_BY}=podmap alone; Kubernetes must be 1.27 or newer",
        )
    ]


def _refused(at: ClusterView, error: ApiError) -> Verdict:
    if "does not support dry run" in error.message:
        return unseen(
            GATES,
            f"a webhook of the cluster has no dry run: {error.message}",
            "what it would say of pods is known when the first one is made",
            "sideEffects: None in the webhook's configuration",
        )
    if error.forbidden:
        return unseen(GATES, f"not tried: {error.message}", "see the rights above")
    diagnosis = diagnose_create_error(error.status, error.body)
    if diagnosis is None:
        raise error
    return hurts(
        GATES,
        f"the server refuses a trial's pod in namespace {at.namespace}: {diagnosis.summary}",
        "no trial can start",
        diagnosis.resolution,
    )


async def check_leases(at: ClusterView) -> list[Verdict]:
    """Whether a lease can be made, held and removed; one is.

    Raises:
        BackendError: The server does not answer.
    """
    name = f"podmap-doctor-{secrets.token_hex(4)}"
    labels = {MANAGED_BY: "podmap"}
    lease = Lease(at.client, at.namespace, name, "doctor", labels=labels)
    await lease.acquire_or_renew()
    held, refused = lease.held, lease.refused
    await lease.close()
    if held:
        left = await _left(at, name)
        return [_stays(at, name) if left else ok(LEASES, "a lease was made, held and removed")]
    if refused is None:
        found = "a lease could not be taken; the warning above says why"
    else:
        found = f"a lease could not be taken: {refused.message}"
    return [
        hurts(
            LEASES,
            found,
            "each process keeps its own pods within parallelism, and no two know of each other",
            f"verbs [create, get, update, delete] on leases (coordination.k8s.io) in namespace "
            f"{at.namespace}, as in deploy/rbac.yaml",
        )
    ]


async def _left(at: ClusterView, name: str) -> bool:
    try:
        found: Mapping[str, Any] = await at.client.get(leases_path(at.namespace, name))
    except ApiError as error:
        if error.status == 404:
            return False
        raise
    return bool(found)


def _stays(at: ClusterView, name: str) -> Verdict:
    return hurts(
        LEASES,
        f"lease {name} was made and cannot be removed",
        "each run leaves a lease behind",
        f"verbs [delete] on leases (coordination.k8s.io) in namespace {at.namespace}, as in "
        f"deploy/rbac.yaml; then: kubectl --namespace {at.namespace} delete lease {name}",
    )
