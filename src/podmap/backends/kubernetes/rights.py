"""The rights that podmap needs in a namespace, each with what cannot be done without it."""

from __future__ import annotations

from typing import Any, NamedTuple


class Right(NamedTuple):
    """One right of the account that makes and watches pods.

    Attributes:
        verb: Kubernetes' word.
        resource: With its part, as `pods/log`.
        group: The API group; empty for the core's.
        without: What becomes of a sweep without it.
    """

    verb: str
    resource: str
    group: str
    without: str


_COORDINATION = "coordination.k8s.io"
_ALONE = "each process then counts its own pods only: two triggerers run twice `parallelism`"

NEEDED = (
    Right("create", "pods", "", "no trial can start"),
    Right("get", "pods", "", "a pod whose creation was not answered cannot be found again"),
    Right("list", "pods", "", "nothing is known of any trial: runs wait for ever"),
    Right("watch", "pods", "", "nothing is known of any trial: runs wait for ever"),
    Right("patch", "pods", "", "pods stay at their gates: no trial starts"),
    Right("delete", "pods", "", "pods that have ended stay, and hold quota"),
    Right("get", "pods/log", "", "no logs, no reported steps, so no pruning"),
    Right("create", "leases", _COORDINATION, _ALONE),
    Right("get", "leases", _COORDINATION, _ALONE),
    Right("update", "leases", _COORDINATION, _ALONE),
    Right("delete", "leases", _COORDINATION, "leases of runs that have ended stay behind"),
)
"""What deploy/rbac.yaml grants; a test compares the two."""

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def access_review(right: Right, namespace: str) -> dict[str, Any]:
    """The question whether this account has a right in a namespace, for `REVIEWS`."""
    resource, _, part = right.resource.partition("/")
    asked = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        **({"subresource": part} if part else {}),
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
