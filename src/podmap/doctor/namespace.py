"""Checks what a namespace allows: its quotas, its pod security level, its network policies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from podmap.backends.kubernetes.client import ApiError
from podmap.backends.kubernetes.room import Room, node_room, quota_room
from podmap.doctor.question import ClusterView
from podmap.doctor.verdict import Verdict, hurts, ok, unseen

Json = Mapping[str, Any]
SECURITY = "pod security"
QUOTA = "quota"
NETWORK = "network policy"
NODES = "nodes"
_ENFORCE = "pod-security.kubernetes.io/enforce"
_READ_ONLY = "it is no right that runs need; give it to whoever runs the doctor, or look yourself"


async def check_quota(at: ClusterView) -> list[Verdict]:
    """Whether the quotas have room for as many pods as are to run at once.

    Raises:
        BackendError: The server does not answer.
    """
    room = await room_in_quota(at)
    if room is None:
        return [_may_not(QUOTA, "list resourcequotas", at.namespace)]
    if room.pods is None:
        return [ok(QUOTA, f"no quota of namespace {at.namespace} counts such pods")]
    if room.pods >= at.parallelism:
        return [ok(QUOTA, f"room for {room.pods} more such pods ({room.limit})")]
    why = (
        "trials wait until the quota has room" if room.pods else "no trial starts before others end"
    )
    return [
        hurts(
            QUOTA,
            f"room for {room.pods} more of {at.parallelism} pods at once: {room.limit}",
            why,
            f"parallelism: {max(room.pods, 1)} in the spec, less in trial.resources, or a larger "
            f"hard limit: kubectl --namespace {at.namespace} edit resourcequota",
        )
    ]


async def check_nodes(at: ClusterView) -> list[Verdict]:
    """Whether the nodes have room for as many pods as are to run at once.

    Raises:
        BackendError: The server does not answer.
    """
    room = await room_on_nodes(at)
    if room is None:
        return [_may_not(NODES, "list nodes, and pods of all namespaces,", "")]
    fits = room.pods or 0
    if fits >= at.parallelism:
        return [ok(NODES, f"room for {fits} such pods now ({room.limit})")]
    return [
        hurts(
            NODES,
            f"room for {fits} of {at.parallelism} pods at once now: {room.limit}",
            "trials wait for a node, unless an autoscaler adds some",
            f"parallelism: {max(fits, 1)} in the spec, less in trial.resources, or more nodes",
        )
    ]


async def room_in_quota(at: ClusterView) -> Room | None:
    """How many more pods the namespace's quotas have room for; None if they may not be read.

    Raises:
        BackendError: The server does not answer.
    """
    quotas = await _read_list(at, f"/api/v1/namespaces/{at.namespace}/resourcequotas")
    return None if quotas is None else quota_room(quotas, at.pod)


async def room_on_nodes(at: ClusterView) -> Room | None:
    """How many more pods the nodes have room for; None if they may not be read.

    Raises:
        BackendError: The server does not answer.
    """
    nodes = await _read_list(at, "/api/v1/nodes")
    pods = None if nodes is None else await _read_list(at, "/api/v1/pods")
    return None if nodes is None or pods is None else node_room(nodes, pods, at.pod)


async def check_security(at: ClusterView) -> list[Verdict]:
    """The pod security level that the namespace enforces, beside what the pod says of itself.

    Raises:
        BackendError: The server does not answer.
    """
    try:
        found = await at.client.get(f"/api/v1/namespaces/{at.namespace}")
    except ApiError as error:
        if error.status == 404:
            return [
                hurts(
                    "namespace",
                    f"there is no namespace {at.namespace}",
                    "no pod can be created",
                    f"kubectl create namespace {at.namespace}, or kubernetes.namespace in the spec",
                )
            ]
        if not error.forbidden:
            raise
        return [_may_not(SECURITY, "get the namespace", at.namespace)]
    level = ((found.get("metadata") or {}).get("labels") or {}).get(_ENFORCE, "")
    if level != "restricted" or _runs_as_other_user(at.pod):
        return [ok(SECURITY, f"namespace {at.namespace} enforces {level or 'no level'}")]
    return [
        hurts(
            SECURITY,
            f"namespace {at.namespace} enforces the level restricted, and the pod does not say "
            "that it runs as another user than root",
            "every pod is refused",
            "trial.pod.spec.securityContext: {runAsNonRoot: true, runAsUser: 1000} in the spec, "
            "and an image that runs so",
        )
    ]


def _runs_as_other_user(pod: Json) -> bool:
    spec = pod.get("spec") or {}
    whole = (spec.get("securityContext") or {}).get("runAsNonRoot") is True
    each = [(c.get("securityContext") or {}).get("runAsNonRoot") for c in spec["containers"]]
    return all(own is True or (whole and own is None) for own in each)


async def check_network(at: ClusterView) -> list[Verdict]:
    """Whether network policies let the pods of trials out at all.

    Raises:
        BackendError: The server does not answer.
    """
    path = f"/apis/networking.k8s.io/v1/namespaces/{at.namespace}/networkpolicies"
    policies = await _read_list(at, path)
    if policies is None:
        return [_may_not(NETWORK, "list networkpolicies", at.namespace)]
    labels = at.pod["metadata"]["labels"]
    out = [each for each in policies if _closes_egress(each) and _selects(each, labels)]
    names = ", ".join(str(each["metadata"]["name"]) for each in out)
    if not out:
        return [ok(NETWORK, "no policy limits where the pods of trials may connect to")]
    if any((each.get("spec") or {}).get("egress") for each in out):
        return [ok(NETWORK, f"the pods of trials may connect to what {names} allow")]
    return [
        hurts(
            NETWORK,
            f"no connection leaves the pods of trials: {names}",
            "training cannot reach data, the object store or a tracking server; podmap itself "
            "needs no connection of its pods",
            f"an egress rule for pods labelled app.kubernetes.io/managed-by=podmap in namespace "
            f"{at.namespace}; deploy/namespace.yaml has one that lets out into the world",
        )
    ]


def _closes_egress(policy: Json) -> bool:
    spec = policy.get("spec") or {}
    kinds = spec.get("policyTypes") or (["Egress"] if spec.get("egress") else [])
    return "Egress" in kinds


def _selects(policy: Json, labels: Mapping[str, str]) -> bool:
    selector = (policy.get("spec") or {}).get("podSelector") or {}
    same = (selector.get("matchLabels") or {}).items() <= labels.items()
    return same and all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    rules: Mapping[str, Callable[[], bool]] = {
        "In": lambda: value in values,
        "NotIn": lambda: value not in values,
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
    }
    return rules[expression["operator"]]()


async def _read_list(at: ClusterView, path: str) -> list[Json] | None:
    """All objects of a list; None if this account may not read it."""
    found: list[Json] = []
    try:
        async for page in at.client.pages(path):
            items: Iterable[Json] = page.get("items") or ()
            found.extend(items)
    except ApiError as error:
        if error.forbidden:
            return None
        raise
    return found


def _may_not(name: str, what: str, namespace: str) -> Verdict:
    place = f" {namespace}" if namespace and what.endswith("namespace") else ""
    within = f" in namespace {namespace}" if namespace and not place else ""
    return unseen(name, f"this account may not {what}{place}{within}", _READ_ONLY)
