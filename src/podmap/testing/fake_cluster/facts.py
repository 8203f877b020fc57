"""What a fake cluster says of itself: its version and clock, rights, quotas, nodes and policies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

Facts = Mapping[str, Any]
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_LISTED = re.compile(
    r"/api/v1/(nodes|pods)|/api/v1/namespaces/[^/]+/resourcequotas"
    r"|/apis/networking.k8s.io/v1/namespaces/[^/]+/networkpolicies"
)
_NAMESPACE = re.compile(r"/api/v1/namespaces/(?P<name>[^/]+)")


@dataclass(slots=True)
class ClusterFacts:
    """What is told, by path; without a word of its own a cluster is empty and allows all.

    Attributes:
        told: Path to the object that a GET of it gives.
        strips_gates: Whether a webhook takes scheduling gates off pods, in dry runs.
        clock_off_s: How far the API server's clock, in its answers' `Date`, is off this machine's.
    """

    told: dict[str, Any] = field(default_factory=dict)
    clock_off_s: float = 0.0
    strips_gates: bool = False

    def admitted(self, pod: dict[str, Any]) -> dict[str, Any]:
        """A pod as webhooks of the cluster leave it."""
        if self.strips_gates:
            pod["spec"].pop("schedulingGates", None)
        return pod

    def date(self) -> str:
        """The header `Date` of an answer."""
        now = datetime.now(timezone.utc) + timedelta(seconds=self.clock_off_s)
        return format_datetime(now, usegmt=True)

    def answer(
        self, method: str, path: str, body: Facts | None, *, forbidden: Iterable[tuple[str, str]]
    ) -> Any | None:
        """The answer to a request; None where there is no such path.

        Args:
            method: The HTTP method.
            path: What is asked.
            body: What was sent.
            forbidden: Verbs and resources that this account may not do.
        """
        if method == "POST" and path == REVIEWS and body is not None:
            return _review(body, set(forbidden))
        if method != "GET":
            return None
        if path in self.told:
            return self.told[path]
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0-fake"}
        if _LISTED.fullmatch(path):
            return {"kind": "List", "metadata": {}, "items": []}
        found = _NAMESPACE.fullmatch(path)
        return {"kind": "Namespace", "metadata": {"name": found["name"]}} if found else None


def _review(body: Facts, forbidden: set[tuple[str, str]]) -> dict[str, Any]:
    asked = body["spec"]["resourceAttributes"]
    part = f"/{asked['subresource']}" if asked.get("subresource") else ""
    allowed = (asked["verb"], f"{asked['resource']}{part}") not in forbidden
    return {**body, "status": {"allowed": allowed}}
