"""Paths of the Kubernetes API, and the errors that it answers with, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from podmap.errors import BackendError
from podmap.names import MANAGED_BY

SELECTOR = f"{MANAGED_BY}=podmap"
"""Selects the pods of all runs."""

RIGHTS_HELP = "deploy/rbac.yaml has the rights that podmap needs"
_RESOURCE = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?"
)


def pods_path(namespace: str, name: str | None = None, part: str | None = None) -> str:
    """The path of a namespace's pods, of one pod, or of a part of it such as `log`."""
    return _path(f"/api/v1/namespaces/{namespace}/pods", name, part)


def leases_path(namespace: str, name: str | None = None) -> str:
    """The path of a namespace's leases, or of one lease."""
    return _path(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", name)


def _path(*parts: str | None) -> str:
    return "/".join(part for part in parts if part)


class CredentialsError(BackendError):
    """There are no credentials to ask with now; asking again at once does not help."""


class TooLargeError(BackendError):
    """An answer is larger than any that is taken."""


class ApiError(BackendError):
    """The API server answered, but not with what was asked for.

    Attributes:
        status: The HTTP status.
        reason: The API's word for it, for example "AlreadyExists"; may be empty.
        body: The whole answer, a Status object where the server sent one.
        message: The server's own words; may be empty.
        retry_after_s: After how long the server wants to be asked again; None if it did not say.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int,
        reason: str,
        body: Mapping[str, Any],
        retry_after_s: float | None = None,
    ) -> None:
        """Makes the error; `api_error` is the usual way.

        Args:
            text: For a person: what was asked, what the answer was, what to do.
            status: As the attribute.
            reason: As the attribute.
            body: As the attribute.
            retry_after_s: As the attribute.
        """
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.status = status
        self.reason = reason
        self.body = body
        self.forbidden = status == 403 and _lacks_right(self.message)

    @property
    def message(self) -> str:
        """The server's own words; may be empty."""
        return str(self.body.get("message") or "")


def api_error(
    verb: str,
    path: str,
    status: int,
    raw: bytes,
    *,
    server: str,
    origin: str,
    retry_after: str = "",
) -> ApiError:
    """The error for an answer of the API server.

    Args:
        verb: What was asked, in Kubernetes' word: get, list, watch, create, patch and so on.
        path: Of what.
        status: The HTTP status.
        raw: The answer's body.
        server: The API server's address.
        origin: Where the connection comes from, for example "kubeconfig /home/ann/.kube/config".
        retry_after: The answer's header of that name.
    """
    body = _status_object(raw)
    reason = str(body.get("reason") or "")
    said = str(body.get("message") or raw[:300].decode("utf-8", "replace")).strip()
    asked = describe(verb, path)
    if status == 401:
        text = (
            f"the Kubernetes API at {server} does not accept the credentials of {origin} "
            f"(401, asked to {asked}): they may have expired; log in to the cluster again"
        )
    elif status == 403 and _lacks_right(said):
        text = f"not allowed to {asked} at {server} (403): {said}; {RIGHTS_HELP}"
    else:
        word = f"{status} {reason}".strip()
        text = f"could not {asked} at {server} ({word}): {said or 'no reason given'}"
    wait_s = float(retry_after) if retry_after.isdecimal() else None
    return ApiError(text, status=status, reason=reason, body=body, retry_after_s=wait_s)


def describe(verb: str, path: str) -> str:
    """A request in words, for example "create pods in namespace ml"."""
    match = _RESOURCE.match(path)
    if match is None:
        return f"{verb} {path}"
    resource = match["resource"] + (f"/{match['part']}" if match["part"] else "")
    name = f" {match['name']}" if match["name"] else ""
    place = f" in namespace {match['namespace']}" if match["namespace"] else ""
    return f"{verb} {resource}{name}{place}"


def resource_of(path: str) -> str:
    """The resource in a path, for example "pods"; the path itself if there is none."""
    match = _RESOURCE.match(path)
    return match["resource"] if match else path


def _lacks_right(said: str) -> bool:
    """Whether a 403 is about rights: quotas and admission answer with 403, too."""
    return " cannot " in said


def _status_object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
