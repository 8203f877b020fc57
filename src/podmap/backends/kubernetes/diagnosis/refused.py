"""Why the API server does not create a pod: quota, policy, rights, or a wrong field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from podmap.records import Category, Diagnosis

_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.*?), used: (?P<used>.*?), "
    r"limited: (?P<limited>.*)"
)
_RENDER = "`podmap render SPEC --backend kubernetes` shows the pod."
_FIELDS: Mapping[str, str] = {
    "spec.volumes": "trial.volumes",
    "spec.priorityClassName": "kubernetes.priority_class",
    "spec.serviceAccountName": "kubernetes.service_account",
    "metadata.labels": "trial.pod.metadata.labels",
    "metadata.annotations": "trial.pod.metadata.annotations",
    "spec.containers[0].image": "trial.image",
    "spec.containers[0].resources": "trial.resources",
    "spec.containers[0].env": "trial.env",
    "spec.containers[0].volumeMounts": "trial.volumes",
    "spec": "trial.pod.spec",
}

_NO_NAMESPACE = r"namespaces \"(?P<name>[^\"]*)\" not found"
_ENDING = r"(namespace \S+ is being terminated|because it is being terminated)"
_NAMESPACE_GONE = f"{_NO_NAMESPACE}|{_ENDING}"

# (pattern, summary, resolution); the first that matches counts, groups are filled in.
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    (
        r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.*)",
        "ResourceQuota {quota} wants every pod to say {what}",
        "Give them in trial.resources: cpu, cpu_limit, memory, disk.",
    ),
    (
        r"(?P<what>(maximum|minimum) \S+ usage per \S+ is .*)",
        "the namespace's LimitRange does not allow the resources: {what}",
        "Change trial.resources, or the LimitRange.",
    ),
    (
        r"violates PodSecurity \"(?P<level>[^\"]*)\": (?P<what>.*)",
        "the namespace's pod security level {level} does not allow the pod",
        "For `restricted`: trial.pod.spec.securityContext: {{runAsNonRoot: true, runAsUser: "
        "1000}}, and an image that runs so. Overlays that ask for privileges need another "
        "namespace.",
    ),
    (
        _ENDING,
        "the namespace is being deleted",
        "Use another (kubernetes.namespace), or create it again once it is gone.",
    ),
    (
        r"error looking up service account \S+?/(?P<name>[^:]+):",
        "there is no service account {name} in the namespace",
        "Create it, or correct kubernetes.service_account.",
    ),
    (
        r"no PriorityClass with name (?P<name>\S+) was found",
        "there is no PriorityClass {name}",
        "Correct kubernetes.priority_class; `kubectl get priorityclasses` lists them.",
    ),
    (
        r"admission webhook \"(?P<name>[^\"]*)\" denied the request:? ?(?P<what>.*)",
        "admission webhook {name} refuses the pod: {what}",
        "It is a rule of this cluster: change the pod (trial.pod), or ask those who run it.",
    ),
    (
        r"(?P<name>(ValidatingAdmissionPolicy|policy) ['\"][^'\"]*['\"]).*? denied request: "
        r"(?P<what>.*)",
        "{name} refuses the pod: {what}",
        "It is a rule of this cluster: change the pod (trial.pod), or ask those who run it.",
    ),
    (
        r"User \"(?P<user>[^\"]*)\" cannot (?P<verb>\S+) resource \"(?P<what>[^\"]*)\".*"
        r"namespace \"(?P<namespace>[^\"]*)\"",
        "{user} has no right to {verb} {what} in namespace {namespace}",
        "See that this is the namespace you mean (kubernetes.namespace) and that it exists; then "
        "apply deploy/rbac.yaml in it and bind its Role to this account.",
    ),
    (
        _NO_NAMESPACE,
        "there is no namespace {name}",
        "Create it, or correct kubernetes.namespace.",
    ),
)


def diagnose_create_error(status_code: int, body: Mapping[str, Any]) -> Diagnosis | None:
    """Why the API server does not create a pod.

    Args:
        status_code: The HTTP status of its answer, from 400.
        body: Its answer, a Status object; empty if it was something else.

    Returns:
        A diagnosis of category `quota` if it may be created once others are gone, of
        `create_error` if it never can as it is; None if the question has to be asked again, or
        with other credentials (401, 408, 409, 429 and 5xx), which says nothing of the pod.
    """
    if status_code in (401, 408, 409, 429) or status_code >= 500:
        return None
    message = str(body.get("message") or "").strip()
    quota = _QUOTA.search(message)
    if quota is not None:
        return _over_quota(quota, message)
    for pattern, summary, resolution in _REFUSALS:
        found = re.search(pattern, message, re.DOTALL)
        if found is not None:
            given = {name: text.strip() for name, text in found.groupdict().items() if text}
            text = summary.format_map({"what": "", **given}).rstrip(": ")
            return Diagnosis(Category.CREATE_ERROR, _line(text), message, resolution.format())
    return _invalid(status_code, body, message)


def refuses_account(status_code: int, body: Mapping[str, Any]) -> bool:
    """Whether an answer to a pod is about who asks, not about the pod.

    It is 403 from the rights of the account, or from what stands before the API server: an
    admission plugin that refuses a pod names it.

    Args:
        status_code: The HTTP status.
        body: The answer, as `diagnose_create_error` takes it.
    """
    details = body.get("details")
    named = isinstance(details, Mapping) and bool(details.get("name"))
    about_pod = re.match(r'pods "', str(body.get("message") or "")) is not None
    return status_code == 403 and not named and not about_pod


def is_namespace_gone(body: Mapping[str, Any]) -> bool:
    """Whether the API server has refused a pod since its namespace is not there, or is going.

    Args:
        body: Its answer, a Status object; empty if it was something else.
    """
    return re.search(_NAMESPACE_GONE, str(body.get("message") or "")) is not None


def _over_quota(found: re.Match[str], message: str) -> Diagnosis:
    return Diagnosis(
        Category.QUOTA,
        f"ResourceQuota {found['name']} is used up (asked: {found['requested']}; used: "
        f"{found['used']}; allowed: {found['limited']})",
        message,
        "It is created once enough is free. If it asks for more than the whole quota allows, "
        "lower trial.resources or have the quota raised; a parallelism that fits the quota saves "
        "requests.",
    )


def _invalid(status_code: int, body: Mapping[str, Any], message: str) -> Diagnosis:
    causes = (body.get("details") or {}).get("causes") or ()
    fields = [str(cause["field"]) for cause in causes if cause.get("field")]
    fields += re.findall(r"unknown field \"([^\"]+)\"", message)
    if not fields:
        word = f"{status_code} {body.get('reason') or ''}".strip()
        # What the spec's own keys make is well-formed, so it is a value of the overlay.
        malformed = "cannot be handled as a Pod" in message
        return Diagnosis(
            Category.CREATE_ERROR,
            _line(f"the API server refuses the pod ({word}): {message or 'without a reason'}"),
            message,
            f"Correct the value in trial.pod. {_RENDER}" if malformed else _RENDER,
        )
    places = ", ".join(dict.fromkeys(_place(field) for field in fields))
    said = "; ".join(str(cause.get("message")) for cause in causes if cause.get("message"))
    return Diagnosis(
        Category.CREATE_ERROR,
        _line(f"the pod is not valid: {', '.join(dict.fromkeys(fields))}: {said or message}"),
        message,
        f"Correct {places} in the spec. {_RENDER}",
    )


def _place(field: str) -> str:
    """Where in the spec a field of the pod comes from."""
    for prefix, place in _FIELDS.items():
        if field == prefix or field.startswith((f"{prefix}.", f"{prefix}[")):
            return place
    return field


def _line(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
